use std::num::NonZeroU32;
use std::time::Duration;

use libbus::names::{BusName, ErrorName, MemberName};
use libbus::wire::{BodyWriter, Header, Signature};

use super::*;
use crate::capture::tests::message;

fn parties(sender: &'static str, destination: &'static str) -> impl FnOnce(&mut Header<'static>) {
    move |header| {
        header.sender = Some(BusName::from_static(sender));
        header.destination = Some(BusName::from_static(destination));
    }
}

/// What a conversation of two with a name, an error, a signal and a call without an answer gives.
fn recorded() -> Recorder {
    let mut recorder = Recorder::new(&Limits::default());
    let mut add = |micros: u64, bytes: Vec<u8>| {
        let message = Message::from_bytes(bytes).unwrap();
        recorder
            .handle_message(Duration::from_secs(1000) + Duration::from_micros(micros), &message);
    };
    let call = |serial: u32| {
        message(MessageType::MethodCall, serial, parties(":1.5", "org.example.Clock"), |_| {})
    };
    let answer = |kind: MessageType, to: u32| {
        let change = move |header: &mut Header<'static>| {
            parties(":1.6", ":1.5")(header);
            header.reply_serial = NonZeroU32::new(to);
            header.signature = Signature::from_static("s");
        };
        message(kind, 70, change, |body| {
            body.string("</script><img src=x onerror=alert(1)>\u{2028}&")
        })
    };
    add(0, call(1));
    add(1500, answer(MessageType::MethodReturn, 1));
    add(2000, call(2));
    add(2600, answer(MessageType::Error, 2));
    add(3000, message(MessageType::Signal, 5, |_| {}, |_| {}));
    add(4000, call(3));
    recorder
}

fn page(trace: &Trace) -> String {
    let mut out = Vec::new();
    write_html(trace, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The block of data, as a browser finds it: up to the first thing that ends a script.
fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let (data, _) = rest.split_once("</script").unwrap();
    serde_json::from_str(data).unwrap()
}

#[test]
fn a_conversation_becomes_lanes_and_pairs() {
    let trace = recorded().finish("title", "source");
    let data = data(&page(&trace));
    let messages = &data["messages"];
    assert_eq!(messages["kind"], serde_json::json!([0, 1, 0, 2, 3, 0]));
    assert_eq!(messages["time"], serde_json::json!([0, 1500, 2000, 2600, 3000, 4000]));
    assert_eq!(messages["call"], serde_json::json!([-1, 0, -1, 2, -1, -1]));
    // The name is that of the client that answered to it, also before that was known.
    assert_eq!(messages["from"], serde_json::json!([0, 1, 0, 1, 0, 0]));
    assert_eq!(messages["to"], serde_json::json!([1, 0, 1, 0, -1, 1]));
    let lanes = serde_json::json!([
        { "name": ":1.5", "names": [] },
        { "name": ":1.6", "names": ["org.example.Clock"] },
    ]);
    assert_eq!(data["lanes"], lanes);
    assert_eq!(data["unanswered"], serde_json::json!([5]));
    assert_eq!(data["begin"], serde_json::json!(1_000_000_000.0));
}

#[test]
fn nothing_of_a_message_is_markup() {
    let mut recorder = recorded();
    recorder.handle_notice("</script><b>".to_owned());
    let trace = recorder.finish("</title><script>", "<!--");
    let page = page(&trace);
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (block, _) = rest.split_once("</script>").unwrap();
    assert!(!block.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{block}");
    let data = data(&page);
    assert_eq!(data["title"], "</title><script>");
    let body = data["messages"]["body"][1].as_str().unwrap();
    assert!(body.contains("</script><img src=x onerror=alert(1)>"), "{body}");
    let mut svg = Vec::new();
    write_svg(&trace, 100, &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.contains("&lt;/title&gt;&lt;script&gt;") && !svg.contains("<script"), "{svg}");
}

/// Whatever stands in the page, the policy lets only what was written for it run.
#[test]
fn the_policy_names_the_script_and_the_style() {
    let page = page(&Recorder::new(&Limits::default()).finish("", ""));
    let (_, policy) = page.split_once("Content-Security-Policy\" content=\"").unwrap();
    let (policy, _) = policy.split_once('"').unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"));
    assert!(
        !page.contains("{{") && !page.contains("src=") && !page.contains("href="),
        "loads nothing"
    );
    assert_eq!(page.matches("<script").count(), 2, "the data and the script");
}

#[test]
fn what_is_left_out_is_said() {
    let mut recorder = Recorder::new(&Limits { messages_max: 2, ..Limits::default() });
    for serial in 1..=5 {
        let bytes = message(MessageType::Signal, serial, |_| {}, |_| {});
        recorder.handle_message(Duration::ZERO, &Message::from_bytes(bytes).unwrap());
    }
    let trace = recorder.finish("", "");
    assert_eq!(trace.len(), 2);
    assert_eq!(trace.notices, ["3 more messages follow the 2 that are shown."]);
}

#[test]
fn long_texts_are_cut() {
    let change = |header: &mut Header<'static>| header.signature = Signature::from_static("as");
    let body = |body: &mut BodyWriter<'_>| body.strings(vec!["ü".repeat(200).as_str(); 60]);
    let bytes = message(MessageType::Signal, 1, change, body);
    let mut recorder = Recorder::new(&Limits::default());
    recorder.handle_message(Duration::ZERO, &Message::from_bytes(bytes).unwrap());
    let trace = recorder.finish("", "");
    let body = &trace.messages.body[0];
    assert!(body.len() <= BODY_SIZE_MAX && body.len() > BODY_SIZE_MAX - 8, "{}", body.len());
    assert!(body.starts_with("  as [\"üü") && body.ends_with('…'), "{body}");
    let mut strings = Strings::default();
    let id = strings.id(&"ü".repeat(TEXT_SIZE_MAX));
    assert_eq!(strings.text(id).len(), TEXT_SIZE_MAX + CUT_MARK.len());
    assert_eq!(strings.id(&"ü".repeat(TEXT_SIZE_MAX)), id, "it is held once");
    assert_eq!(strings.id(""), 0);
}

#[test]
fn a_picture_has_the_first_messages() {
    let trace = recorded().finish("A clock", "");
    let picture = |count: usize| {
        let mut svg = Vec::new();
        write_svg(&trace, count, &mut svg).unwrap();
        String::from_utf8(svg).unwrap()
    };
    let whole = picture(100);
    assert_eq!(whole.matches("<g class=\"a ").count(), 6);
    for text in [
        "A clock",
        "6 messages",
        "example.Clock.Ring",
        "↩ 1.500 ms",
        "✕ Error.Broken 0.600 ms",
        "0.004000",
    ] {
        assert!(whole.contains(text), "{text}: {whole}");
    }
    let first = picture(2);
    assert_eq!(first.matches("<g class=\"a ").count(), 2);
    assert!(first.contains("the first 2 of 6 messages; 4 follow"), "{first}");
}

#[test]
fn a_capture_without_times_has_none() {
    let mut recorder = Recorder::new(&Limits::default());
    let bytes = message(MessageType::Signal, 1, |_| {}, |_| {});
    let size = bytes.len() as u64;
    let message = Message::from_bytes(bytes).unwrap();
    let cut = Some(Cut { kept: 64, signature: "as".to_owned() });
    recorder.handle_captured(&Captured { time: None, offset: 0, size, message, cut });
    let data = data(&page(&recorder.finish("", "")));
    assert_eq!(data["begin"], serde_json::Value::Null);
    assert_eq!(data["messages"]["kept"], serde_json::json!({ "0": 64 }));
    let signature = data["messages"]["signature"][0].as_u64().unwrap() as usize;
    assert_eq!(data["strings"][signature], "as", "what is not there is known by its types");
}

/// Errors have a name of their own, and it is found.
#[test]
fn errors_are_named() {
    let change = |header: &mut Header<'static>| {
        header.error_name = Some(ErrorName::from_static("org.example.Error.Late"));
        header.reply_serial = NonZeroU32::new(9);
        header.member = None::<MemberName<'static>>;
    };
    let mut recorder = Recorder::new(&Limits::default());
    let bytes = message(MessageType::Error, 1, change, |_| {});
    recorder.handle_message(Duration::ZERO, &Message::from_bytes(bytes).unwrap());
    let trace = recorder.finish("", "");
    let error = trace.strings[trace.messages.error[0] as usize].as_str();
    assert_eq!((error, trace.messages.call[0]), ("org.example.Error.Late", -1));
}

#[test]
fn replies_to_nobody_are_left_out_if_that_is_wanted() {
    for (only_known_replies, count) in [(false, 1), (true, 0)] {
        let mut recorder = Recorder::new(&Limits { only_known_replies, ..Limits::default() });
        let change = |header: &mut Header<'static>| header.reply_serial = NonZeroU32::new(9);
        let bytes = message(MessageType::MethodReturn, 1, change, |_| {});
        recorder.handle_message(Duration::ZERO, &Message::from_bytes(bytes).unwrap());
        assert_eq!(recorder.finish("", "").len(), count);
    }
}
