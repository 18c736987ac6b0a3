//! The examples of the manual are run: each block that begins with a command is typed on a bus with a service, and has
//! to print what the page shows. Lines that a page folds are one line in truth, so that white space does not count.
//! What only goes on while somebody else does something, such as `bus monitor`, has a transcript instead.

use std::path::Path;

use crate::scene::Scene;
use crate::transcript::{shell, user_name};

/// The literal blocks of a page, as readers see them.
fn blocks(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../man").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let shown = |block: &str| {
        let (_, text) = block.split_once('\n').unwrap();
        text.split(".Ed\n").next().unwrap().replace("\\e", "\\").replace("\\&", "")
    };
    text.split(".Bd -literal").skip(1).map(shown).collect()
}

/// Whether a command goes on behind this text.
fn is_open(text: &str) -> bool {
    let text = text.trim_end_matches('\n');
    let has_open = |quote| text.matches(quote).count() % 2 == 1;
    text.ends_with('\\') || text.ends_with('|') || (has_open('\'') && !text.contains('"'))
}

/// The commands of a block.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in block.split_inclusive('\n') {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push(command.to_owned()),
            (None, Some(command)) if goes_on => command.push_str(line),
            _ => {}
        }
        goes_on =
            (goes_on || line.starts_with("$ ")) && commands.last().is_some_and(|it| is_open(it));
    }
    commands
}

/// What a block looks like when its commands are run.
fn typed(block: &str, scene: &Scene) -> String {
    let mut text = String::new();
    for command in commands(block) {
        let output = shell(&command, scene);
        text += &format!("$ {command}");
        text += &String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    }
    // A bus says more of what it may not do on this machine.
    text.lines()
        .filter(|line| !line.starts_with("bus-daemon["))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// As the page shows what is another one on each machine.
fn as_shown(text: &str, scene: &Scene) -> String {
    let process = std::fs::read_to_string("/proc/self/comm").unwrap();
    let replaced = [
        (format!("{}/", scene.bus.dir.display()), "/tmp/"),
        (format!(" {} ", std::process::id()), " 4711 "),
        (format!(" {} ", scene.bus.pid()), " 4700 "),
        (format!(" {} ", process.trim_end()), " kettled "),
        (format!(" {} ", user_name()), " alice "),
    ];
    replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from.as_str(), to))
}

fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Runs the examples of a page; how many blocks there were.
#[track_caller]
fn run_examples(page: &str) -> usize {
    let scene = Scene::new();
    let mut count = 0;
    for block in blocks(page).iter().filter(|block| block.starts_with("$ ")) {
        let actual = as_shown(&typed(block, &scene), &scene);
        assert!(dense(&actual) == dense(block), "{page} shows:\n{block}\nbut it is:\n{actual}");
        count += 1;
    }
    count
}

#[test]
fn examples_of_the_command_are_as_its_manual_shows() {
    assert_eq!(run_examples("bus.1"), 5);
}

#[test]
fn examples_of_who_is_on_a_bus_are_as_the_manual_shows() {
    assert_eq!(run_examples("bus-list.1"), 4);
}

#[test]
fn examples_of_calls_are_as_the_manual_shows() {
    assert_eq!(run_examples("bus-call.1"), 10);
}

#[test]
fn examples_of_watching_are_as_the_manual_shows() {
    assert_eq!(run_examples("bus-monitor.1"), 1);
}

#[test]
fn examples_of_private_buses_and_policies_are_as_the_manual_shows() {
    assert_eq!(run_examples("bus-run.1"), 6);
}
