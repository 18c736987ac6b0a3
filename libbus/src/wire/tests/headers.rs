//! protocol.md A031–A054, and the header classes of A060.

use super::MessageError::*;
use super::*;

type Outcome = Result<(), MessageError>;

const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

fn check(case: &str, message: &[u8], expected: Outcome) {
    assert_eq!(verdict(message), expected, "{case}");
}

/// The fields of a method call that has all that it needs.
fn call() -> Raw {
    Raw::new().path_field("/a").text_field(3, "Member")
}

#[test]
fn fixed_part() {
    let with = |index: usize, byte: u8| {
        let mut message = call().message(CALL, &[]);
        message[index] = byte;
        message
    };
    check("good", &call().message(CALL, &[]), Ok(()));
    check("A032", &with(0, b'L'), Err(UnknownByteOrder));
    check("A033", &with(1, 0), Err(InvalidMessageType));
    check("A034: any flags", &with(2, 0xff), Ok(()));
    check("A035", &with(3, 2), Err(UnknownProtocolVersion));
    check("A035", &with(3, 0), Err(UnknownProtocolVersion));
    check("A036", &with(8, 0), Err(ZeroSerial));
}

#[test]
fn sizes() {
    // protocol.md A037, A038
    let fixed = |fields_size: u32, body_size: u32| {
        Raw::new().bytes(b"l\x01\0\x01").u32(body_size).u32(1).u32(fields_size).0
    };
    let check = |fields_size, body_size, max, expected: Result<usize, MessageError>| {
        let frame = frame(&fixed(fields_size, body_size), max);
        let size = frame.map(|frame| frame.expect("16 bytes").message_size());
        assert_eq!(size, expected, "{fields_size} {body_size} {max}");
    };
    check(0, 0, u32::MAX, Ok(16));
    check(1, 3, u32::MAX, Ok(24 + 3));
    check(8, 3, 27, Ok(27));
    check(8, 3, 26, Err(MessageTooLong));
    check(1 << 26, 0, u32::MAX, Ok((1 << 26) + 16));
    check((1 << 26) + 1, 0, u32::MAX, Err(FieldsTooLong));
    check(u32::MAX, u32::MAX, u32::MAX, Err(FieldsTooLong));
    check(0, (1 << 27) - 16, u32::MAX, Ok(1 << 27));
    check(0, (1 << 27) - 15, u32::MAX, Err(MessageTooLong));
    check(0, (1 << 27) + 1, u32::MAX, Err(BodyTooLong));
    check(0, u32::MAX, u32::MAX, Err(BodyTooLong));
    for size in 0..16 {
        assert_eq!(frame(&fixed(0, 0)[..size], u32::MAX), Ok(None), "{size} bytes");
    }
}

#[test]
fn required_fields() {
    let serial = || Raw::new().field(5, "u").u32(1);
    let interface = |raw: Raw| raw.text_field(2, "a.b");
    let rows: &[(&str, u8, Raw, Outcome)] = &[
        ("A041 call", CALL, Raw::new().text_field(3, "M"), Err(MissingPath)),
        ("A043 call", CALL, Raw::new().path_field("/"), Err(MissingMember)),
        ("A042 call without", CALL, call(), Ok(())),
        ("A041 signal", SIGNAL, interface(Raw::new().text_field(3, "M")), Err(MissingPath)),
        ("A042 signal", SIGNAL, call(), Err(MissingInterface)),
        ("A043 signal", SIGNAL, interface(Raw::new().path_field("/")), Err(MissingMember)),
        ("signal", SIGNAL, interface(call()), Ok(())),
        ("A045 return", RETURN, Raw::new(), Err(MissingReplySerial)),
        ("return", RETURN, serial(), Ok(())),
        ("A044", ERROR, serial(), Err(MissingErrorName)),
        ("A045 error", ERROR, Raw::new().text_field(4, "a.B"), Err(MissingReplySerial)),
        ("error", ERROR, serial().text_field(4, "a.B"), Ok(())),
        ("A033 unknown type", 5, Raw::new(), Ok(())),
        ("A033 highest type", 255, Raw::new(), Ok(())),
        ("A053 reply serial in a call", CALL, call().field(5, "u").u32(1), Ok(())),
        ("A053 error name in a call", CALL, call().text_field(4, "a.B"), Ok(())),
    ];
    for (case, message_type, fields, expected) in rows {
        check(case, &fields.message(*message_type, &[]), *expected);
    }
}

#[test]
fn field_values() {
    let rows: &[(&str, Raw, Outcome)] = &[
        ("A040", call().field(0, "y").bytes(b"x"), Err(InvalidFieldCode)),
        ("A041 path", Raw::new().path_field("a"), Err(InvalidPath)),
        ("A042 interface", call().text_field(2, "a"), Err(InvalidInterface)),
        ("A043 member", Raw::new().path_field("/").text_field(3, "a.b"), Err(InvalidMember)),
        ("A044 error name", call().text_field(4, "a"), Err(InvalidErrorName)),
        ("A045 reply serial", call().field(5, "u").u32(0), Err(ZeroReplySerial)),
        ("A046 destination", call().text_field(6, "a"), Err(InvalidDestination)),
        ("A046 unique", call().text_field(6, ":1.5"), Ok(())),
        ("A046 well-known", call().text_field(6, "a.b"), Ok(())),
        ("A047 sender", call().text_field(7, "a"), Err(InvalidSender)),
        ("A047 forged sender", call().text_field(7, ":1.5"), Ok(())),
        ("A048 types, no body", call().field(8, "g").signature("y"), Err(NotEnoughData)),
        ("A048 no types", call().field(8, "g").signature(""), Ok(())),
        (
            "A048 not a signature",
            call().field(8, "g").signature("a"),
            Err(InvalidSignature(SignatureError::MissingArrayElement)),
        ),
        ("A049", call().field(9, "u").u32(0), Ok(())),
        ("NUL in a name", call().text_field(2, "a.b\0c"), Err(InvalidInterface)),
        ("no UTF-8", call().field(2, "s").u32(1).bytes(b"\xff\0"), Err(InvalidUtf8)),
        ("A052 unknown", call().field(10, "o").string("/x"), Ok(())),
        ("A052 highest", call().field(255, "y").bytes(b"x"), Ok(())),
        ("A052 twice", call().field(11, "y").bytes(b"x").field(11, "y").bytes(b"x"), Ok(())),
        ("A052 invalid value", call().field(200, "b").u32(2), Err(InvalidBoolean)),
        (
            "A054 path",
            Raw::new().path_field("/org/freedesktop/DBus/Local").text_field(3, "M"),
            Err(LocalPath),
        ),
        ("A054 interface", call().text_field(2, "org.freedesktop.DBus.Local"), Err(LocalInterface)),
    ];
    for (case, fields, expected) in rows {
        check(case, &fields.message(CALL, &[]), *expected);
    }
}

#[test]
fn every_known_field_has_its_type_and_appears_once() {
    // protocol.md A051
    for code in 1..=9 {
        let wrong = Raw::new().field(code, "y").bytes(b"x");
        check("wrong type", &wrong.message(5, &[]), Err(FieldWrongType));
        let wrong = Raw::new().field(code, "v").signature("b").u32(2);
        check("wrong type, wrong value", &wrong.message(5, &[]), Err(InvalidBoolean));
        let several = Raw::new().field(code, "yy").bytes(b"xx");
        check("two types", &several.message(5, &[]), Err(VariantSignatureMultiple));
    }
    let values: [fn(Raw) -> Raw; 9] = [
        |raw| raw.path_field("/a"),
        |raw| raw.text_field(2, "a.b"),
        |raw| raw.text_field(3, "M"),
        |raw| raw.text_field(4, "a.b"),
        |raw| raw.field(5, "u").u32(1),
        |raw| raw.text_field(6, "a.b"),
        |raw| raw.text_field(7, "a.b"),
        |raw| raw.field(8, "g").signature(""),
        |raw| raw.field(9, "u").u32(1),
    ];
    for value in values {
        check("once", &value(Raw::new()).message(5, &[]), Ok(()));
        check("twice", &value(value(Raw::new())).message(5, &[]), Err(FieldTwice));
    }
}

#[test]
fn padding_in_the_header() {
    // protocol.md A022, A031
    let good = call().message(CALL, &[]);
    let (after_path, at_the_end) = (16 + 11, good.len() - 1);
    for index in [after_path, at_the_end] {
        let mut bad = good.clone();
        assert_eq!(bad[index], 0);
        bad[index] = 1;
        check("padding", &bad, Err(PaddingNotNul));
    }
}

#[test]
fn fields_that_do_not_fit_their_array() {
    let mut message = call().message(CALL, &[]);
    let size = message[12];
    message[12] = size - 1;
    check("member cut short", &message, Err(LengthOutOfBounds));
    message[12] = 12;
    message.truncate(32);
    check("padding without a field", &message, Err(NotEnoughData));
}

#[test]
fn nesting_in_the_header() {
    // protocol.md A019: the array and the structure of the fields count.
    let variants = |count: usize| {
        let fields = call().field(20, "v").bytes(&b"\x01v\0".repeat(count - 2));
        fields.signature("y").bytes(b"x").message(CALL, &[])
    };
    check("64 containers", &variants(62), Ok(()));
    check("65 containers", &variants(63), Err(TooDeep));
}

#[test]
fn announced_descriptors() {
    // protocol.md A057
    let message = call().field(9, "u").u32(2).message(CALL, &[]);
    let frame = frame(&message, u32::MAX).expect("valid").expect("complete");
    let parsed = ParsedHeader::parse(&message, &frame).expect("valid");
    assert_eq!(parsed.header.check_unix_fds(3), Ok(()));
    assert_eq!(parsed.header.check_unix_fds(2), Ok(()));
    assert_eq!(parsed.header.check_unix_fds(1), Err(MissingUnixFds));
}

#[test]
fn fields_are_read() {
    let fields = call()
        .text_field(2, "a.b")
        .text_field(4, "a.Error")
        .field(5, "u")
        .u32(3)
        .text_field(6, "a.Destination")
        .text_field(7, ":1.9")
        .field(8, "g")
        .signature("s")
        .field(9, "u")
        .u32(4);
    let message = fields.message(CALL, &Raw::new().string("").0);
    let frame = frame(&message, u32::MAX).expect("valid").expect("complete");
    let parsed = ParsedHeader::parse(&message, &frame).expect("valid");
    let header = parsed.header;
    assert_eq!(parsed.size, frame.header_size);
    assert_eq!((header.endian, header.message_type), (Endian::Little, MessageType::MethodCall));
    assert_eq!(header.serial.get(), 7);
    assert_eq!(header.path.map(|path| path.as_str()), Some("/a"));
    assert_eq!(header.interface.map(|name| name.as_str()), Some("a.b"));
    assert_eq!(header.member.map(|name| name.as_str()), Some("Member"));
    assert_eq!(header.error_name.map(|name| name.as_str()), Some("a.Error"));
    assert_eq!(header.reply_serial.map(|serial| serial.get()), Some(3));
    assert_eq!(header.destination.map(|name| name.as_str()), Some("a.Destination"));
    assert_eq!(header.sender.map(|name| name.as_str()), Some(":1.9"));
    assert_eq!((header.signature.as_str(), header.unix_fds), ("s", 4));
}

#[test]
fn a_frame_of_another_message_is_no_harm() {
    let message = call().message(CALL, &[]);
    for header_size in 0..message.len() {
        let frame = Frame { header_size, body_size: 0 };
        assert!(ParsedHeader::parse(&message, &frame).is_err(), "{header_size}");
    }
}
