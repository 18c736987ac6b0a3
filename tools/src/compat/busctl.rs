//! `busctl(1)` of systemd (tools.md D001–D034): what version 252 prints, and the verbs and options of later ones.
//!
//! A verb has a file: `call.rs` (also emit, get-property, set-property), `introspect.rs`, `tree.rs`, `list.rs`,
//! `status.rs`, `monitor.rs` (also capture), `wait.rs`. They share the options (`options.rs`), the connection and the
//! words for errors (`bus.rs`), how values are typed (`arguments.rs`) and printed (`print.rs`, `json.rs`), tables (`table.rs`) and colours (`colours.rs`).

mod arguments;
mod bus;
mod call;
mod colours;
mod introspect;
mod json;
mod list;
mod monitor;
mod options;
mod print;
mod status;
mod table;
mod tree;
mod wait;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use crate::failure::{Failure, Reason};

use colours::{Colours, Look};
use options::{Asked, Options};

/// Why a verb fails: the line that says so, or nothing where all is said.
#[derive(Debug, PartialEq, Eq)]
enum Failed {
    Because(String),
    Silently,
}

type Result<T> = std::result::Result<T, Failed>;
type Verb = fn(&Options, &[String]) -> Result<()>;

/// The verbs: their names, between how many and how many arguments they take, and what they do.
const VERBS: &[(&str, usize, usize, Verb)] = &[
    ("list", 0, 0, list::list),
    ("status", 0, 1, status::status),
    ("monitor", 0, usize::MAX, monitor::monitor),
    ("capture", 0, usize::MAX, monitor::capture),
    ("tree", 0, usize::MAX, tree::tree),
    ("introspect", 2, 3, introspect::introspect),
    ("call", 4, usize::MAX, call::call),
    ("emit", 3, usize::MAX, call::emit),
    ("wait", 3, 4, wait::wait),
    ("get-property", 4, usize::MAX, call::get_property),
    ("set-property", 5, usize::MAX, call::set_property),
    ("help", 0, usize::MAX, help),
];

pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    match command(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            if let Failed::Because(text) = failed {
                tell_fault(&text);
            }
            ExitCode::FAILURE
        }
    }
}

fn command(arguments: &[OsString]) -> Result<()> {
    let text = |word: &OsString| word.to_str().map(ToOwned::to_owned);
    let words: Option<Vec<String>> = arguments.iter().map(text).collect();
    // Nothing that a bus takes is other text than UTF-8.
    let words = words.ok_or_else(|| because("Failed to create bus message: Invalid argument"))?;
    match options::parse(&words)? {
        Asked::Help => help(&Options::default(), &[]),
        Asked::Text(text) => print::output(&Options::default(), &text),
        Asked::Verb(options, words) => {
            let (name, arguments) = match words.split_first() {
                Some((name, arguments)) => (name.as_str(), arguments),
                None => ("list", words.as_slice()),
            };
            let verb = VERBS.iter().find(|(known, ..)| *known == name);
            let Some((_, min, max, verb)) = verb else {
                return Err(because(format!("Unknown command verb {name}.")));
            };
            match arguments.len() {
                count if count < *min => Err(because("Too few arguments.")),
                count if count > *max => Err(because("Too many arguments.")),
                _ => verb(&options, arguments),
            }
        }
    }
}

fn because(text: impl Into<String>) -> Failed {
    Failed::Because(text.into())
}

/// A line for people, on standard error.
fn say(text: &str) {
    tell(&bus::shown(text, &std::io::stderr()));
}

/// The same, of what went wrong.
fn tell_fault(text: &str) {
    let text = bus::shown(text, &std::io::stderr());
    tell(&Colours::wanted().paint(Look::BoldRed, &text));
}

fn tell(text: &str) {
    // A terminal may be one that goes down by a line and not to its beginning.
    let end = if std::io::stderr().is_terminal() { "\r" } else { "" };
    complain!("{text}{end}");
}

/// Output that cannot be written.
impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure.reason {
            Reason::BrokenPipe => Self::Silently,
            _ => Self::Because(failure.text),
        }
    }
}

fn help(options: &Options, _: &[String]) -> Result<()> {
    print::output(options, options::HELP)
}
