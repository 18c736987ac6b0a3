//! protocol.md A034, A047, A050, A052 and A059: the header as the bus passes it on.

use super::*;

/// Appends the stamped header of `message` after some other bytes, and returns it.
fn stamp(message: &[u8], sender: &str) -> Vec<u8> {
    let frame = frame(message, u32::MAX).expect("valid").expect("complete");
    let parsed = ParsedHeader::parse(message, &frame).expect("valid");
    let mut out = b"abc".to_vec();
    parsed.write_stamped(message, sender, &mut out);
    out.split_off(3)
}

/// `fields` of a method call come out as `expected`, with the sender behind them.
fn check(case: &str, fields: &Raw, expected: &Raw) {
    let stamped = stamp(&fields.message(1, &[]), ":1.42");
    let expected = expected.clone().text_field(7, ":1.42").message(1, &[]);
    assert_eq!(stamped, expected, "{case}");
    assert_eq!(verdict(&stamped), Ok(()), "{case}");
}

#[test]
fn the_true_sender_and_only_known_fields() {
    let call = || Raw::new().path_field("/a").text_field(3, "Member");
    check("nothing to remove", &call(), &call());
    check("forged sender", &call().text_field(7, ":1.1"), &call());
    check("unknown field", &call().field(10, "o").string("/x"), &call());
    check(
        "unknown field of many bytes",
        &call().field(99, "at").u32(8).pad(8).bytes(&[1; 8]),
        &call(),
    );
    let forged_first = Raw::new()
        .text_field(7, ":1.12345678")
        .field(77, "y")
        .bytes(b"x")
        .path_field("/a")
        .field(78, "v")
        .signature("s")
        .string("x")
        .text_field(3, "Member");
    check("between the others", &forged_first, &call());
    let all = || {
        call()
            .field(9, "u")
            .u32(2)
            .text_field(2, "a.b")
            .field(8, "g")
            .signature("")
            .text_field(6, ":1.5")
            .field(5, "u")
            .u32(9)
            .text_field(4, "a.b")
    };
    check("every field, any order", &all(), &all());
    check("every field and a forged sender", &all().text_field(7, ":1.1"), &all());
}

#[test]
fn unknown_flags_are_cleared() {
    // protocol.md A034
    let mut message = Raw::new().path_field("/a").text_field(3, "Member").message(1, &[]);
    for (flags, expected) in [(0, 0), (1, 1), (2, 2), (4, 4), (7, 7), (0xf8, 0), (0xff, 7)] {
        message[2] = flags;
        assert_eq!(stamp(&message, ":1.42")[2], expected, "{flags:#x}");
    }
}

#[test]
fn any_length_of_sender_and_fields() {
    for (name_size, sender_size) in (1..20).flat_map(|a| (4..20).map(move |b| (a, b))) {
        let fields = Raw::new().path_field("/").text_field(3, &"m".repeat(name_size));
        let sender = format!(":1.{}", "9".repeat(sender_size - 3));
        let stamped = stamp(&fields.message(1, &[]), &sender);
        assert_eq!(stamped, fields.text_field(7, &sender).message(1, &[]));
    }
}
