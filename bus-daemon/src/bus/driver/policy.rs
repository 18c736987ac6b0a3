//! `org.libbus.Policy1`: what the policy in force says, and why. For root and the user that the bus
//! runs as.
//!
//! A question is written as in `bus_policy::inquiry`, with two additions: `client=NAME` asks about
//! a client that is connected, and a destination or sender that has an owner stands for all names of
//! that client. Users and groups are numbers here, and the groups are always given: the bus looks
//! nobody up while it runs.

use bus_policy::inquiry::{Anonymous, Asked, Door, Inquiry, words_of};
use bus_policy::subject::NumbersOnly;
use libbus::auth::Mechanism;
use libbus::names::BusName;
use libbus::wire::Signature;

use super::Call;
use super::error_reply::Refusal;
use crate::bus::Bus;
use crate::bus::id::ClientId;
use crate::bus::policing::gids_of;

/// What the word begins with that names a client.
const CLIENT: &str = "client=";
const ANSWER: Signature<'static> = Signature::from_static("bss");

impl Bus {
    /// Whether something is permitted, the explanation in words, and the same in JSON.
    pub(super) fn explain(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let question = self.with_client(call.name_argument()?)?;
        let mut inquiry = Inquiry::parse(&question, &NumbersOnly).map_err(|error| {
            Refusal::UnansweredQuestion {
                why: format!(
                    "{error} (the bus looks up no users and groups while it runs: give their \
                     numbers, or client=NAME for those of a client that is connected)"
                ),
            }
        })?;
        if let Asked::Send(mail) | Asked::Receive(mail) = &mut inquiry.action {
            mail.names = self.all_names_of(&mail.names);
        }
        let answer = inquiry.answer(&self.settings.policy, self.door());
        let (text, json) = (answer.to_string(), answer.to_json());
        self.reply(&call.reply_to, ANSWER, |body| {
            body.boolean(answer.allowed);
            body.string(&text);
            body.string(&json);
        });
        Ok(())
    }

    /// Who may connect, besides what the rules say.
    fn door(&self) -> Door {
        let identity = &self.identity;
        let has_mechanism = identity.mechanisms.contains(&Mechanism::Anonymous);
        let anonymous = Anonymous::new(identity.allow_anonymous, has_mechanism);
        Door { own_uid: identity.own_uid, anonymous }
    }

    /// Puts user and groups in place of `client=NAME`.
    fn with_client(&self, question: &str) -> Result<String, Refusal> {
        let mut names = words_of(question).filter_map(|word| word.strip_prefix(CLIENT));
        let Some(name) = names.next() else { return Ok(question.to_owned()) };
        if names.next().is_some() {
            let why = "\"client\" is there twice; ask one question for each".to_owned();
            return Err(Refusal::UnansweredQuestion { why });
        }
        let client = self.client_named(name).and_then(|id| self.clients.get(id));
        let client = client
            .ok_or_else(|| Refusal::NameHasNoOwner { what: "policy", name: name.to_owned() })?;
        let who = match client.uid {
            Some(uid) => format!("uid={uid}"),
            None => "anonymous".to_owned(),
        };
        let gids = gids_of(client, &self.identity.own_credentials);
        let groups: Vec<String> = gids.iter().map(u32::to_string).collect();
        let client = format!("{who} groups={}", groups.join("+"));
        let words = words_of(question)
            .map(|word| if word.starts_with(CLIENT) { client.as_str() } else { word });
        Ok(words.collect::<Vec<_>>().join(" "))
    }

    fn client_named(&self, name: &str) -> Option<ClientId> {
        BusName::parse(name).ok().and_then(|name| self.resolve(name))
    }

    /// The names as given, and all others of their owners.
    fn all_names_of(&self, names: &[String]) -> Vec<String> {
        let mut all = names.to_vec();
        for id in names.iter().filter_map(|name| self.client_named(name)) {
            let unique = self.unique_name_of(id).map(|name| name.as_str().to_owned());
            let held = self.names.names_of(id).map(|held| held.name.to_owned());
            for name in unique.into_iter().chain(held) {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
        }
        all
    }
}
