//! A security module beside the policy: config.md B076, B110, B116.

use std::cell::RefCell;
use std::rc::Rc;

use bus_daemon::bus::credentials::PeerCredentials;
use bus_daemon::bus::log::{LogRecord, Severity};
use bus_daemon::bus::mediation::{
    Answer, Denial, EavesdropQuestion, Mediation, MessageQuestion, OwnQuestion, Recipient,
};
use bus_policy::config::Limits;

use crate::desk::{Desk, Guest, settings};
use crate::mail::{Mail, Value};
use crate::world::{OWN_UID, mediated_bus};

/// Refuses everything to clients with the label `confined`, but what the bus itself is asked.
#[derive(Debug, Default)]
struct Confinement {
    asked: RefCell<Vec<String>>,
}

impl Confinement {
    fn judge(&self, what: String, label: Option<&[u8]>) -> Answer {
        self.asked.borrow_mut().push(what.clone());
        if label != Some(b"confined") {
            return Answer::Allowed;
        }
        let log = LogRecord::new(Severity::Security, &format_args!("{what}"));
        Answer::Denied(Denial { text: what, log: Some(log) })
    }
}

impl Mediation for Confinement {
    fn is_active(&self) -> bool {
        true
    }

    fn may_own(&self, question: &OwnQuestion<'_>) -> Answer {
        self.judge(format!("own {}", question.name), question.client.label)
    }

    fn may_send(&self, question: &MessageQuestion<'_>) -> Answer {
        if matches!(question.recipient, Recipient::Bus) {
            return Answer::Allowed;
        }
        self.judge(question.denied("send"), question.sender.label)
    }

    fn may_receive(&self, question: &MessageQuestion<'_>) -> Answer {
        let Recipient::Client(recipient) = question.recipient else { return Answer::Allowed };
        self.judge(format!("receive by {}", recipient.name), recipient.label)
    }

    fn may_eavesdrop(&self, question: &EavesdropQuestion<'_>) -> Answer {
        self.judge("eavesdrop".to_owned(), question.client.label)
    }
}

fn guest(desk: &mut Desk, label: &str) -> Guest {
    let id = desk.connect(PeerCredentials {
        uid: Some(OWN_UID),
        security_label: Some(label.as_bytes().into()),
        ..Default::default()
    });
    desk.authenticate(id, OWN_UID, true);
    desk.hello(id).unwrap()
}

#[test]
fn a_module_is_asked_about_names_messages_and_eavesdropping() {
    let module = Rc::new(Confinement::default());
    let mut desk = Desk::new(Limits::default());
    desk.bus = mediated_bus(settings(Limits::default()), Rc::clone(&module) as Rc<dyn Mediation>);
    let free = guest(&mut desk, "free");
    let confined = guest(&mut desk, "confined");

    let own = |desk: &mut Desk, who: &Guest| {
        let arguments = vec![Value::Text("org.example.A".into()), Value::Number(4)];
        desk.call_bus(who.id, "RequestName", arguments).error
    };
    let denied = Some("org.freedesktop.DBus.Error.AccessDenied".to_owned());
    assert_eq!(own(&mut desk, &confined), denied);
    assert_eq!(own(&mut desk, &free), None);

    let rule = |desk: &mut Desk, who: &Guest, text: &str| {
        desk.call_bus(who.id, "AddMatch", vec![Value::Text(text.into())]).error
    };
    assert_eq!(rule(&mut desk, &confined, "eavesdrop='true'"), denied);
    assert_eq!(rule(&mut desk, &confined, "type='signal',path='/a'"), None);
    assert_eq!(rule(&mut desk, &free, "type='signal',path='/a'"), None);

    // A broadcast leaves out whom the module refuses it; nobody is told.
    let serial = desk.next_serial();
    let mut signal = Mail::call(serial, &free.name, "org.example.A", "Changed");
    signal.message_type = libbus::wire::MessageType::Signal;
    signal.destination = None;
    signal.path = Some("/a".into());
    desk.send(free.id, &signal);
    assert_eq!(desk.read(free.id).len(), 1);
    assert_eq!(desk.read(confined.id), []);

    // A call is refused in both directions, with what the module says.
    for (from, to) in [(&free, &confined), (&confined, &free)] {
        let serial = desk.next_serial();
        desk.send(from.id, &Mail::call(serial, &to.name, "org.example.A", "Get"));
        let got = desk.read(from.id);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].error, denied);
        assert_eq!(desk.read(to.id), []);
    }
    let asked = module.asked.borrow().join("\n");
    assert!(asked.contains("own org.example.A\n"), "{asked}");
    let sent = format!("sender=\"{}\"", confined.name);
    assert!(asked.contains(&sent) && asked.contains("member=\"Get\""), "{asked}");
}
