use libbus::names::{BusName, InterfaceName, MemberName};
use libbus::wire::{BodyWriter, Header, Signature};

use super::*;
use crate::capture::tests::message;

/// Messages handed in with numbers from 0, a second apart.
#[derive(Default)]
struct Scene {
    conversation: Conversation,
    count: u64,
}

impl Scene {
    fn add(&mut self, bytes: Vec<u8>) -> Option<Pair> {
        let message = Message::from_bytes(bytes).unwrap();
        let number = self.count;
        self.count += 1;
        self.conversation.handle_message(number, Some(Duration::from_secs(number)), &message)
    }

    fn call(&mut self, serial: u32, sender: &'static str, destination: &'static str) {
        let bytes = message(MessageType::MethodCall, serial, parties(sender, destination), |_| {});
        assert_eq!(self.add(bytes), None);
    }

    fn bus_call(
        &mut self,
        member: &'static str,
        signature: &'static str,
        body: fn(&mut BodyWriter<'_>),
    ) {
        let change = |header: &mut Header<'static>| {
            parties(":1.5", BUS)(header);
            header.member = Some(MemberName::from_static(member));
            header.signature = Signature::from_static(signature);
        };
        self.add(message(MessageType::MethodCall, 9, change, body));
    }

    fn reply(
        &mut self,
        kind: MessageType,
        to: u32,
        sender: &'static str,
        (signature, body): (&'static str, fn(&mut BodyWriter<'_>)),
    ) -> Option<Pair> {
        let change = |header: &mut Header<'static>| {
            parties(sender, ":1.5")(header);
            header.reply_serial = NonZeroU32::new(to);
            header.signature = Signature::from_static(signature);
        };
        self.add(message(kind, 77, change, body))
    }

    fn returns(&mut self, to: u32, sender: &'static str) -> Option<Pair> {
        self.reply(MessageType::MethodReturn, to, sender, ("", |_| {}))
    }

    fn owner_changed(&mut self, sender: &'static str, [name, old, new]: [&'static str; 3]) {
        let change = |header: &mut Header<'static>| {
            header.sender = Some(BusName::from_static(sender));
            header.interface = Some(InterfaceName::from_static(BUS));
            header.member = Some(MemberName::from_static("NameOwnerChanged"));
            header.signature = Signature::from_static("sss");
        };
        let body = |body: &mut BodyWriter<'_>| [name, old, new].map(|text| body.string(text));
        self.add(message(MessageType::Signal, 1, change, |writer| {
            body(writer);
        }));
    }

    fn owner(&self, name: &str) -> Option<&str> {
        self.conversation.names().owner_of(name)
    }
}

fn parties(sender: &'static str, destination: &'static str) -> impl FnOnce(&mut Header<'static>) {
    move |header| {
        header.sender = Some(BusName::from_static(sender));
        header.destination = Some(BusName::from_static(destination));
    }
}

fn pair(call: u64, seconds: u64) -> Option<Pair> {
    Some(Pair { call, duration: Some(Duration::from_secs(seconds)) })
}

#[test]
fn replies_find_their_calls() {
    let mut scene = Scene::default();
    scene.call(1, ":1.5", ":1.6");
    scene.call(2, ":1.5", "org.example.Clock");
    scene.call(3, ":1.5", ":1.6");
    assert_eq!(scene.returns(2, ":1.7"), pair(1, 2));
    assert_eq!(scene.reply(MessageType::Error, 1, ":1.6", ("", |_| {})), pair(0, 4));
    assert_eq!(scene.returns(1, ":1.6"), None, "it has its answer");
    assert_eq!(scene.conversation.unanswered().collect::<Vec<_>>(), [2]);
    assert_eq!(scene.owner("org.example.Clock"), Some(":1.7"), "it answered to that name");
}

#[test]
fn nobody_answers_for_another_but_the_bus() {
    let mut scene = Scene::default();
    scene.call(1, ":1.5", ":1.6");
    assert_eq!(scene.returns(1, ":1.66"), None);
    assert_eq!(scene.reply(MessageType::Error, 1, BUS, ("", |_| {})), pair(0, 2));
    // A name whose owner is known is that owner.
    scene.owner_changed(BUS, ["org.example.Clock", "", ":1.7"]);
    scene.call(2, ":1.5", "org.example.Clock");
    assert_eq!(scene.returns(2, ":1.66"), None);
    assert_eq!(scene.returns(2, ":1.7"), pair(4, 2));
}

#[test]
fn calls_that_want_no_reply_are_not_missed() {
    let mut scene = Scene::default();
    let change = |header: &mut Header<'static>| header.flags = Flags::NO_REPLY_EXPECTED;
    scene.add(message(MessageType::MethodCall, 1, change, |_| {}));
    assert_eq!(scene.conversation.unanswered().count(), 0);
}

#[test]
fn names_are_learned_from_the_bus_alone() {
    let mut scene = Scene::default();
    scene.owner_changed(":1.9", ["org.example.A", "", ":1.9"]);
    assert_eq!(scene.owner("org.example.A"), None, "that was not the bus");
    scene.owner_changed(BUS, ["org.example.A", "", ":1.5"]);
    scene.owner_changed(BUS, [":1.6", "", ":1.6"]);
    assert_eq!(scene.owner("org.example.A"), Some(":1.5"));
    assert_eq!(scene.owner(":1.6"), None, "a unique name has no owner to learn");
    scene.owner_changed(BUS, ["org.example.A", ":1.5", ""]);
    assert_eq!(scene.owner("org.example.A"), None);
    assert_eq!(scene.conversation.names().names_of(":1.5"), ["org.example.A"], "it had it once");
}

#[test]
fn names_are_learned_from_answers_of_the_bus() {
    let mut scene = Scene::default();
    let request: fn(&mut BodyWriter<'_>) = |body| {
        body.string("org.example.B");
        body.uint32(0);
    };
    for (answer, owner) in [(3u8, None), (1, Some(":1.5"))] {
        scene.bus_call("RequestName", "su", request);
        let body: fn(&mut BodyWriter<'_>) =
            if answer == 1 { |body| body.uint32(1) } else { |body| body.uint32(3) };
        scene.reply(MessageType::MethodReturn, 9, BUS, ("u", body));
        assert_eq!(scene.owner("org.example.B"), owner, "answer {answer}");
    }
    scene.bus_call("GetNameOwner", "s", |body| body.string("org.example.C"));
    let forged =
        scene.reply(MessageType::MethodReturn, 9, ":1.66", ("s", |body| body.string(":1.66")));
    assert_eq!((forged, scene.owner("org.example.C")), (None, None), "that was not the bus");
    scene.reply(MessageType::MethodReturn, 9, BUS, ("s", |body| body.string(":1.8")));
    assert_eq!(scene.owner("org.example.C"), Some(":1.8"));
}

#[test]
fn calls_that_wait_are_bounded() {
    let mut scene = Scene::default();
    for serial in 1..=PENDING_MAX as u32 + 1 {
        scene.call(serial, ":1.5", ":1.6");
    }
    assert_eq!(scene.conversation.unanswered().count(), PENDING_MAX);
    assert_eq!(scene.conversation.numbers.len(), PENDING_MAX);
    assert_eq!(scene.conversation.given_up_count(), 1);
    assert_eq!(scene.returns(1, ":1.6"), None, "the oldest one is forgotten");
    // The same serial again takes the place of the call before.
    scene.call(2, ":1.5", ":1.6");
    assert_eq!(scene.conversation.unanswered().count(), PENDING_MAX - 1 + 1);
}

/// It is answered to the name that it asks for.
#[test]
fn a_hello_is_answered_to_the_name_that_the_client_gets() {
    let mut scene = Scene::default();
    scene.call(1, NAMELESS, BUS);
    let pair = scene.reply(MessageType::MethodReturn, 1, BUS, ("s", |body| body.string(":1.5")));
    assert_eq!(pair.map(|pair| pair.call), Some(0));
    assert_eq!(scene.conversation.unanswered().count(), 0);
}

#[test]
fn what_is_asked_for_is_remembered_only_if_it_is_a_name() {
    let of = |name: &str| {
        let change = |header: &mut Header<'static>| {
            parties(":1.5", BUS)(header);
            header.member = Some(MemberName::from_static("GetNameOwner"));
            header.signature = Signature::from_static("s");
        };
        let bytes = message(MessageType::MethodCall, 1, change, |body| body.string(name));
        Question::of(&Message::from_bytes(bytes).unwrap())
    };
    assert!(matches!(of("a.B"), Question::Owner(name) if name == "a.B"));
    assert!(matches!(of(&"a.B".repeat(1 << 16)), Question::Called));
}
