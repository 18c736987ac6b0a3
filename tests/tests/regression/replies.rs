//! Answers to calls.

use bus_tests::harness::{Bus, Config, Daemon, Message, kind};

/// An answer that the policy refused left the call open: a second one was delivered (config.md B063). As
/// with dbus-daemon it was the answer all the same.
#[test]
fn a_refused_answer_was_the_answer() {
    let elements = "<policy context='mandatory'><deny send_type='error' send_error='org.example.Refused' \
                    send_requested_reply='true'/><deny send_type='method_return' \
                    send_requested_reply='false'/></policy>";
    for daemon in [Some(Daemon::ours()), Daemon::reference()].into_iter().flatten() {
        let bus = Bus::start(&daemon, &Config { elements, ..Config::SESSION });
        let (mut caller, mut callee) = (bus.connect(), bus.connect());
        let call = Message::method_call("/", "org.example.A", "Get").to(&callee.name);
        caller.send(&call);
        let call = loop {
            let message = callee.next();
            if message.kind == kind::METHOD_CALL {
                break message;
            }
        };
        callee.send(&Message::error(&call, "org.example.Refused"));
        callee.send(&Message::method_return(&call));
        let caller_name = caller.name.clone();
        callee.call("NameHasOwner", &[caller_name.as_str().into()]);
        let is_answer =
            |message: &Message| matches!(message.kind, kind::METHOD_RETURN | kind::ERROR);
        let got = caller.drain();
        assert!(!got.iter().any(is_answer), "{}: {got:?}", daemon.label);
    }
}
