use super::*;
use crate::config::tests::MemoryFiles;
use crate::tests::Accounts;

/// Loads `/etc/a-limits.d` with these files, and what was wrong with them. One with the text
/// "unreadable" is.
fn load(files: &[(&str, &str)]) -> (LimitOverrides, Vec<String>) {
    let directory = limits_directory(Path::new("/etc/a.conf"));
    let mut in_memory = MemoryFiles::new(&[]);
    for (name, text) in files {
        let content = (*text != "unreadable").then(|| text.as_bytes().to_vec());
        in_memory.files.insert(directory.join(name), content);
    }
    let mut problems = Vec::new();
    let missing = PathBuf::from("/none");
    let named = load_overrides(&[missing, directory], &in_memory, &mut problems);
    let resolved = named.resolve(&Accounts, &mut problems);
    (resolved, problems.iter().map(ToString::to_string).collect())
}

fn rules_of(overrides: &LimitOverrides, uid: u32, groups: &[u32]) -> Option<u32> {
    let limits = overrides.limits_of(&Limits::default(), Some(uid), groups)?;
    Some(limits.match_rules_per_connection_max)
}

const RULES: &str = "max_match_rules_per_connection";

#[test]
fn a_user_goes_before_its_groups_and_the_later_entry_counts() {
    let (overrides, problems) = load(&[
        (
            "20.conf",
            "<buslimits><limit name='max_match_rules_per_connection' group='45'>7</limit>
                 <limit name='max_names_per_connection' user='alice'>8</limit></buslimits>",
        ),
        (
            "10.conf",
            "<buslimits><limit name='max_match_rules_per_connection' user='alice'>5</limit>
                 <limit name='max_match_rules_per_connection' group='audio'>6</limit></buslimits>",
        ),
        ("30.conf.rpmsave", "nonsense"),
    ]);
    assert_eq!(problems, [""; 0]);
    for (case, uid, groups, expected) in [
        ("nobody in particular", 1, &[1][..], None),
        ("one group", 1, &[29], Some(6)),
        ("two groups: the later file", 1, &[29, 45], Some(7)),
        ("the user itself", 1000, &[29, 45], Some(5)),
    ] {
        assert_eq!(rules_of(&overrides, uid, groups), expected, "{case}");
    }
    let limits = overrides.limits_of(&Limits::default(), Some(1000), &[]).unwrap();
    assert_eq!(limits.names_per_connection_max, 8);
    assert_eq!(limits.replies_per_connection_max, 128, "the others are as they were");
    assert_eq!(overrides.limits_of(&Limits::default(), None, &[]), None);
}

/// So that a reload that cannot read a file, or all of its directory, keeps what was said there.
#[test]
fn what_stands_where_is_known() {
    let text =
        "<buslimits><limit name='max_names_per_connection' user='alice'>8</limit></buslimits>";
    let (overrides, _) = load(&[("10.conf", text)]);
    for (path, expected) in [
        ("/etc/a-limits.d/10.conf", true),
        ("/etc/a-limits.d", true),
        ("/etc/a-limits.d/20.conf", false),
        ("/etc/a-limits", false),
    ] {
        assert_eq!(overrides.has_file(Path::new(path)), expected, "{path}");
    }
}

#[test]
fn a_wrong_file_is_left_out_whole_and_its_place_told() {
    let good = "<buslimits><limit name='max_match_rules_per_connection' user='alice'>5</limit></buslimits>";
    for (case, text, expected) in [
        ("not XML", "<buslimits>", "this is not well-formed XML"),
        ("root", "<busconfig/>", "/etc/a-limits.d/1.conf:1:1: the outermost element"),
        (
            "element",
            "<buslimits>\n <limits/></buslimits>",
            "1.conf:2:2: there is no element <limits> in <buslimits>; did you mean <limit>?",
        ),
        ("text", "<buslimits>words</buslimits>", "<buslimits> takes no text"),
        (
            "attribute",
            "<buslimits><limit name='max_message_size' usr='a'>1</limit></buslimits>",
            "did you mean \"user\"?",
        ),
        ("no name", "<buslimits><limit user='a'>1</limit></buslimits>", "the attribute name="),
        (
            "no subject",
            "<buslimits><limit name='max_message_size'>1</limit></buslimits>",
            "exactly one of the attributes user=",
        ),
        (
            "two subjects",
            "<buslimits><limit name='max_message_size' user='a' group='b'>1</limit></buslimits>",
            "exactly one of the attributes user=",
        ),
        (
            "no such limit",
            "<buslimits><limit name='max_mesage_size' user='a'>1</limit></buslimits>",
            "did you mean \"max_message_size\"?",
        ),
        (
            "everybody's limit",
            "<buslimits><limit name='auth_timeout' user='a'>1</limit></buslimits>",
            "is the same for everybody; write one of max_incoming_bytes, max_incoming_unix_fds",
        ),
        (
            "nobody's limit",
            "<buslimits><limit name='max_containers' user='a'>1</limit></buslimits>",
            "bounds nothing, whoever it is for; remove it, or write one of max_incoming_bytes",
        ),
        (
            "no number",
            "<buslimits><limit name='max_message_size' user='a'>many</limit></buslimits>",
            "write a whole number",
        ),
        (
            "more than a number",
            "<buslimits><limit name='max_message_size' user='a'>1k</limit></buslimits>",
            "write 1 alone",
        ),
        ("unreadable", "unreadable", "cannot be read: Permission denied"),
    ] {
        let (overrides, problems) = load(&[("1.conf", text), ("2.conf", good)]);
        assert_eq!(problems.len(), 1, "{case}: {problems:?}");
        assert!(problems[0].contains(expected), "{case}: {problems:?}");
        assert!(problems[0].ends_with("this file is left out"), "{case}: {problems:?}");
        assert_eq!(rules_of(&overrides, 1000, &[]), Some(5), "{case}: the other file stands");
    }
}

#[test]
fn everything_that_is_wrong_with_a_file_is_told_in_its_order() {
    let text = "<buslimits a='b'>
            <limit name='max_mesage_size' user='a'>1</limit>
            <limit name='max_message_size' user='alice'>1</limit>words
            <limit name='max_message_size'>1</limit>
            <limits/>
            <limit name='max_message_size' user='a'>many</limit>
        </buslimits>";
    let (overrides, problems) = load(&[("1.conf", text), ("2.conf", "<busconfig/>")]);
    assert!(overrides.is_empty(), "also what is right");
    let expected = [
        "1.conf:1:12: <buslimits> has no attribute \"a\"",
        "1.conf:2:13: there is no limit \"max_mesage_size\"",
        "1.conf:3:66: <buslimits> takes no text such as \"words\"",
        "1.conf:4:13: <limit> needs exactly one",
        "1.conf:5:13: there is no element <limits>",
        "1.conf:6:13: the limit is \"many\"",
        "2.conf:1:1: the outermost element",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (problem, expected) in problems.iter().zip(expected) {
        let begin = format!("/etc/a-limits.d/{expected}");
        assert!(problem.starts_with(&begin), "{problem}");
        assert!(problem.ends_with("this file is left out"), "{problem}");
    }
    let many = "<limits/>".repeat(PROBLEM_COUNT_MAX + 1);
    let (_, problems) = load(&[("1.conf", &format!("<buslimits>{many}</buslimits>"))]);
    assert_eq!(problems.len(), PROBLEM_COUNT_MAX + 1);
    assert!(problems[PROBLEM_COUNT_MAX].contains("1 more thing is wrong"));
}

#[test]
fn an_entry_for_nobody_is_left_out_alone() {
    let (overrides, problems) = load(&[(
        "1.conf",
        "<buslimits><limit name='max_match_rules_per_connection' user='carol'>5</limit>
<limit name='max_match_rules_per_connection' group='carols'>5</limit>
<limit name='max_match_rules_per_connection' user='1001'>6</limit></buslimits>",
    )]);
    assert_eq!(problems.len(), 2);
    assert!(problems[0].starts_with("/etc/a-limits.d/1.conf:1:12: there is no user \"carol\""));
    assert!(problems[1].starts_with("/etc/a-limits.d/1.conf:2:1: there is no group \"carols\""));
    assert_eq!(rules_of(&overrides, 1001, &[]), Some(6));
}

#[test]
fn there_is_a_bound() {
    let one = format!("<limit name='{RULES}' user='1'>1</limit>");
    for (count, is_wrong) in [(OVERRIDE_COUNT_MAX, false), (OVERRIDE_COUNT_MAX + 1, true)] {
        let text = format!("<buslimits>{}</buslimits>", one.repeat(count));
        let (overrides, problems) = load(&[("1.conf", &text)]);
        assert_eq!((problems.len() == 1, overrides.is_empty()), (is_wrong, is_wrong));
    }
}
