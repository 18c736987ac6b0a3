//! Type system and marshalling: protocol.md A.1.

use bus_tests::harness::{Bus, Encoder, Endian, Value, Written, field};

use crate::case::Case;
use crate::malformed::{BodyRow, Verdict, carrier, check_bodies, judge};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "every type is delivered unchanged in both byte orders",
            "A001 A002 A003 A004 A005 A006 A007 A008 A009 A010 A011 A012 A013 A014 A023 A059",
            every_type,
        ),
        Case::new(
            "valid bodies at the edge are delivered",
            "A008 A012 A015 A018 A022",
            valid_bodies,
        ),
        Case::new("invalid signatures disconnect", "A001 A013 A014 A016 A018 A060", signatures),
        Case::new("invalid booleans and padding disconnect", "A003 A022 A060", fixed_values),
        Case::new("invalid strings disconnect", "A008 A009 A010 A060", strings),
        Case::new("invalid arrays disconnect", "A012 A020 A021 A060", arrays),
        Case::new("invalid variants disconnect", "A011 A060", variants),
        Case::new("bodies of the wrong size disconnect", "A048 A056 A060", sizes),
        Case::new("64 nested variants are delivered, 65 disconnect", "A019", variant_depth),
        Case::new("nesting counts containers of every kind", "A019", mixed_depth),
        Case::new(
            "32 nested arrays or structs are delivered, 33 disconnect",
            "A018",
            signature_depth,
        ),
        Case::new("a signature of 255 bytes is delivered", "A017", longest_signature),
        Case::new(
            "an array of 2^26 bytes is delivered, one more disconnects",
            "A020",
            array_length,
        )
        .limits(&[("max_message_size", 134_217_728), ("max_outgoing_bytes", 134_217_728)]),
    ]
}

fn all_values() -> Vec<Value> {
    vec![
        Value::Byte(255),
        Value::Boolean(true),
        Value::Int16(-2),
        Value::Byte(1),
        Value::Uint16(0xfffe),
        Value::Int32(-3),
        Value::Uint32(0x0102_0304),
        Value::Byte(2),
        Value::Int64(i64::MIN),
        Value::Uint64(u64::MAX),
        Value::Double(-0.5),
        Value::String("grün \u{10ffff} \u{fdd0}".into()),
        Value::path("/a/_9"),
        Value::Signature("a{sv}(ii)".into()),
        Value::variant(Value::Struct(vec![Value::Byte(9), Value::variant("in")])),
        Value::Array("t".into(), vec![]),
        Value::Array("ay".into(), vec![Value::Array("y".into(), vec![Value::Byte(1)])]),
        Value::Array("(yx)".into(), vec![Value::Struct(vec![Value::Byte(1), Value::Int64(2)])]),
        Value::Array("{yv}".into(), vec![Value::entry(Value::Byte(1), Value::variant(2))]),
        Value::Struct(vec![Value::Struct(vec![Value::Boolean(false)])]),
    ]
}

fn every_type(bus: &Bus) {
    let mut recipient = bus.connect();
    for endian in Endian::BOTH {
        let mut message = carrier(&recipient).endian(endian);
        message.body = all_values();
        let Verdict::Delivered(delivered) = judge(bus, &mut recipient, &message.encode()) else {
            panic!("{endian:?}: not delivered");
        };
        assert_eq!(delivered.endian, endian);
        assert_eq!(delivered.body, message.body, "{endian:?}");
    }
}

fn valid_bodies(bus: &Bus) {
    let rows: &[BodyRow] = &[
        ("empty array keeps its element padding", "ax", |e| {
            e.u32(0);
            e.align(8);
        }),
        ("empty array of structs after a byte", "ya(t)", |e| {
            e.raw(&[1]);
            e.u32(0);
            e.align(8);
        }),
        ("duplicate keys in a dictionary", "a{yy}", |e| {
            e.array(8, |e| {
                e.raw(&[1, 2]);
                e.align(8);
                e.raw(&[1, 3]);
            });
        }),
        ("noncharacters", "s", |e| e.text("\u{fffe}\u{ffff}\u{1fffe}".as_bytes())),
        ("empty string", "s", |e| e.text(b"")),
        ("empty signature value", "g", |e| e.signature(b"")),
        ("no padding after the body", "sy", |e| {
            e.text(b"abc");
            e.raw(&[7]);
        }),
        ("array of booleans", "ab", |e| {
            e.array(4, |e| {
                e.u32(0);
                e.u32(1);
            });
        }),
    ];
    check_bodies(bus, rows, "delivered");
}

fn nothing(_encoder: &mut Encoder) {}

fn signatures(bus: &Bus) {
    const BAD: &[&str] = &[
        "r", "e", "m", "*", "?", "@", "&", "^", "z", "1", " ", "\0", "yr",
        "A", // no type codes
        "a", "aa", "ya", "(a)", // array without element type
        "(", "((y)", "y(", // struct started and not ended
        ")", "y)", "(y))", // struct ended and not started
        "()", "a()", "(())", // struct without fields
        "a{", "a{s", "a{sv", // dict entry started and not ended
        "}", "a}", "a{sv}}", // dict entry ended and not started
        "a{}",    // no fields
        "a{s}", "a{y}", // one field
        "a{svs}", "a{yyy}", // too many fields
        "{sv}", "({sv})", "y{yy}", // not inside an array
        "a{vs}", "a{ays}", "a{(y)s}", // key not basic
        "(a{sv)}", "a{(sv})", // interleaved
    ];
    let mut recipient = bus.connect();
    for signature in BAD {
        for endian in Endian::BOTH {
            let message = carrier(&recipient)
                .endian(endian)
                .with(field::SIGNATURE, Value::Signature((*signature).to_owned()))
                .arg(Value::Uint64(0));
            let verdict = judge(bus, &mut recipient, &message.encode());
            assert_eq!(verdict, Verdict::Disconnected, "{signature:?} {endian:?}");
        }
    }
}

fn fixed_values(bus: &Bus) {
    let rows: &[BodyRow] = &[
        ("boolean 2", "b", |e| e.u32(2)),
        ("boolean with a high bit", "b", |e| e.u32(0x0100_0001)),
        ("boolean 2 in an array", "ab", |e| {
            e.array(4, |e| {
                e.u32(1);
                e.u32(2);
            });
        }),
        ("boolean 2 in a struct", "(yb)", |e| {
            e.raw(&[1]);
            e.u32(2);
        }),
        ("boolean 2 in a variant", "v", |e| {
            e.signature(b"b");
            e.u32(2);
        }),
        ("padding before a number", "yu", |e| {
            e.raw(&[1]);
            e.align_with(4, 1);
            e.u32(0);
        }),
        ("padding before a struct", "y(y)", |e| {
            e.raw(&[1]);
            e.align_with(8, 1);
            e.raw(&[2]);
        }),
        ("padding between array length and elements", "ax", |e| {
            e.u32(8);
            e.align_with(8, 1);
            e.u64(1);
        }),
        ("padding after the length of an empty array", "ax", |e| {
            e.u32(0);
            e.align_with(8, 1);
        }),
        ("padding between dict entries", "a{yy}", |e| {
            e.array(8, |e| {
                e.raw(&[1, 2]);
                e.align_with(8, 1);
                e.raw(&[3, 4]);
            });
        }),
        ("padding inside a variant", "v", |e| {
            e.signature(b"u");
            e.align_with(4, 1);
            e.u32(1);
        }),
    ];
    check_bodies(bus, rows, "disconnected");
}

fn strings(bus: &Bus) {
    let rows: &[BodyRow] = &[
        ("overlong UTF-8", "s", |e| e.text(b"\xc0\xaf")),
        ("overlong NUL", "s", |e| e.text(b"\xc0\x80")),
        ("surrogate", "s", |e| e.text(b"\xed\xa0\x80")),
        ("above U+10FFFF", "s", |e| e.text(b"\xf4\x90\x80\x80")),
        ("lone continuation byte", "s", |e| e.text(b"a\x80")),
        ("cut sequence", "s", |e| e.text(b"a\xe2\x82")),
        ("Latin-1", "s", |e| e.text(b"gr\xfcn")),
        ("embedded NUL", "s", |e| e.text(b"a\0b")),
        ("no NUL after a string", "s", |e| {
            e.u32(1);
            e.raw(b"ab");
        }),
        ("string longer than the body", "s", |e| {
            e.u32(100);
            e.raw(b"ab\0");
        }),
        ("string length of 2^32-1", "s", |e| {
            e.u32(u32::MAX);
            e.raw(b"ab\0");
        }),
        ("string length without its NUL", "s", |e| {
            e.u32(3);
            e.raw(b"abc");
        }),
        ("bad UTF-8 in an array", "as", |e| e.array(4, |e| e.text(b"\xff"))),
        ("object path without slash", "o", |e| e.text(b"a")),
        ("empty object path", "o", |e| e.text(b"")),
        ("object path with an empty element", "o", |e| e.text(b"/a//b")),
        ("object path with a trailing slash", "o", |e| e.text(b"/a/")),
        ("object path with a dash", "o", |e| e.text(b"/a-b")),
        ("object path without NUL", "o", |e| {
            e.u32(2);
            e.raw(b"/ab");
        }),
        ("bad signature value", "g", |e| e.signature(b"a")),
        ("unknown code in a signature value", "g", |e| e.signature(b"z")),
        ("signature value without NUL", "g", |e| e.raw(b"\x01yx")),
        ("signature value longer than the body", "g", |e| e.raw(b"\x09y\0")),
    ];
    check_bodies(bus, rows, "disconnected");
}

fn arrays(bus: &Bus) {
    let rows: &[BodyRow] = &[
        ("longer than the body", "ay", |e| {
            e.u32(3);
            e.raw(&[1, 2]);
        }),
        ("length of 2^26+1", "ay", |e| {
            e.u32((1 << 26) + 1);
            e.raw(&[1, 2]);
        }),
        ("length of 2^32-1", "ay", |e| {
            e.u32(u32::MAX);
            e.raw(&[1, 2]);
        }),
        ("length not a multiple of UINT32", "au", |e| {
            e.u32(6);
            e.u32(1);
            e.raw(&[0, 0]);
        }),
        ("length not a multiple of INT16", "an", |e| {
            e.u32(3);
            e.raw(&[0, 0, 0]);
        }),
        ("length not a multiple of DOUBLE", "ad", |e| {
            e.u32(12);
            e.u64(1);
            e.u32(1);
        }),
        ("length not a multiple of BOOLEAN", "ab", |e| {
            e.u32(5);
            e.u32(1);
            e.raw(&[0]);
        }),
        ("length that cuts a struct", "a(yy)", |e| {
            e.u32(1);
            e.align(8);
            e.raw(&[1, 2]);
        }),
        ("length that cuts a string", "as", |e| {
            e.u32(5);
            e.text(b"ab");
        }),
        ("length one beyond its last element", "as", |e| {
            e.u32(8);
            e.text(b"ab");
            e.raw(&[0]);
        }),
        ("length that cuts a nested array", "aay", |e| {
            e.u32(4);
            e.u32(2);
            e.raw(&[1, 2]);
        }),
        ("missing length", "ay", |e| e.raw(&[0, 0])),
        ("missing element padding", "ax", |e| e.u32(0)),
    ];
    check_bodies(bus, rows, "disconnected");
}

fn variants(bus: &Bus) {
    let rows: &[BodyRow] = &[
        ("empty signature", "v", |e| e.raw(&[0, 0])),
        ("two types", "v", |e| {
            e.signature(b"yy");
            e.raw(&[1, 2]);
        }),
        ("unknown type", "v", |e| {
            e.signature(b"z");
            e.raw(&[1]);
        }),
        ("array without element", "v", |e| {
            e.signature(b"a");
            e.u32(0);
        }),
        ("dict entry outside an array", "v", |e| {
            e.signature(b"{yy}");
            e.align(8);
            e.raw(&[1, 2]);
        }),
        ("signature without NUL", "v", |e| e.raw(b"\x01y\x01\x01")),
        ("signature longer than the body", "v", |e| e.raw(b"\x20y\0")),
        ("no value", "v", |e| e.signature(b"y")),
        ("value cut short", "v", |e| {
            e.signature(b"u");
            e.align(4);
            e.raw(&[0, 0]);
        }),
        ("nothing at all", "v", nothing),
        ("bad string inside", "v", |e| {
            e.signature(b"s");
            e.text(b"\xff");
        }),
    ];
    check_bodies(bus, rows, "disconnected");
}

fn sizes(bus: &Bus) {
    let rows: &[BodyRow] = &[
        ("one byte too many", "y", |e| e.raw(&[1, 2])),
        ("a whole value too many", "u", |e| {
            e.u32(1);
            e.u32(2);
        }),
        ("an empty body with a signature", "y", nothing),
        ("one byte missing", "u", |e| e.raw(&[1, 2, 3])),
        ("second value missing", "uu", |e| e.u32(1)),
        ("struct cut short", "(yy)", |e| e.raw(&[1])),
        ("a body with an empty signature", "", |e| e.raw(&[1])),
    ];
    check_bodies(bus, rows, "disconnected");
}

/// `depth` variants around a byte.
fn nested_variants(depth: usize) -> Value {
    let mut value = Value::Byte(1);
    for _ in 0..depth {
        value = Value::variant(value);
    }
    value
}

fn check_depth(bus: &Bus, name: &str, value: Value, expected: &str) {
    let mut recipient = bus.connect();
    for endian in Endian::BOTH {
        let message = carrier(&recipient).endian(endian).arg(value.clone());
        let verdict = judge(bus, &mut recipient, &message.encode());
        assert_eq!(verdict.summary(), expected, "{name}, {endian:?}");
    }
}

fn variant_depth(bus: &Bus) {
    check_depth(bus, "64", nested_variants(64), "delivered");
    check_depth(bus, "65", nested_variants(65), "disconnected");
    check_depth(bus, "200", nested_variants(200), "disconnected");
}

fn mixed_depth(bus: &Bus) {
    let in_struct = |depth| Value::Struct(vec![nested_variants(depth)]);
    let in_array = |depth| Value::Array("v".into(), vec![nested_variants(depth)]);
    let in_entry = |depth| {
        Value::Array("{yv}".into(), vec![Value::entry(Value::Byte(1), nested_variants(depth))])
    };
    for depth in [62, 63, 64] {
        let mut recipient = bus.connect();
        let kinds =
            [("struct", in_struct(depth)), ("array", in_array(depth)), ("dict", in_entry(depth))];
        for (kind, value) in kinds {
            let message = carrier(&recipient).arg(value);
            let verdict = judge(bus, &mut recipient, &message.encode());
            bus.observe(format!("{depth} variants in one {kind}"), verdict.summary());
        }
    }
}

/// Signature bodies of arrays (empty) and structs (full) nested `depth` times.
fn signature_depth(bus: &Bus) {
    for (depth, expected) in [(32, "delivered"), (33, "disconnected")] {
        let arrays = Value::Array("a".repeat(depth - 1) + "y", vec![]);
        check_depth(bus, &format!("{depth} arrays"), arrays, expected);
        let mut structs = Value::Byte(1);
        for _ in 0..depth {
            structs = Value::Struct(vec![structs]);
        }
        check_depth(bus, &format!("{depth} structs"), structs, expected);
    }
    // 32 of each in one signature are the 64 in total.
    let both = Value::Array("a".repeat(31) + &"(".repeat(32) + "y" + &")".repeat(32), vec![]);
    check_depth(bus, "32 arrays of 32 structs", both, "delivered");
}

fn longest_signature(bus: &Bus) {
    let mut recipient = bus.connect();
    let mut message = carrier(&recipient);
    message.body = vec![Value::Byte(1); 255];
    let verdict = judge(bus, &mut recipient, &message.encode());
    assert_eq!(verdict.summary(), "delivered");
}

fn array_length(bus: &Bus) {
    for (size, expected) in [(1 << 26, "delivered"), ((1 << 26) + 1, "disconnected")] {
        let mut recipient = bus.connect();
        let mut sender = bus.connect();
        let message = carrier(&recipient)
            .with(field::SIGNATURE, Value::Signature("ay".into()))
            .arg(Value::Written(Written { signature: "ay", write: |e| e.u32(0) }));
        let mut bytes = message.encode();
        let body_at = bytes.len() - 4;
        bytes[4..8].copy_from_slice(&(4 + size as u32).to_le_bytes());
        bytes[body_at..].copy_from_slice(&(size as u32).to_le_bytes());
        bytes.resize(bytes.len() + size, 0);
        sender.raw.send(&bytes);
        let verdict = crate::malformed::judge_after_send(&mut sender, &mut recipient);
        assert_eq!(verdict.summary(), expected, "{size} bytes");
    }
}
