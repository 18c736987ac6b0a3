use super::*;

/// The pairs of `a=b c=d`.
fn attributes(text: &str) -> Vec<(String, String)> {
    let pair = |word: &str| {
        let (name, value) = word.split_once('=').unwrap();
        assert!(RULE_ATTRIBUTES.contains(&name), "{name}");
        (name.to_owned(), value.to_owned())
    };
    text.split_whitespace().map(pair).collect()
}

fn action(effect: Effect, text: &str) -> Result<Action, RuleError> {
    RuleAttributes(&attributes(text)).action(effect)
}

fn unrestricted(effect: Effect) -> MessagePattern {
    MessagePattern {
        message_type: None,
        path: None,
        interface: None,
        member: None,
        error: None,
        requested_reply: effect == Effect::Allow,
        eavesdrop: false,
        fds_min: 0,
        fds_max: FDS_MAX,
    }
}

#[test]
fn reads_send_rules() {
    let everything = SendRule {
        message: unrestricted(Effect::Allow),
        destination: NamePattern::Any,
        broadcast: None,
        log: false,
    };
    let check = |text: &str, change: &dyn Fn(&mut SendRule)| {
        let mut expected = everything.clone();
        change(&mut expected);
        assert_eq!(action(Effect::Allow, text), Ok(Action::Send(expected)), "{text}");
    };
    check("send_destination=*", &|_| ());
    check("send_interface=* send_member=* send_path=* send_type=*", &|_| ());
    check("send_error=*", &|_| ());
    // B055, B056
    check("send_interface=a.b send_member=C", &|rule| {
        rule.message.interface = Some("a.b".into());
        rule.message.member = Some("C".into());
    });
    check("send_path=/a send_member=C", &|rule| {
        rule.message.path = Some("/a".into());
        rule.message.member = Some("C".into());
    });
    // B057
    check("send_error=a.B", &|rule| rule.message.error = Some("a.B".into()));
    // B058, B059
    check("send_destination=a.b", &|rule| rule.destination = NamePattern::Exactly("a.b".into()));
    check("send_destination_prefix=a", &|rule| rule.destination = NamePattern::Prefix("a".into()));
    // B061
    for (name, expected) in [
        ("method_call", MessageType::MethodCall),
        ("method_return", MessageType::MethodReturn),
        ("error", MessageType::Error),
        ("signal", MessageType::Signal),
    ] {
        check(&format!("send_type={name}"), &|rule| rule.message.message_type = Some(expected));
    }
    // B062
    check("send_broadcast=true", &|rule| rule.broadcast = Some(true));
    check("send_broadcast=true send_destination=*", &|rule| rule.broadcast = Some(true));
    check("send_broadcast=false send_destination=a.b", &|rule| {
        rule.broadcast = Some(false);
        rule.destination = NamePattern::Exactly("a.b".into());
    });
    // B063, B067
    check("send_requested_reply=true", &|_| ());
    check("send_requested_reply=false", &|rule| rule.message.requested_reply = false);
    check("send_type=* eavesdrop=true", &|rule| rule.message.eavesdrop = true);
    // B068
    check("send_type=* min_fds=0 max_fds=33554432", &|_| ());
    check("send_type=* min_fds=1 max_fds=2", &|rule| {
        (rule.message.fds_min, rule.message.fds_max) = (1, 2);
    });
    // B072; (ref) any other value is false
    check("send_type=* log=true", &|rule| rule.log = true);
    check("send_type=* log=yes", &|_| ());
}

#[test]
fn reads_receive_rules() {
    let check = |effect, text: &str, change: &dyn Fn(&mut ReceiveRule)| {
        let mut expected = ReceiveRule { message: unrestricted(effect), sender: None };
        change(&mut expected);
        assert_eq!(action(effect, text), Ok(Action::Receive(expected)), "{text}");
    };
    // B064, B065
    check(Effect::Allow, "receive_sender=*", &|_| ());
    check(Effect::Allow, "receive_sender=a.b", &|rule| rule.sender = Some("a.b".into()));
    check(Effect::Deny, "receive_type=error receive_path=/a", &|rule| {
        rule.message.message_type = Some(MessageType::Error);
        rule.message.path = Some("/a".into());
    });
    // B066
    check(Effect::Allow, "receive_requested_reply=false", &|rule| {
        rule.message.requested_reply = false;
    });
    check(Effect::Deny, "receive_requested_reply=true", &|rule| {
        rule.message.requested_reply = true;
    });
    // B067: alone it makes a receive rule
    check(Effect::Allow, "eavesdrop=true", &|rule| rule.message.eavesdrop = true);
    check(Effect::Deny, "eavesdrop=false min_fds=1", &|rule| rule.message.fds_min = 1);
}

// config.md B069–B071
#[test]
fn reads_own_and_connect_rules() {
    let check =
        |text: &str, expected| assert_eq!(action(Effect::Deny, text), Ok(expected), "{text}");
    check("own=*", Action::Own(NamePattern::Any));
    check("own=a.b", Action::Own(NamePattern::Exactly("a.b".into())));
    check("own_prefix=a.b", Action::Own(NamePattern::Prefix("a.b".into())));
    check("user=*", Action::ConnectUser(Account::Any));
    check("user=17", Action::ConnectUser(Account::Named("17".into())));
    check("group=*", Action::ConnectGroup(Account::Any));
    check("group=staff log=true", Action::ConnectGroup(Account::Named("staff".into())));
}

// config.md B056, B057, B059, B061, B062, B063, B068, B071, B073: one case at least for each error.
#[test]
fn refuses_rules_that_make_no_sense() {
    let check = |text: &str, expected: RuleError| {
        assert_eq!(action(Effect::Allow, text), Err(expected), "{text}");
    };
    check("", RuleError::NoSubject);
    check("log=true", RuleError::NoSubject);
    check("min_fds=1", RuleError::NoSubject);
    check("own=a.b user=c", RuleError::MixedSubjects);
    check("own=a.b own_prefix=a.b", RuleError::MixedSubjects);
    check("user=a group=b", RuleError::MixedSubjects);
    check("own=a.b send_type=signal", RuleError::MixedSubjects);
    check("own=a.b eavesdrop=true", RuleError::MixedSubjects);
    check("user=a max_fds=1", RuleError::MixedSubjects);
    check("send_type=signal receive_type=signal", RuleError::SendAndReceive);
    check("send_member=A", RuleError::MemberAlone);
    check("receive_member=A receive_type=signal", RuleError::MemberAlone);
    check("send_error=a.B send_interface=*", RuleError::ErrorWithInterface);
    check("receive_error=a.B receive_path=/ receive_member=A", RuleError::ErrorWithInterface);
    check("send_destination=* send_destination_prefix=a", RuleError::TwoDestinations);
    check("send_broadcast=true send_destination=a.b", RuleError::BroadcastWithDestination);
    let boolean = |attribute: &str| RuleError::NotABoolean {
        attribute: attribute.into(),
        value: "yes".into(),
    };
    check("eavesdrop=yes", boolean("eavesdrop"));
    check("send_broadcast=yes", boolean("send_broadcast"));
    check("send_requested_reply=yes", boolean("send_requested_reply"));
    check("receive_requested_reply=yes", boolean("receive_requested_reply"));
    let unknown = |attribute: &str, value: &str| RuleError::UnknownMessageType {
        attribute: attribute.into(),
        value: value.into(),
    };
    check("send_type=call", unknown("send_type", "call"));
    check("receive_type=", unknown("receive_type", ""));
    let count =
        |attribute, value: &str| RuleError::BadFdCount { attribute, value: value.to_owned() };
    check("send_type=* min_fds=-1", count("min_fds", "-1"));
    check("send_type=* max_fds=33554433", count("max_fds", "33554433"));
    check("receive_type=* max_fds=few", count("max_fds", "few"));
}

#[test]
fn warns_of_patterns_that_match_nothing() {
    let check = |text: &str, expected: &[RuleError]| {
        let attributes = attributes(text);
        let attributes = RuleAttributes(&attributes);
        let action = attributes.action(Effect::Allow).unwrap();
        assert_eq!(attributes.warnings(&action), expected, "{text}");
    };
    let glob = |attribute: &str, value: &str| RuleError::Glob {
        attribute: attribute.into(),
        value: value.into(),
    };
    check("send_destination=* send_path=*", &[]);
    check("own=a.b.*", &[glob("own", "a.b.*")]);
    check("own_prefix=*", &[glob("own_prefix", "*")]);
    check("send_destination_prefix=*", &[glob("send_destination_prefix", "*")]);
    check("send_type=* min_fds=1 max_fds=1", &[]);
    check("eavesdrop=true min_fds=2 max_fds=1", &[RuleError::NoFdCount]);
}

#[test]
fn every_error_says_what_to_write() {
    let (attribute, value) = ("own".to_owned(), "a*".to_owned());
    for error in [
        RuleError::NoSubject,
        RuleError::MixedSubjects,
        RuleError::SendAndReceive,
        RuleError::MemberAlone,
        RuleError::ErrorWithInterface,
        RuleError::TwoDestinations,
        RuleError::BroadcastWithDestination,
        RuleError::NotABoolean { attribute: attribute.clone(), value: value.clone() },
        RuleError::UnknownMessageType { attribute: "send_type".into(), value: value.clone() },
        RuleError::BadFdCount { attribute: "min_fds", value: value.clone() },
        RuleError::ConnectNotGlobal,
        RuleError::Glob { attribute, value },
        RuleError::NoFdCount,
    ] {
        let text = error.to_string();
        assert!(text.len() > 20 && !text.contains('\n') && !text.contains("  "), "{text}");
    }
}
