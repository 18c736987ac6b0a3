//! The methods of the bus that clients of the simulation call (protocol.md A173–A206).

use std::collections::BTreeSet;

use bus_daemon::bus::limits::RELOAD_CALLER_COUNT_MAX;
use bus_daemon::bus::quota::kept_connections;
use libbus::match_rule::{MatchRule, MatchRuleError};
use libbus::names::{BusName, ErrorName};
use libbus::standard_error as error;
use libbus::wire::{BodyReader, Flags, MessageType};

use super::{BUS, Kind, Model, Phase, ReplyTo, Who};
use crate::message::{Body, Parsed};

type Outcome = Result<(), ErrorName<'static>>;

/// What each method takes, if it exists.
fn signature_of(member: &str) -> Option<&'static str> {
    Some(match member {
        "Hello" | "ListNames" | "GetId" | "ReloadConfig" | "Introspect" | "GetStats"
        | "GetAllMatchRules" | "Ping" => "",
        "RequestName" | "StartServiceByName" => "su",
        "ReleaseName"
        | "NameHasOwner"
        | "GetNameOwner"
        | "ListQueuedOwners"
        | "AddMatch"
        | "RemoveMatch"
        | "GetConnectionUnixUser"
        | "GetConnectionCredentials" => "s",
        "BecomeMonitor" => "asu",
        _ => return None,
    })
}

impl Model {
    pub(super) fn call_driver(&mut self, who: Who, message: &Parsed<'_>) -> Outcome {
        let header = message.header();
        if header.message_type != MessageType::MethodCall {
            return Ok(());
        }
        let member = header.member.unwrap().as_str();
        // protocol.md A120, A121
        let is_nameless = self.peers[&who].phase != Phase::Registered;
        if member != "Hello" && header.destination.is_some() && is_nameless {
            return Err(error::ACCESS_DENIED);
        }
        let is_reachable = header.destination.is_some() || member == "Ping";
        let signature =
            signature_of(member).filter(|_| is_reachable).ok_or(error::UNKNOWN_METHOD)?;
        if member == "BecomeMonitor" && !self.is_privileged(who) {
            return Err(error::ACCESS_DENIED);
        }
        if header.signature.as_str() != signature {
            return Err(error::INVALID_ARGS);
        }
        let is_expected = !header.flags.contains(Flags::NO_REPLY_EXPECTED);
        let to = ReplyTo { who, serial: header.serial, is_expected };
        let arguments = BodyReader::new(message.body, header.endian);
        match signature {
            "" => self.call_without_arguments(to, member),
            "asu" => self.become_monitor(to, arguments),
            _ => self.call_with_name(to, member, arguments),
        }
    }

    pub(super) fn is_privileged(&self, who: Who) -> bool {
        self.owns_something(self.peers[&who].uid)
    }

    /// Whether a user owns the machine or the bus.
    pub(super) fn owns_something(&self, uid: Option<u32>) -> bool {
        uid.is_some_and(|uid| uid == 0 || uid == self.own_uid)
    }

    fn call_without_arguments(&mut self, to: ReplyTo, member: &str) -> Outcome {
        match member {
            "Hello" => return self.hello(to),
            "ReloadConfig" => {
                let user_of = |who: Who| self.peers.get(&who).map(|peer| peer.uid);
                let callers = self.reload_callers.iter().chain(&self.next_reload_callers);
                let of_user = callers.filter(|caller| user_of(caller.who) == user_of(to.who));
                if of_user.count() >= RELOAD_CALLER_COUNT_MAX {
                    return Err(error::LIMITS_EXCEEDED);
                }
                self.ask_reload(Some(to));
            }
            "ListNames" => {
                let all = self.uniques.keys().chain(self.names.keys()).cloned();
                let names: BTreeSet<String> = all.chain([BUS.to_owned()]).collect();
                self.reply(to, Body::Set(names));
            }
            "Ping" => self.reply(to, Body::Strings(vec![])),
            _ => self.reply(to, Body::Whatever),
        }
        Ok(())
    }

    /// protocol.md A120–A124, config.md B036, B038
    fn hello(&mut self, to: ReplyTo) -> Outcome {
        let peer = &self.peers[&to.who];
        if !peer.is_incomplete() {
            return Err(error::FAILED);
        }
        let complete = || self.peers.values().filter(|peer| !peer.is_incomplete());
        let limits = &self.settings.limits;
        let of_user = complete().filter(|other| other.uid == peer.uid).count();
        let max = limits.completed_connections_max;
        let ordinary = complete().filter(|other| !self.owns_something(other.uid)).count();
        let is_full_for_others = ordinary >= (max - kept_connections(max)) as usize;
        if complete().count() >= max as usize
            || (is_full_for_others && !self.owns_something(peer.uid))
            || of_user >= limits.connections_per_user_max as usize
            || self.exceeds_share(
                peer.uid,
                complete().map(|peer| peer.uid).collect(),
                (limits.completed_connections_max as usize)
                    .max(2 * limits.connections_per_user_max as usize),
            )
        {
            return Err(error::LIMITS_EXCEEDED);
        }
        let unique = self.register(to.who);
        self.peers.get_mut(&to.who).unwrap().phase = Phase::Registered;
        self.begin_handshakes();
        self.reply(to, Body::Strings(vec![unique.clone()]));
        self.signal(None, "NameOwnerChanged", &[&unique, "", &unique]);
        self.signal(Some(to.who), "NameAcquired", &[&unique]);
        Ok(())
    }

    fn call_with_name(
        &mut self,
        to: ReplyTo,
        member: &str,
        mut arguments: BodyReader<'_>,
    ) -> Outcome {
        let text = arguments.string().unwrap();
        let owner = BusName::parse(text).ok().and_then(|_| self.resolve(text));
        match member {
            "RequestName" => return self.request_name(to, text, arguments.uint32().unwrap()),
            "ReleaseName" => {
                let name = ownable(text)?;
                let result = self.release(to.who, name);
                self.reply(to, Body::Number(result));
            }
            "AddMatch" => return self.add_match(to, text),
            "RemoveMatch" => return self.remove_match(to, text),
            "NameHasOwner" => self.reply(to, Body::Boolean(text == BUS || owner.is_some())),
            "StartServiceByName" if text == BUS || owner.is_some() => {
                self.reply(to, Body::Number(2));
            }
            "StartServiceByName" => return Err(error::SERVICE_UNKNOWN),
            "GetNameOwner" if text == BUS => self.reply(to, Body::Strings(vec![BUS.to_owned()])),
            "ListQueuedOwners" if text == BUS => self.reply(to, Body::List(vec![BUS.to_owned()])),
            "GetConnectionUnixUser" | "GetConnectionCredentials" if text == BUS => {
                self.reply(to, Body::Whatever);
            }
            _ => return self.answer_about(to, member, text, owner),
        }
        Ok(())
    }

    fn answer_about(
        &mut self,
        to: ReplyTo,
        member: &str,
        text: &str,
        owner: Option<Who>,
    ) -> Outcome {
        let owner = owner.ok_or(error::NAME_HAS_NO_OWNER)?;
        match member {
            "GetNameOwner" => {
                let owner = self.unique_of(owner);
                self.reply(to, Body::Strings(vec![owner]));
            }
            "ListQueuedOwners" if text.starts_with(':') => {
                self.reply(to, Body::List(vec![text.to_owned()]));
            }
            "ListQueuedOwners" => {
                let queue = self.queue(text);
                self.reply(to, Body::List(queue));
            }
            "GetConnectionUnixUser" => {
                let uid = self.peers[&owner].uid.ok_or(error::FAILED)?;
                self.reply(to, Body::Number(uid));
            }
            "GetConnectionCredentials" => {
                let fd = self.peers[&owner].process_fd.filter(|_| self.peers[&to.who].unix_fds);
                self.reply_with_fds(to, Body::Whatever, fd.into_iter().collect());
            }
            _ => self.reply(to, Body::Whatever),
        }
        Ok(())
    }

    fn request_name(&mut self, to: ReplyTo, text: &str, flags: u32) -> Outcome {
        let name = ownable(text)?;
        let count = self.peers[&to.who].places.len() + 1;
        // config.md B040
        if count >= self.settings.limits.names_per_connection_max as usize {
            return Err(error::LIMITS_EXCEEDED);
        }
        let result = self.request(to.who, name, flags);
        self.reply(to, Body::Number(result));
        Ok(())
    }

    /// protocol.md A167, A170, A172
    fn add_match(&mut self, to: ReplyTo, text: &str) -> Outcome {
        let rule = parse_rule(text)?;
        if self.peers[&to.who].rule_count >= self.settings.limits.match_rules_per_connection_max {
            return Err(error::LIMITS_EXCEEDED);
        }
        if rule.eavesdrop && !self.is_privileged(to.who) {
            return Err(error::ACCESS_DENIED);
        }
        self.insert_rule(to.who, kind_of(&rule), rule);
        self.reply(to, Body::Strings(vec![]));
        Ok(())
    }

    fn insert_rule(&mut self, who: Who, kind: Kind, rule: MatchRule) {
        self.peers.get_mut(&who).unwrap().rule_count += 1;
        *self.rules.entry((kind, rule)).or_default().entry(who).or_default() += 1;
    }

    fn remove_match(&mut self, to: ReplyTo, text: &str) -> Outcome {
        let rule = parse_rule(text)?;
        let key = (kind_of(&rule), rule);
        let clients = self.rules.get_mut(&key).ok_or(error::MATCH_RULE_NOT_FOUND)?;
        let count = clients.get_mut(&to.who).ok_or(error::MATCH_RULE_NOT_FOUND)?;
        *count -= 1;
        if *count == 0 {
            clients.remove(&to.who);
        }
        if clients.is_empty() {
            self.rules.remove(&key);
        }
        self.peers.get_mut(&to.who).unwrap().rule_count -= 1;
        self.reply(to, Body::Strings(vec![]));
        Ok(())
    }

    /// protocol.md A203
    fn become_monitor(&mut self, to: ReplyTo, mut arguments: BodyReader<'_>) -> Outcome {
        let texts = arguments.strings().unwrap();
        let rules: Result<Vec<_>, _> = texts.map(|text| parse_rule(text.unwrap())).collect();
        let mut rules = rules?;
        if arguments.uint32().unwrap() != 0 {
            return Err(error::INVALID_ARGS);
        }
        if rules.is_empty() {
            rules.push(MatchRule::default());
        }
        if rules.len() > self.settings.limits.match_rules_per_connection_max as usize {
            return Err(error::LIMITS_EXCEEDED);
        }
        self.reply(to, Body::Strings(vec![]));
        self.leave(to.who);
        self.peers.get_mut(&to.who).unwrap().phase = Phase::Monitor;
        for mut rule in rules {
            rule.eavesdrop = true;
            self.insert_rule(to.who, Kind::Monitoring, rule);
        }
        Ok(())
    }
}

fn kind_of(rule: &MatchRule) -> Kind {
    if rule.eavesdrop { Kind::Eavesdropping } else { Kind::Broadcasts }
}

fn parse_rule(text: &str) -> Result<MatchRule, ErrorName<'static>> {
    MatchRule::parse(text).map_err(|reason| match reason {
        MatchRuleError::TooLong => error::LIMITS_EXCEEDED,
        _ => error::MATCH_RULE_INVALID,
    })
}

/// protocol.md A125
fn ownable(text: &str) -> Result<&str, ErrorName<'static>> {
    match BusName::parse(text) {
        Ok(BusName::WellKnown(_)) if text != BUS => Ok(text),
        _ => Err(error::INVALID_ARGS),
    }
}
