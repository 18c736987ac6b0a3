use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::wire::{ArgumentSpans, BodyWriter, Endian, Signature, check_body};

/// Checks what a rule prints once it is parsed.
fn check(case: &str, text: &str, expected: &str) {
    let printed = MatchRule::parse(text).map(|rule| rule.to_string());
    assert_eq!(printed, Ok(expected.to_owned()), "{case}: {text:?}");
}

fn check_refused(case: &str, text: &str, expected: MatchRuleError) {
    assert_eq!(MatchRule::parse(text), Err(expected), "{case}: {text:?}");
}

fn unknown(key: &str) -> MatchRuleError {
    MatchRuleError::UnknownKey(key.into())
}

fn repeated(key: &str) -> MatchRuleError {
    MatchRuleError::RepeatedKey(key.into())
}

#[test]
fn a_rule_is_a_list_of_keys() {
    // protocol.md A154
    check("empty", "", "");
    check("one key", "type='signal'", "type='signal'");
    check("two keys", "member='M',type='signal'", "type='signal',member='M'");
    check("comma at the end", "type='signal',", "type='signal'");
    check("comma and white space at the end", "type='signal', \t", "type='signal'");
    check_refused("comma alone", ",", MatchRuleError::MissingEquals);
    check_refused("two commas", "type='signal',,", MatchRuleError::MissingEquals);
    check_refused("comma first", ",type='signal'", unknown(",type"));
    check_refused("no equals sign", "type", MatchRuleError::MissingEquals);
    check_refused("no key", "='signal'", unknown(""));
    check_refused("other separator", "type='error';", MatchRuleError::InvalidWord("type".into()));
}

#[test]
fn values_are_quoted_like_in_a_shell_but_for_backslashes() {
    // protocol.md A155
    check("quotes", "arg0='a,b'", "arg0='a,b'");
    check("no quotes", "arg0=a,arg1=b", "arg0='a',arg1='b'");
    check("sections", "arg0=a'b,'c''d", "arg0='ab,cd'");
    check("equals sign", "arg0=a=b", "arg0='a=b'");
    check("nothing", "arg0=", "arg0=''");
    check("backslash in quotes", r"arg0='a\'", r"arg0='a\'");
    check("apostrophe", r"arg0=a\'b", r"arg0='a'\''b'");
    check("apostrophe between sections", r"arg0=''\'''", r"arg0=''\'''");
    check("other backslashes", r"arg0=\a\\", r"arg0='\a\\'");
    check("backslash before an apostrophe", r"arg0=\\'", r"arg0='\'\'''");
    check("backslash before a comma", r"arg0=\,arg1=b", r"arg0='\',arg1='b'");
    check("beyond ASCII", "arg0='\u{e9}\u{1f68c}'", "arg0='\u{e9}\u{1f68c}'");
    for text in ["arg0='a", "arg0=a'b", r"arg0='a\'b'", "arg0='", "member=''\\''''"] {
        check_refused("unbalanced", text, MatchRuleError::UnbalancedQuotes);
    }
}

#[test]
fn the_specifications_two_examples_are_one_rule() {
    // protocol.md A155
    let quoted = MatchRule::parse(r"arg0=''\''',arg1='\',arg2=',',arg3='\\'").expect("valid");
    assert_eq!(MatchRule::parse(r"arg0=\',arg1=\,arg2=',',arg3=\\"), Ok(quoted.clone()));
    let equal = |index, text: &str| (index, ArgumentMatch::Equal(text.into()));
    let expected = [equal(0, "'"), equal(1, r"\"), equal(2, ","), equal(3, r"\\")];
    assert_eq!(*quoted.arguments, expected);
}

#[test]
fn white_space_counts_only_in_values() {
    // protocol.md A156
    check("only white space", " \t\r\n", "");
    check("around keys", "type='signal', \t\r\nmember \t\r\n='M'", "type='signal',member='M'");
    check("after the equals sign", "arg0= a", "arg0=' a'");
    check("after the quotes", "arg0='a' ,arg1=b", "arg0='a ',arg1='b'");
    check_refused("within a key", "ty pe='signal'", unknown("ty pe"));
    check_refused("vertical tab", "\u{b}type='signal'", unknown("\u{b}type"));
    check_refused("no-break space", "\u{a0}type='signal'", unknown("\u{a0}type"));
}

#[test]
fn a_rule_has_a_longest_size() {
    // protocol.md A157
    let of_size = |size: usize| format!("arg0='{}'", "a".repeat(size - 7));
    check("at the bound", &of_size(1024), &of_size(1024));
    check_refused("one past it", &of_size(1025), MatchRuleError::TooLong);
    check_refused("white space counts", &" ".repeat(1025), MatchRuleError::TooLong);
}

#[test]
fn more_than_sixteen_keys_are_read() {
    // protocol.md A157; a deviation from the reference
    let all: Vec<String> = (0..64).map(|index| format!("arg{index}='a'")).collect();
    let all = all.join(",");
    check("all arguments", &all, &all);
    check_refused("a wrong key at the end", &format!("{all},x=y"), unknown("x"));
}

#[test]
fn each_key_has_its_kind_of_value() {
    // protocol.md A158-A163
    for text in [
        "type='signal'",
        "type='method_call'",
        "type='method_return'",
        "type='error'",
        "sender=':1.5'",
        "sender='org.freedesktop.DBus'",
        "destination=':1.5'",
        "destination='a.b'",
        "interface='a.b'",
        "member='M'",
        "path='/'",
        "path='/a/b'",
        "path_namespace='/'",
        "path_namespace='/a'",
        "eavesdrop='true'",
    ] {
        check("valid", text, text);
    }
    check("eavesdrop not wanted", "eavesdrop='false'", "");
    for text in ["type=''", "type='Signal'", "type='invalid'", "type='5'", "type= 'signal'"] {
        check_refused("type", text, MatchRuleError::InvalidWord("type".into()));
    }
    for text in ["eavesdrop=''", "eavesdrop='TRUE'", "eavesdrop='1'"] {
        check_refused("eavesdrop", text, MatchRuleError::InvalidWord("eavesdrop".into()));
    }
}

#[test]
fn a_name_must_be_valid() {
    // protocol.md A169
    for (key, value, error) in [
        ("sender", "", NameError::Empty),
        ("sender", "a", NameError::SingleElement),
        ("destination", ":1", NameError::SingleElement),
        ("destination", "a b.c", NameError::InvalidCharacter { index: 1 }),
        ("interface", "a", NameError::SingleElement),
        ("interface", "a.b-c", NameError::InvalidCharacter { index: 3 }),
        ("member", "", NameError::Empty),
        ("member", "a.b", NameError::InvalidCharacter { index: 1 }),
        ("path", "a", NameError::MissingSlash),
        ("path", "/a/", NameError::TrailingSlash),
        ("path_namespace", "/a/", NameError::TrailingSlash),
        ("arg0namespace", "", NameError::Empty),
        ("arg0namespace", "a.", NameError::EmptyElement),
    ] {
        let text = format!("{key}='{value}'");
        check_refused("invalid name", &text, MatchRuleError::InvalidName(key.into(), error));
    }
}

#[test]
fn arguments_have_numbers() {
    // protocol.md A164-A166, A169
    check("last argument", "arg63='a'", "arg63='a'");
    check("any text", "arg0='',arg1path='a b//'", "arg0='',arg1path='a b//'");
    check("leading zeros", "arg007path='a'", "arg7path='a'");
    check("sorted", "arg9='a',arg0namespace='b',arg5='c'", "arg0namespace='b',arg5='c',arg9='a'");
    check("one element", "arg0namespace='a'", "arg0namespace='a'");
    check("unique names", "arg0namespace=':1'", "arg0namespace=':1'");
    for key in ["arg64", "arg64path", "arg256", "arg0256", "arg18446744073709551616"] {
        let error = MatchRuleError::ArgumentIndexTooHigh(key.into());
        check_refused("too high", &format!("{key}='a'"), error);
    }
    for key in [
        "arg",
        "args",
        "argument",
        "argpath",
        "arg+1",
        "arg-1",
        "arg 1",
        "arg1x",
        "arg1pathx",
        "arg1namespace",
        "Arg0",
        "arg\u{660}",
    ] {
        check_refused("not a key", &format!("{key}='a'"), unknown(key));
    }
}

#[test]
fn a_key_stands_once() {
    // protocol.md A169
    for (key, value) in [
        ("type", "signal"),
        ("sender", "a.b"),
        ("destination", "a.b"),
        ("interface", "a.b"),
        ("member", "M"),
        ("path", "/"),
        ("path_namespace", "/"),
        ("arg0", "a"),
        ("arg63path", "a"),
        ("arg0namespace", "a"),
    ] {
        check_refused("twice", &format!("{key}={value},{key}={value}"), repeated(key));
    }
    check_refused("path and namespace", "path=/,path_namespace=/", repeated("path_namespace"));
    check_refused("namespace and path", "path_namespace=/,path=/", repeated("path"));
    check_refused("one slot for all", "arg0=a,arg0path=a", repeated("arg0path"));
    check_refused("one slot for all", "arg0path=a,arg0namespace=a", repeated("arg0namespace"));
    check_refused("one number", "arg0=a,arg00=a", repeated("arg00"));
    check("the last eavesdrop counts", "eavesdrop=true,eavesdrop=false", "");
    check("the last eavesdrop counts", "eavesdrop=false,eavesdrop=true", "eavesdrop='true'");
}

#[test]
fn unknown_keys_are_refused() {
    // protocol.md A169
    for key in ["TYPE", "key", "path_namespaces", "reply_serial", "error_name"] {
        check_refused("unknown", &format!("{key}='a'"), unknown(key));
    }
}

#[test]
fn equality_is_on_what_a_rule_asks_for() {
    // protocol.md A170
    let equal = |one, other| {
        MatchRule::parse(one).expect("valid") == MatchRule::parse(other).expect("valid")
    };
    assert!(equal("arg0='a',arg1='b'", "arg01=b, arg0 =a"));
    assert!(equal("eavesdrop='false'", ""));
    assert!(!equal("eavesdrop='true'", ""));
    assert!(!equal("path='/'", "path_namespace='/'"));
    assert!(!equal("arg0='a'", "arg0path='a'"));
    assert!(!equal("arg0='a'", "arg0namespace='a'"));
}

#[test]
fn errors_name_the_key() {
    for (text, expected) in [
        ("", "the match rule is longer than 1024 bytes"),
        ("type", "a key of the match rule has no '='"),
        ("arg0='", "a quoted section of the match rule is not closed"),
        ("colour=red", "a match rule has no key \"colour\""),
        (
            "member=M,member=M",
            "the match rule has the key \"member\", or one that excludes it, before",
        ),
        ("arg64=", "the number of the key \"arg64\" is above 63"),
        ("type=x", "the match rule's value of \"type\" is not one of those it may have"),
        ("member=", "the match rule's value of \"member\" is not valid: it is empty"),
    ] {
        let too_long = " ".repeat(1025);
        let text = if text.is_empty() { too_long.as_str() } else { text };
        assert_eq!(MatchRule::parse(text).expect_err("wrong").to_string(), expected);
    }
}

/// Names as a test message finds them.
struct Names;

impl MatchNames for Names {
    fn sender_is(&self, name: &str) -> bool {
        [":1.1", "com.example.Sender"].contains(&name)
    }

    fn destination_is(&self, name: &str) -> bool {
        [":1.2", "com.example.Recipient"].contains(&name)
    }
}

fn signal() -> Header<'static> {
    Header {
        path: Some(ObjectPath::from_static("/a/b")),
        interface: Some(InterfaceName::from_static("i.f")),
        member: Some(MemberName::from_static("M")),
        ..Header::new(MessageType::Signal, NonZeroU32::MIN)
    }
}

fn check_header(header: &Header<'_>, text: &str, expected: bool) {
    let rule = MatchRule::parse(text).expect("valid");
    assert_eq!(rule.matches(header, Arguments::EMPTY, &Names), expected, "{text:?}");
}

#[test]
fn header_fields_must_agree() {
    // protocol.md A158-A161
    let signal = signal();
    check_header(&signal, "", true);
    check_header(&signal, "type='signal',interface='i.f',member='M',path='/a/b'", true);
    check_header(&signal, "type='error'", false);
    check_header(&signal, "interface='i.g'", false);
    check_header(&signal, "member='m'", false);
    check_header(&signal, "path='/a'", false);
    check_header(&signal, "sender=':1.1'", true);
    check_header(&signal, "sender='com.example.Sender'", true);
    check_header(&signal, "sender=':1.2'", false);
    check_header(&signal, "eavesdrop='true'", true);
}

#[test]
fn a_missing_field_agrees_with_nothing() {
    // protocol.md A160
    let reply = Header::new(MessageType::MethodReturn, NonZeroU32::MIN);
    check_header(&reply, "type='method_return'", true);
    check_header(&reply, "interface='i.f'", false);
    check_header(&reply, "member='M'", false);
    check_header(&reply, "path='/a'", false);
    check_header(&reply, "path_namespace='/'", false);
    check_header(&reply, "arg0=''", false);
}

#[test]
fn a_path_namespace_ends_at_a_slash() {
    // protocol.md A162
    let signal = signal();
    check_header(&signal, "path_namespace='/'", true);
    check_header(&signal, "path_namespace='/a'", true);
    check_header(&signal, "path_namespace='/a/b'", true);
    check_header(&signal, "path_namespace='/a/b/c'", false);
    check_header(&signal, "path_namespace='/a/bc'", false);
    let longer = Header { path: Some(ObjectPath::from_static("/a/bc")), ..signal };
    check_header(&longer, "path_namespace='/a/b'", false);
}

#[test]
fn a_destination_needs_a_message_that_has_one() {
    // protocol.md A163
    let broadcast = signal();
    check_header(&broadcast, "destination=':1.2'", false);
    let unicast = Header { destination: Some(BusName::from_static(":1.2")), ..broadcast };
    check_header(&unicast, "destination=':1.2'", true);
    check_header(&unicast, "destination='com.example.Recipient'", true);
    check_header(&unicast, "destination=':1.1'", false);
    // protocol.md A168 is the router's.
    check_header(&unicast, "member='M'", true);
}

/// A checked body and where its arguments are.
fn with_arguments(
    signature: &str,
    write: impl FnOnce(&mut BodyWriter<'_>),
    test: impl FnOnce(Arguments<'_>),
) {
    let mut body = Vec::new();
    write(&mut BodyWriter::new(&mut body, Endian::NATIVE));
    let mut spans = ArgumentSpans::new();
    let signature = Signature::parse(signature).expect("valid");
    check_body(signature, &body, Endian::NATIVE, &mut spans).expect("valid");
    test(Arguments::new(&spans, &body));
}

fn argument_matches(text: &str, arguments: Arguments<'_>) -> bool {
    MatchRule::parse(text).expect("valid").matches(&signal(), arguments, &Names)
}

fn check_string(text: &str, argument: &str, expected: bool) {
    let write = |body: &mut BodyWriter<'_>| {
        body.string(argument);
    };
    with_arguments("s", write, |arguments| {
        assert_eq!(argument_matches(text, arguments), expected, "{text:?} {argument:?}");
    });
}

#[test]
fn an_argument_must_be_equal() {
    // protocol.md A164
    check_string("arg0='a'", "a", true);
    check_string("arg0='a'", "ab", false);
    check_string("arg0=''", "", true);
    check_string("arg1='a'", "a", false);
    check_string("arg63='a'", "a", false);
}

#[test]
fn a_path_argument_may_be_a_directory_on_either_side() {
    // protocol.md A165; the reference delivers the same
    for (expected, matching) in [
        ("", &[""][..]),
        ("/", &["/", "/a", "/a/", "/a/b"]),
        ("/a", &["/", "/a"]),
        ("/a/", &["/", "/a/", "/a/b"]),
        ("a", &["a"]),
        ("a/", &["a/"]),
        ("/aa/bb/", &["/"]),
    ] {
        for argument in ["", "/", "/a", "/a/", "/a/b", "a", "a/", "ab"] {
            let text = format!("arg0path='{expected}'");
            check_string(&text, argument, matching.contains(&argument));
        }
    }
}

#[test]
fn a_namespace_argument_ends_at_a_dot() {
    // protocol.md A166
    check_string("arg0namespace='a.b'", "a.b", true);
    check_string("arg0namespace='a.b'", "a.b.c", true);
    check_string("arg0namespace='a.b'", "a.bc", false);
    check_string("arg0namespace='a.b'", "a", false);
    check_string("arg0namespace='a.b'", "", false);
    check_string("arg0namespace=':1'", ":1.5", true);
}

#[test]
fn only_the_path_key_takes_object_paths() {
    // protocol.md A164-A166
    let write = |body: &mut BodyWriter<'_>| {
        body.object_path(ObjectPath::from_static("/a/b"));
        body.uint32(5);
        body.string("x");
    };
    with_arguments("ous", write, |arguments| {
        for (text, expected) in [
            ("arg0='/a/b'", false),
            ("arg0path='/a/'", true),
            ("arg0path='/a/b'", true),
            ("arg0namespace='a'", false),
            ("arg1='5'", false),
            ("arg1path='5'", false),
            ("arg2='x'", true),
            ("arg0path='/',arg2='x'", true),
            ("arg0path='/',arg2='y'", false),
        ] {
            assert_eq!(argument_matches(text, arguments), expected, "{text:?}");
        }
    });
}

fn any_name() -> impl Strategy<Value = Option<Box<str>>> {
    prop::option::of("[a-z_]{1,4}\\.[a-z_][a-z_0-9]{0,3}").prop_map(|name| name.map(Into::into))
}

/// Any text, but mostly what quoting is about.
fn any_value() -> impl Strategy<Value = Box<str>> {
    prop_oneof![r"[a'\\, =\t]{0,8}", ".{0,5}"].prop_map(Into::into)
}

fn any_path() -> impl Strategy<Value = Option<PathMatch>> {
    let path = prop_oneof![Just("/".to_owned()), "(/[a-z0-9_]{1,3}){1,3}"];
    prop::option::of((any::<bool>(), path)).prop_map(|chosen| {
        let (exact, path) = chosen?;
        Some(if exact { PathMatch::Exact(path.into()) } else { PathMatch::Namespace(path.into()) })
    })
}

fn any_arguments() -> impl Strategy<Value = Box<[(u8, ArgumentMatch)]>> {
    let condition = prop_oneof![
        any_value().prop_map(ArgumentMatch::Equal),
        any_value().prop_map(ArgumentMatch::Path),
    ];
    let namespace = prop::option::of("[a-z-]{1,4}(\\.[a-z]{1,3})?");
    (namespace, prop::collection::btree_map(0..=63_u8, condition, 0..6)).prop_map(
        |(namespace, mut conditions)| {
            if let Some(namespace) = namespace {
                conditions.insert(0, ArgumentMatch::Namespace(namespace.into()));
            }
            conditions.into_iter().collect()
        },
    )
}

fn any_rule() -> impl Strategy<Value = MatchRule> {
    let message_type = prop::option::of(prop_oneof![
        Just(MessageType::Signal),
        Just(MessageType::MethodCall),
        Just(MessageType::MethodReturn),
        Just(MessageType::Error),
    ]);
    let member = prop::option::of("[A-Za-z_]{1,6}").prop_map(|member| member.map(Into::into));
    let names = (any_name(), any_name(), any_name(), member);
    (message_type, names, any_path(), any_arguments(), any::<bool>()).prop_map(
        |(message_type, names, path, arguments, eavesdrop)| {
            let (sender, interface, destination, member) = names;
            let named =
                MatchRule { sender, interface, member, destination, ..MatchRule::default() };
            MatchRule { message_type, path, arguments, eavesdrop, ..named }
        },
    )
}

proptest! {
    #[test]
    fn a_rule_parses_to_what_was_printed(rule in any_rule()) {
        prop_assert_eq!(MatchRule::parse(&rule.to_string()), Ok(rule));
    }

    #[test]
    fn no_text_is_too_strange(text in r"((type|arg[0-9]{1,3}(path|namespace)?|path)?[a='\\, ]{0,4}){0,4}|.{0,30}") {
        if let Ok(rule) = MatchRule::parse(&text) {
            prop_assert_eq!(MatchRule::parse(&rule.to_string()), Ok(rule));
        }
    }

    #[test]
    fn a_value_is_the_same_with_and_without_quotes(value in r"[a'\\ =]{0,8}") {
        let plain = MatchRule::parse(&format!("arg0={}", value.replace('\'', r"\'")));
        let quoted = MatchRule::parse(&format!("arg0='{}'", value.replace('\'', r"'\''")));
        let expected = ArgumentMatch::Equal(value.into());
        prop_assert_eq!(plain.map(|rule| rule.arguments), Ok([(0, expected.clone())].into()));
        prop_assert_eq!(quoted.map(|rule| rule.arguments), Ok([(0, expected)].into()));
    }
}
