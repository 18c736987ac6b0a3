use std::os::unix::net::UnixListener;

use super::words::{self, About, Kind};
use super::{Candidate, candidates};

fn values(line: &str) -> Vec<String> {
    let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
    let value = |candidate| match candidate {
        Candidate::Word { value, .. } => format!("{value} "),
        Candidate::Part { value, .. } => value,
        Candidate::Files => "FILES".to_owned(),
        Candidate::Command { first } => format!("COMMAND {first}"),
    };
    candidates(&words).into_iter().map(value).collect()
}

#[test]
fn verbs_options_and_values_come_from_the_definition() {
    assert_eq!(values("intro"), ["introspect "]);
    assert_eq!(values("--system intro"), ["introspect "]);
    assert_eq!(values("--addr"), ["--address="]);
    assert_eq!(values("call --no-au"), ["--no-auto-start "]);
    assert_eq!(values("--color=a"), ["--color=auto ", "--color=always "]);
    assert_eq!(values("call --json=p"), ["--json=pretty "]);
    assert_eq!(values("completions f"), ["fish "]);
    assert_eq!(values("run --config="), ["FILES"]);
    assert_eq!(values("run --config b"), ["FILES"]);
    assert_eq!(values("run --system-like make te"), ["COMMAND 2"]);
    assert_eq!(values("run -- make te"), ["COMMAND 2"]);
    assert_eq!(values("run -- ma"), ["COMMAND 2"]);
    assert_eq!(values("run ma"), ["COMMAND 1"]);
    assert_eq!(values("run --config=x --sys"), ["--system-like ", "--system "]);
    assert!(values("complete-w").is_empty());
    // What is given already is not offered again.
    assert!(values("--system --sys").is_empty());
    assert_eq!(values("-q --qu"), Vec::<String>::new());
}

#[test]
fn a_definition_says_what_the_next_word_is() {
    let check = |usage: &str, line: &[&str], is_peer: bool, expected: &[Kind]| {
        assert_eq!(words::next(usage, line, is_peer), expected, "{usage}: {line:?}");
    };
    let call = "Usage: bus call [OPTIONS] NAME PATH INTERFACE.METHOD [ARGUMENT]...";
    check(call, &[], false, &[Kind::Name]);
    check(call, &["a.B"], false, &[Kind::Path]);
    check(call, &["a.B", "/"], false, &[Kind::Method]);
    check(call, &["a.B", "/", "M"], false, &[]);
    check(call, &["a.B", "/", "M", "1"], false, &[]);
    check(call, &[], true, &[Kind::Path]);
    check(call, &["/"], true, &[Kind::Method]);
    let wait = "bus wait [OPTIONS] NAME\n  bus wait [OPTIONS] [NAME] PATH INTERFACE.SIGNAL";
    check(wait, &[], false, &[Kind::Name, Kind::Path]);
    check(wait, &["/"], false, &[Kind::Signal]);
    check(wait, &["a.B", "/"], false, &[Kind::Signal]);
    check(wait, &["/", "a.B.C"], false, &[]);
    let codegen = "bus codegen FILE...\nbus codegen NAME PATH [INTERFACE]...";
    check(codegen, &[], false, &[Kind::File, Kind::Name]);
    check(codegen, &["a.B", "/", "a.C"], false, &[Kind::File, Kind::Interface]);
    let introspect = "bus introspect [OPTIONS] NAME [PATH [INTERFACE]]";
    check(introspect, &["a.B", "/"], false, &[Kind::Interface]);
    check(introspect, &["a.B", "/", "a.C"], false, &[]);
    check("bus tree [OPTIONS] [NAME]...", &["a.B", "a.C"], false, &[Kind::Name]);
    check("bus emit [OPTIONS] <PATH> <INTERFACE.SIGNAL> [ARGUMENT]...", &[], false, &[Kind::Path]);
    check("bus env [OPTIONS] [VAR[=VALUE]]...", &["A"], false, &[Kind::Variable]);
    assert_eq!(words::of_option("INTERFACE[.MEMBER]"), Some(Kind::Member));
    let of = |name: Option<&str>, path: Option<&str>| About {
        name: name.map(ToOwned::to_owned),
        path: path.map(ToOwned::to_owned),
        interface: None,
    };
    assert_eq!(words::about(call, &["a.B", "/c"], false), of(Some("a.B"), Some("/c")));
    assert_eq!(words::about(call, &["/c"], true), of(None, Some("/c")));
    assert_eq!(words::about(wait, &["/c"], false), of(None, Some("/c")));
}

/// It is seen by how often it is asked.
#[test]
fn a_bus_that_hangs_has_its_time_once_whatever_a_word_can_be() {
    let path = std::env::temp_dir().join(format!("bus-tools-silent-{}", std::process::id()));
    let silent = UnixListener::bind(&path).unwrap();
    let line = format!("--address=unix:path={} wait ", path.display());
    let found = values(&line);
    std::fs::remove_file(&path).unwrap();
    assert!(found.is_empty());
    silent.set_nonblocking(true).unwrap();
    let asked = std::iter::from_fn(|| silent.accept().ok());
    assert_eq!(asked.count(), 1);
}
