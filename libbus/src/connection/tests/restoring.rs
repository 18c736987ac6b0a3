//! What becomes of a connection that is lost.

use super::*;

const NAME: WellKnownName<'static> = WellKnownName::from_static("org.example.Name");

impl Pair {
    /// The bus answers this call: with a text, or with a number if it is one.
    fn answer(&mut self, call: &Message, answer: &str) -> Result<(), ConnectionError> {
        let (number, serial) = (answer.parse::<u32>(), call.header().serial);
        let kind = match answer {
            "refused" => MessageType::Error,
            _ => MessageType::MethodReturn,
        };
        let mut header = self.header(kind);
        (header.sender, header.reply_serial) = (Some(BUS), Some(serial));
        header.error_name = (kind == MessageType::Error).then_some(standard_error::FAILED);
        header.signature = if number.is_ok() { Signature::from_static("u") } else { STRING };
        let mut bytes = Vec::new();
        write_message(&header, &mut bytes, |body| match number {
            Ok(number) => body.uint32(number),
            Err(_) => body.string(answer),
        });
        read(&mut self.state, &bytes, vec![])
    }

    fn bus_signal(&mut self, member: &'static str, texts: &[&str]) {
        let mut header = self.header(MessageType::Signal);
        (header.sender, header.path) = (Some(BUS), Some(BUS_PATH));
        header.interface = Some(BUS_INTERFACE);
        header.member = Some(MemberName::from_static(member));
        header.signature = Signature::from_static(if texts.len() == 3 { "sss" } else { "s" });
        let mut bytes = Vec::new();
        write_message(&header, &mut bytes, |body| texts.iter().for_each(|text| body.string(text)));
        read(&mut self.state, &bytes, vec![]).unwrap();
    }

    /// The connection is lost, and there is another one; answers what the new bus is asked.
    fn restart(&mut self) -> Vec<Message> {
        self.state.lose();
        assert!(self.state.is_lost() && !self.state.is_restored());
        assert!(self.state.next_write().0.is_empty());
        self.state.restart(config(), true).unwrap();
        self.written.clear();
        self.sent.clear();
        shake_hands(&mut self.state, usize::MAX);
        self.flush();
        std::mem::take(&mut self.sent)
    }

    fn restored(&mut self) {
        for call in self.restart() {
            let answer = if member_of(&call) == "RequestName" { "1" } else { ":1.9" };
            self.answer(&call, answer).unwrap();
        }
        assert!(self.state.is_restored());
    }

    fn has_name(&mut self, flags: u32, answer: &str) {
        self.state.request_name(NAME, flags).unwrap();
        self.flush();
        let request = self.sent.pop().unwrap();
        self.answer(&request, answer).unwrap();
    }

    fn next(&mut self, id: StreamId) -> String {
        match self.state.next_of(id) {
            Some(Streamed::Signal(signal)) => text_of(&signal),
            other => format!("{other:?}"),
        }
    }
}

fn member_of(call: &Message) -> String {
    call.header().member.unwrap().as_str().to_owned()
}

fn asked(calls: &[Message]) -> Vec<String> {
    let text = |call: &Message| call.reader().string().unwrap_or_default().to_owned();
    calls.iter().map(|call| format!("{} {}", member_of(call), text(call))).collect()
}

#[test]
fn the_new_bus_is_asked_for_all_that_the_program_had_before_anything_else() {
    let mut pair = Pair::new();
    let rule = "type='signal',sender='org.example.Other'";
    pair.state.follow_owner(WellKnownName::from_static("org.example.Other")).unwrap();
    pair.state.begin_stream(MatchRule::parse(rule).unwrap(), 1, Overflow::DropOldest);
    let gone = pair.state.begin_stream(everything(), 1, Overflow::DropOldest);
    pair.state.end_stream(gone);
    pair.has_name(3, "2");
    pair.sent.clear();
    pair.state.lose();
    assert_eq!(pair.state.send(&call("Get"), vec![], |_| {}), Err(SendError::Lost));
    pair.state.restart(config(), true).unwrap();
    let serial = pair.call_text("after");
    shake_hands(&mut pair.state, usize::MAX);
    pair.flush();
    let calls = std::mem::take(&mut pair.sent);
    let owner = owner_rule(WellKnownName::from_static("org.example.Other"));
    let expected = [
        "Hello ",
        &format!("AddMatch {owner}"),
        "GetNameOwner org.example.Other",
        &format!("AddMatch {rule}"),
        "RequestName org.example.Name",
        "Get after",
    ];
    assert_eq!(asked(&calls), expected);
    for (call, answer) in calls.iter().zip([":1.9", "", ":1.3", "", "1", "done"]) {
        let is_restored = pair.state.is_restored();
        assert_eq!(is_restored, answer == "done", "{answer}");
        pair.answer(call, answer).unwrap();
    }
    assert_eq!(pair.state.unique_name(), Some(":1.9"));
    assert_eq!(text_of(&pair.state.take_reply(serial).unwrap()), "done");
}

#[test]
fn calls_under_way_are_lost_and_it_is_known_which_were_not_sent() {
    let mut pair = Pair::new();
    let answered = pair.call_text("answered");
    let sent = pair.call_text("sent");
    pair.flush();
    pair.reply(answered, "before").unwrap();
    let half = pair.call_text("half");
    let not_begun = pair.state.call(&call("Put"), null_fds(1), |body| body.string("")).unwrap();
    pair.state.handle_written(10);
    pair.restored();
    let lost = |pair: &mut Pair, serial| pair.state.take_lost_call(serial);
    assert_eq!(text_of(&pair.state.take_reply(answered).unwrap()), "before");
    assert_eq!(lost(&mut pair, sent), Some(LostCall::PerhapsDone));
    assert_eq!(lost(&mut pair, half), Some(LostCall::NotSent));
    assert_eq!(lost(&mut pair, not_begun), Some(LostCall::NotSent));
    assert_eq!(lost(&mut pair, not_begun), None, "it is told once");
    assert!(pair.fds.is_empty(), "no descriptor of the old bus goes to the new one");
}

#[test]
fn nothing_that_was_read_or_asked_of_the_old_bus_is_of_the_new_one() {
    let mut pair = Pair::new();
    pair.state.serve();
    assert_eq!(pair.called(Some(A), "Get"), "nothing");
    let first = pair.state.next_call().unwrap();
    assert_eq!(pair.called(Some(A), "Get"), "nothing");
    // Half a message and a descriptor.
    let mut header = pair.header(MessageType::MethodReturn);
    (header.reply_serial, header.signature) = (NonZeroU32::new(1), STRING);
    let half = &bytes_of(&header, "")[..20];
    read(&mut pair.state, half, null_fds(1)).unwrap();
    pair.restored();
    assert_eq!(pair.state.fds.len(), 0);
    assert!(pair.state.next_call().is_none(), "the caller is gone");
    assert_eq!(pair.called(Some(A), "Get"), "nothing");
    let second = pair.state.next_call().unwrap();
    assert_eq!(pair.called(Some(A), "Get"), "nothing");
    pair.state.finish_call(&first);
    assert!(pair.state.next_call().is_none(), "that was the call of another one");
    assert!(pair.state.answer_as_peer(&first) && pair.state.next_write().0.is_empty());
    pair.state.finish_call(&second);
    assert!(pair.state.next_call().is_some());
}

#[test]
fn a_stream_tells_where_it_was_interrupted() {
    let mut pair = Pair::new();
    let read = pair.state.begin_stream(everything(), 3, Overflow::DropOldest);
    let unread = pair.state.begin_stream(everything(), 3, Overflow::DropOldest);
    let rule = MatchRule::parse("type='signal',sender=':1.7'").unwrap();
    let of_one = pair.state.begin_stream(rule, 3, Overflow::DropOldest);
    pair.signal("Changed", "old").unwrap();
    pair.restored();
    pair.restored();
    pair.signal("Changed", "new").unwrap();
    let seen = [(); 4].map(|()| pair.next(read));
    assert_eq!(seen, ["old", "Some(Interrupted)", "new", "None"]);
    let seen = [(); 4].map(|()| pair.next(of_one));
    assert_eq!(seen, ["old", "Some(Ended)", "None", "None"], "on this bus it is somebody else");
    pair.state.lose();
    assert_eq!([(); 2].map(|()| pair.next(read)), ["Some(Interrupted)", "None"], "at once");
    pair.state.restart(config(), true).unwrap();
    shake_hands(&mut pair.state, usize::MAX);
    for text in ["1", "2", "3"] {
        pair.signal("Changed", text).unwrap();
    }
    let seen = [(); 5].map(|()| pair.next(unread));
    assert_eq!(seen, ["Some(Missed(2))", "Some(Interrupted)", "1", "2", "3"]);
}

/// Of tries that brought nothing, a stream has nothing to say; what came in between is told apart.
#[test]
fn a_loss_is_told_once_however_many_tries_fail_after_it() {
    let mut pair = Pair::new();
    let streams = [(); 2].map(|()| pair.state.begin_stream(everything(), 9, Overflow::DropOldest));
    let [told, untold] = streams;
    let rule = MatchRule::parse("type='signal',sender=':1.7'").unwrap();
    let of_one = pair.state.begin_stream(rule, 3, Overflow::DropOldest);
    pair.state.lose();
    assert_eq!(pair.next(told), "Some(Interrupted)");
    assert_eq!(pair.next(of_one), "Some(Ended)");
    for begun in [false, true] {
        // The other end goes before the handshake, or before it has answered.
        if begun {
            pair.restart();
            pair.state.lose();
        }
        pair.state.restart(config(), true).unwrap();
        pair.state.lose();
        assert_eq!(pair.next(told), "None");
        assert_eq!(pair.next(of_one), "None");
    }
    pair.restored();
    pair.signal("Changed", "new").unwrap();
    assert_eq!([(); 3].map(|()| pair.next(told)), ["new", "None", "None"]);
    assert_eq!([(); 3].map(|()| pair.next(untold)), ["Some(Interrupted)", "new", "None"]);
    // It had all, and a try after that brought something: two gaps.
    pair.restart();
    pair.signal("Changed", "of the try").unwrap();
    pair.restored();
    let expected = ["Some(Interrupted)", "of the try", "Some(Interrupted)", "None"];
    for stream in streams {
        assert_eq!([(); 4].map(|()| pair.next(stream)), expected);
    }
    assert_eq!(pair.next(of_one), "None");
}

// The class of CVE-2024-34397, on a bus where the owner's unique name is somebody else's.
#[test]
fn the_owner_of_a_name_on_the_old_bus_is_nobody_on_the_new_one() {
    let mut pair = Pair::new();
    pair.state.follow_owner(NAME).unwrap();
    let rule = MatchRule::parse("type='signal',sender='org.example.Name'").unwrap();
    let stream = pair.state.begin_stream(rule, 9, Overflow::DropOldest);
    pair.flush();
    let ask = pair.sent.pop().unwrap();
    pair.answer(&ask, ":1.7").unwrap();
    pair.signal("Changed", "owner").unwrap();
    assert_eq!(pair.next(stream), "owner");
    let calls = pair.restart();
    pair.signal("Changed", "stranger").unwrap();
    for call in calls {
        let answer = if member_of(&call) == "GetNameOwner" { "refused" } else { "" };
        pair.answer(&call, answer).unwrap();
    }
    pair.signal("Changed", "stranger").unwrap();
    assert_eq!([(); 2].map(|()| pair.next(stream)), ["Some(Interrupted)", "None"]);
    pair.bus_signal("NameOwnerChanged", &[NAME.as_str(), "", ":1.7"]);
    pair.signal("Changed", "new owner").unwrap();
    assert_eq!(pair.next(stream), "new owner");
}

#[test]
fn names_are_requested_again_that_the_program_had_or_waited_for() {
    const DO_NOT_QUEUE: u32 = 4;
    let is_requested = |pair: &mut Pair| {
        let calls = pair.restart();
        calls.iter().any(|call| member_of(call) == "RequestName")
    };
    for (flags, answer, expected) in
        [(0, "1", true), (0, "2", true), (4, "3", false), (0, "4", true), (0, "refused", false)]
    {
        let mut pair = Pair::new();
        pair.has_name(flags, answer);
        assert_eq!(pair.state.is_name_wanted(NAME.as_str()), expected);
        assert_eq!(is_requested(&mut pair), expected, "{flags} {answer}");
    }
    // One that is let go, one whose request is lost, one that is lost and is not waited for, one that is.
    let mut pair = Pair::new();
    pair.has_name(0, "1");
    pair.state.release_name(NAME, false).unwrap();
    assert!(!is_requested(&mut pair));
    let mut pair = Pair::new();
    pair.state.request_name(NAME, 0).unwrap();
    assert!(!is_requested(&mut pair));
    for (flags, expected) in [(DO_NOT_QUEUE, false), (0, true)] {
        let mut pair = Pair::new();
        pair.has_name(flags, "1");
        pair.bus_signal("NameLost", &[NAME.as_str()]);
        assert_eq!(is_requested(&mut pair), expected);
    }
    // One that somebody else has on the new bus.
    let mut pair = Pair::new();
    pair.has_name(DO_NOT_QUEUE, "1");
    let calls = pair.restart();
    pair.answer(&calls[0], ":1.9").unwrap();
    assert!(pair.state.is_name_wanted(NAME.as_str()));
    pair.answer(&calls[1], "3").unwrap();
    assert!(pair.state.is_restored() && !pair.state.is_name_wanted(NAME.as_str()));
}

#[test]
fn a_bus_that_refuses_what_the_program_had_is_not_taken() {
    for refused in [0, 1] {
        let mut pair = Pair::new();
        pair.state.begin_stream(everything(), 1, Overflow::DropOldest);
        let calls = pair.restart();
        let answers = calls.iter().enumerate();
        let result = answers.map(|(index, call)| {
            pair.answer(call, if index == refused { "refused" } else { ":1.9" })
        });
        assert_eq!(result.last(), Some(Err(ConnectionError::NotRestored)));
        pair.restored();
    }
}
