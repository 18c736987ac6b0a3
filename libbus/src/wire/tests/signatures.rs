//! protocol.md A001, A013–A018, and the signature classes of A060.

use super::*;

fn check(case: &str, text: &str, expected: Result<(), SignatureError>) {
    assert_eq!(Signature::parse(text).map(drop), expected, "{case}: {text}");
}

#[test]
fn valid_signatures() {
    check("empty", "", Ok(()));
    check("every basic type (A001)", "ybnqiuxtdsogh", Ok(()));
    check("variant", "v", Ok(()));
    check("array", "as", Ok(()));
    check("array of arrays", "aas", Ok(()));
    check("structure", "(s)", Ok(()));
    check("structures in structures", "((s)(i(v)))", Ok(()));
    check("dictionary", "a{sv}", Ok(()));
    check("dictionary of dictionaries", "a{oa{sa{sv}}}", Ok(()));
    check("several types", "sa{sv}as(ii)", Ok(()));
}

#[test]
fn every_other_code_is_refused() {
    // protocol.md A016
    for code in (0..=255).map(char::from).filter(|code| !"ybnqiuxtdsoghva(){}".contains(*code)) {
        check("reserved code", &code.to_string(), Err(SignatureError::UnknownTypeCode));
    }
}

#[test]
fn broken_containers() {
    check("no element", "a", Err(SignatureError::MissingArrayElement));
    check("no element before )", "(a)", Err(SignatureError::MissingArrayElement));
    check("no element before }", "a{sa}", Err(SignatureError::MissingArrayElement));
    check("structure not started", "s)", Err(SignatureError::StructureNotStarted));
    check("structure not ended", "(s", Err(SignatureError::StructureNotEnded));
    check("structure just opened", "(", Err(SignatureError::StructureNotEnded));
    check("structure without fields", "()", Err(SignatureError::StructureEmpty));
    check("structure ended as entry", "(s}", Err(SignatureError::DictEntryNotStarted));
    check("entry not started", "s}", Err(SignatureError::DictEntryNotStarted));
    check("entry not ended", "a{sv", Err(SignatureError::DictEntryNotEnded));
    check("entry not ended after its key", "a{s", Err(SignatureError::DictEntryNotEnded));
    check("entry just opened", "a{", Err(SignatureError::DictEntryNotEnded));
    check("entry without fields", "a{}", Err(SignatureError::DictEntryEmpty));
    check("entry of one field", "a{s}", Err(SignatureError::DictEntryOneField));
    check("entry of three fields", "a{svv}", Err(SignatureError::DictEntryTooManyFields));
    check("entry ended as structure", "a{s)", Err(SignatureError::StructureNotStarted));
    check("entry outside an array", "{sv}", Err(SignatureError::DictEntryOutsideArray));
    check("entry in a structure", "({sv})", Err(SignatureError::DictEntryOutsideArray));
    check("variant as key", "a{vs}", Err(SignatureError::DictKeyNotBasic));
    check("structure as key", "a{(s)s}", Err(SignatureError::DictKeyNotBasic));
    check("array as key", "a{ass}", Err(SignatureError::DictKeyNotBasic));
}

#[test]
fn bounds() {
    // protocol.md A017
    check("255 bytes", &"y".repeat(255), Ok(()));
    check("256 bytes", &"y".repeat(256), Err(SignatureError::TooLong));
    // protocol.md A018
    let arrays = |count: usize| "a".repeat(count) + "y";
    check("32 arrays", &arrays(32), Ok(()));
    check("33 arrays", &arrays(33), Err(SignatureError::ArraysTooDeep));
    let structures = |count: usize| "(".repeat(count) + "y" + &")".repeat(count);
    check("32 structures", &structures(32), Ok(()));
    check("33 structures", &structures(33), Err(SignatureError::StructuresTooDeep));
    check("64 containers", &("a".repeat(32) + &structures(32)), Ok(()));
    let siblings = arrays(32) + &arrays(32) + &structures(32) + &structures(32);
    check("siblings do not add up", &siblings, Ok(()));
    let entries = |count: usize| "a{y".repeat(count) + "y" + &"}".repeat(count);
    check("32 entries", &entries(32), Ok(()));
    check("33 entries", &entries(33), Err(SignatureError::ArraysTooDeep));
}

#[test]
fn complete_types() {
    let types = |text| {
        let signature = Signature::parse(text).expect("valid");
        signature.types().map(Signature::as_str).collect::<Vec<_>>()
    };
    assert_eq!(types(""), [] as [&str; 0]);
    assert_eq!(types("sv"), ["s", "v"]);
    assert_eq!(types("aasa{s(iv)}((y)u)ay"), ["aas", "a{s(iv)}", "((y)u)", "ay"]);
}

#[test]
fn alignments() {
    // protocol.md A002–A014
    let rows = [("yvg", 1), ("nq", 2), ("biuhso", 4), ("xtd", 8)];
    for (code, alignment) in rows.iter().flat_map(|(codes, n)| codes.chars().map(move |c| (c, n))) {
        let text = code.to_string();
        assert_eq!(Signature::parse(&text).expect("valid").alignment(), *alignment, "{code}");
    }
    assert_eq!(Signature::from_static("at").alignment(), 4);
    assert_eq!(Signature::from_static("(y)").alignment(), 8);
    assert_eq!(Signature::EMPTY.alignment(), 1);
}
