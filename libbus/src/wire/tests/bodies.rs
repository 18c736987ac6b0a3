//! protocol.md A002–A023 and A056, and the body classes of A060.

use super::MessageError::*;
use super::*;

type Outcome = Result<(), MessageError>;

fn check(case: &str, signature: &str, body: &Raw, expected: Outcome) {
    let signature = Signature::parse(signature).expect("valid");
    let mut spans = ArgumentSpans::new();
    let outcome = check_body(signature, &body.0, Endian::Little, &mut spans);
    assert_eq!(outcome, expected, "{case}");
}

fn raw(bytes: &[u8]) -> Raw {
    Raw::new().bytes(bytes)
}

#[test]
fn sizes() {
    check("empty", "", &raw(b""), Ok(()));
    check("bytes without types (A048)", "", &raw(b"\0"), Err(TooMuchData));
    check("types without bytes (A056)", "y", &raw(b""), Err(NotEnoughData));
    check("a byte too many (A056)", "y", &raw(b"ab"), Err(TooMuchData));
    for (code, size) in [("y", 1), ("n", 2), ("q", 2), ("i", 4), ("u", 4), ("h", 4), ("b", 4)]
        .into_iter()
        .chain([("x", 8), ("t", 8), ("d", 8)])
    {
        check(code, code, &raw(&vec![0; size]), Ok(()));
        check(code, code, &raw(&vec![0; size - 1]), Err(NotEnoughData));
        check(code, code, &raw(&vec![0; size + 1]), Err(TooMuchData));
    }
}

#[test]
fn padding() {
    // protocol.md A022, A023
    for (signature, size) in [("yn", 2), ("yu", 4), ("yt", 8)] {
        let good = raw(&vec![0; 2 * size]);
        check(signature, signature, &good, Ok(()));
        for index in 1..size {
            let mut bad = good.clone();
            bad.0[index] = 1;
            check(signature, signature, &bad, Err(PaddingNotNul));
        }
    }
    check("padding cut short", "yu", &raw(b"\0\0\0"), Err(NotEnoughData));
    check("before a structure", "y(y)", &raw(b"y\0\0\0\0\0\0\0y"), Ok(()));
    check("before a structure", "y(y)", &raw(b"y\0\0\0\0\0\0\x01y"), Err(PaddingNotNul));
    // protocol.md A012: there is padding even when no element follows.
    check("empty array", "ax", &Raw::new().u32(0).u32(0), Ok(()));
    check("empty array, padding", "ax", &Raw::new().u32(0).u32(1), Err(PaddingNotNul));
    check("empty array without padding", "ax", &Raw::new().u32(0), Err(NotEnoughData));
}

#[test]
fn booleans() {
    // protocol.md A003
    check("false", "b", &Raw::new().u32(0), Ok(()));
    check("true", "b", &Raw::new().u32(1), Ok(()));
    check("2", "b", &Raw::new().u32(2), Err(InvalidBoolean));
    check("highest bit", "b", &Raw::new().u32(1 << 31), Err(InvalidBoolean));
    check("in an array", "ab", &Raw::new().u32(8).u32(1).u32(0), Ok(()));
    check("2 in an array", "ab", &Raw::new().u32(8).u32(1).u32(2), Err(InvalidBoolean));
    let uneven = Raw::new().u32(6).u32(1).bytes(&[0; 2]);
    check("array of one and a half", "ab", &uneven, Err(ArrayLengthInexact));
}

#[test]
fn strings() {
    // protocol.md A008
    check("text", "s", &Raw::new().string("gr\u{fc}n"), Ok(()));
    check("empty", "s", &Raw::new().string(""), Ok(()));
    check("noncharacters", "s", &Raw::new().string("\u{fdd0}\u{fffe}\u{10ffff}"), Ok(()));
    let text = |bytes: &[u8]| Raw::new().u32(bytes.len() as u32).bytes(bytes).bytes(&[0]);
    check("not UTF-8", "s", &text(b"a\xff"), Err(InvalidUtf8));
    check("overlong", "s", &text(b"\xc0\x80"), Err(InvalidUtf8));
    check("surrogate", "s", &text(b"\xed\xa0\x80"), Err(InvalidUtf8));
    check("above U+10FFFF", "s", &text(b"\xf4\x90\x80\x80"), Err(InvalidUtf8));
    check("cut short", "s", &text(b"\xe2\x82"), Err(InvalidUtf8));
    check("NUL inside", "s", &text(b"a\0b"), Err(NulInString));
    check("no NUL after", "s", &Raw::new().u32(1).bytes(b"ab"), Err(StringNotTerminated));
    check("ends before its NUL", "s", &Raw::new().u32(1).bytes(b"a"), Err(LengthOutOfBounds));
    check("too long", "s", &Raw::new().u32(u32::MAX).bytes(b"a\0"), Err(LengthOutOfBounds));
    check("no room for the length", "s", &raw(b"\0\0\0"), Err(NotEnoughData));
}

#[test]
fn object_paths() {
    // protocol.md A009
    check("root", "o", &Raw::new().string("/"), Ok(()));
    check("path", "o", &Raw::new().string("/a/b"), Ok(()));
    check("empty", "o", &Raw::new().string(""), Err(InvalidPath));
    check("not UTF-8", "o", &Raw::new().u32(2).bytes(b"/\xff\0"), Err(InvalidPath));
    check("no NUL after", "o", &Raw::new().u32(1).bytes(b"//"), Err(StringNotTerminated));
}

#[test]
fn signatures() {
    // protocol.md A010
    check("two types", "g", &Raw::new().signature("sv"), Ok(()));
    check("empty", "g", &Raw::new().signature(""), Ok(()));
    check("too long", "g", &raw(b"\x03yy\0"), Err(SignatureLengthOutOfBounds));
    check("ends before its NUL", "g", &raw(b"\x01y"), Err(SignatureLengthOutOfBounds));
    check("no NUL after", "g", &raw(b"\x01yy"), Err(SignatureNotTerminated));
    let invalid = |error| Err(InvalidSignature(error));
    check("NUL", "g", &raw(b"\x01\0\0"), invalid(SignatureError::UnknownTypeCode));
    check("not ASCII", "g", &raw(b"\x01\xff\0"), invalid(SignatureError::UnknownTypeCode));
    check(
        "no element",
        "g",
        &Raw::new().signature("a"),
        invalid(SignatureError::MissingArrayElement),
    );
}

#[test]
fn variants() {
    // protocol.md A011
    check("byte", "v", &Raw::new().signature("y").bytes(b"x"), Ok(()));
    check("padding for its value", "v", &Raw::new().signature("u").u32(5), Ok(()));
    check("empty", "v", &Raw::new().signature(""), Err(VariantSignatureEmpty));
    check("two types", "v", &Raw::new().signature("yy"), Err(VariantSignatureMultiple));
    check("too long", "v", &raw(b"\x09y\0"), Err(VariantSignatureLengthOutOfBounds));
    check("ends before its NUL", "v", &raw(b"\x01y"), Err(VariantSignatureLengthOutOfBounds));
    check("no NUL after", "v", &raw(b"\x01yy"), Err(VariantSignatureNotTerminated));
    check("no value", "v", &Raw::new().signature("y"), Err(NotEnoughData));
    check("wrong value", "v", &Raw::new().signature("b").u32(2), Err(InvalidBoolean));
    let invalid = |error| Err(InvalidVariantSignature(error));
    let signatures = [
        ("\x01", SignatureError::UnknownTypeCode),
        ("a", SignatureError::MissingArrayElement),
        (")", SignatureError::StructureNotStarted),
        ("(y", SignatureError::StructureNotEnded),
        ("()", SignatureError::StructureEmpty),
        ("}", SignatureError::DictEntryNotStarted),
        ("a{yy", SignatureError::DictEntryNotEnded),
        ("a{}", SignatureError::DictEntryEmpty),
        ("a{y}", SignatureError::DictEntryOneField),
        ("a{yyy}", SignatureError::DictEntryTooManyFields),
        ("{yy}", SignatureError::DictEntryOutsideArray),
        ("a{vy}", SignatureError::DictKeyNotBasic),
    ];
    for (text, error) in signatures {
        check(text, "v", &Raw::new().signature(text), invalid(error));
    }
    let arrays = "a".repeat(33) + "y";
    check("33 arrays", "v", &Raw::new().signature(&arrays), invalid(SignatureError::ArraysTooDeep));
}

#[test]
fn arrays() {
    // protocol.md A012, A020, A021
    check("numbers", "au", &Raw::new().u32(8).u32(1).u32(2), Ok(()));
    check("no numbers", "au", &Raw::new().u32(0), Ok(()));
    check("part of a number", "au", &Raw::new().u32(3).bytes(&[0; 3]), Err(ArrayLengthInexact));
    check("too long for the body", "au", &Raw::new().u32(4), Err(LengthOutOfBounds));
    check("shorter than the body", "ay", &Raw::new().u32(1).bytes(b"ab"), Err(TooMuchData));
    check("64 MiB", "ay", &Raw::new().u32(1 << 26), Err(LengthOutOfBounds));
    check("more than 64 MiB", "ay", &Raw::new().u32((1 << 26) + 1), Err(ArrayTooLong));
    check("strings", "as", &Raw::new().u32(14).string("a").string("b"), Ok(()));
    let cut = Raw::new().u32(7).string("a").string("b");
    check("ends inside an element", "as", &cut, Err(ArrayLengthInexact));
    check("ends after padding", "as", &Raw::new().u32(8).string("a").pad(4), Err(NotEnoughData));
    check("empty, then a byte", "a(a{s(uv)})y", &Raw::new().u32(0).u32(0).bytes(b"y"), Ok(()));
    check("empty arrays", "aa(yv)", &Raw::new().u32(20).u32(0).u32(0).u32(0).u32(0).u32(0), Ok(()));
    let entries = Raw::new().u32(21).pad(8).string("k").signature("y").bytes(b"x").pad(8);
    let entries = entries.string("").signature("");
    check("dictionary", "a{sv}", &entries, Err(VariantSignatureEmpty));
}

#[test]
fn nesting() {
    // protocol.md A019: 64 containers pass, 65 do not, whatever they are.
    let variants = |count: usize, signature: &str| {
        Raw::new().bytes(&b"\x01v\0".repeat(count - 1)).signature(signature)
    };
    check("64 variants", "v", &variants(64, "y").bytes(b"x"), Ok(()));
    check("65 variants", "v", &variants(65, "y").bytes(b"x"), Err(TooDeep));
    check("63 and a structure", "v", &variants(63, "(y)").pad(8).bytes(b"x"), Ok(()));
    check("64 and a structure", "v", &variants(64, "(y)").pad(8).bytes(b"x"), Err(TooDeep));
    check("63 and strings", "v", &variants(63, "as").u32(6).string("x"), Ok(()));
    check("64 and strings", "v", &variants(64, "as").u32(6).string("x"), Err(TooDeep));
    check("63 and numbers", "v", &variants(63, "ay").u32(1).bytes(b"x"), Ok(()));
    check("64 and numbers", "v", &variants(64, "ay").u32(1).bytes(b"x"), Err(TooDeep));
    let entry = |count| variants(count, "a{yy}").u32(2).pad(8).bytes(b"kv");
    check("62 and a dictionary with an entry", "v", &entry(62), Ok(()));
    check("63 and a dictionary with an entry", "v", &entry(63), Err(TooDeep));
}

#[test]
fn descriptor_indices_are_not_checked() {
    // protocol.md A058
    check("index without descriptor", "h", &Raw::new().u32(7), Ok(()));
}

#[test]
fn big_endian() {
    let body = [0, 0, 0, 1, 0, 0, 0, 2, b'h', b'i', 0, 0, 0, 0, 0, 4, 0, 0, 0, 1];
    let signature = Signature::from_static("bsab");
    let mut spans = ArgumentSpans::new();
    assert_eq!(check_body(signature, &body, Endian::Big, &mut spans), Ok(()));
    assert_eq!(check_body(signature, &body, Endian::Little, &mut spans), Err(InvalidBoolean));
    let mut bad = body;
    bad[16] = 1;
    assert_eq!(check_body(signature, &bad, Endian::Big, &mut spans), Err(InvalidBoolean));
}

#[test]
fn argument_spans() {
    // protocol.md A164: arguments 0 to 63 of type s or o, at the top level only.
    let body = Raw::new().string("zero").u32(1).string("/two").u32(6).string("x").string("");
    let signature = Signature::from_static("suoass");
    let mut spans = ArgumentSpans::new();
    assert_eq!(check_body(signature, &body.0, Endian::Little, &mut spans), Ok(()));
    let arguments = Arguments::new(&spans, &body.0);
    let expected = [
        Some(Argument::String(b"zero")),
        None,
        Some(Argument::ObjectPath(b"/two")),
        None,
        Some(Argument::String(b"")),
        None,
    ];
    for (index, argument) in (0..).zip(expected) {
        assert_eq!(arguments.get(index), argument, "{index}");
    }

    // The same spans serve for the next message, and forget this one.
    let next = Raw::new().u32(0);
    assert_eq!(
        check_body(Signature::from_static("u"), &next.0, Endian::Little, &mut spans),
        Ok(())
    );
    assert_eq!(Arguments::new(&spans, &next.0).get(0), None);
    assert_eq!(Arguments::EMPTY.get(0), None);
}

#[test]
fn arguments_beyond_63_are_not_noted() {
    let text = "s".repeat(65);
    let signature = Signature::parse(&text).expect("valid");
    let body = (0..65).fold(Raw::new(), |body, index| body.string(&index.to_string()));
    let mut spans = ArgumentSpans::new();
    assert_eq!(check_body(signature, &body.0, Endian::Little, &mut spans), Ok(()));
    let arguments = Arguments::new(&spans, &body.0);
    assert_eq!(arguments.get(63), Some(Argument::String(b"63")));
    assert_eq!(arguments.get(64), None);
    assert_eq!(arguments.get(255), None);
}
