//! The manual names all there is: options, elements, limits, the bus's own methods, the client's types; and
//! nothing else. So it does with the command `bus` ([`command`]). What its examples show is what they answer
//! ([`examples`]; those of `bus` are run by the tests of the tools).

mod command;
mod examples;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bus_introspect::{Arg, Interface, Node};
use bus_policy::config::limit_overrides::OVERRIDABLE;
use bus_policy::config::{
    ELEMENTS, ElementForm, LIMITS, LimitForm, Limits, NoFiles, Unit, WITHOUT_EFFECT, load_text,
};
use bus_tests::harness::{Daemon, skip_without};

use crate::source::read_sources;
use crate::{assert_none, workspace};

/// One page as its source.
pub(super) struct Page(String);

impl Page {
    pub(super) fn read(name: &str) -> Self {
        let path = workspace().join("man").join(name);
        Self(
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    }

    fn has_section(&self, heading: &str) -> bool {
        self.0.contains(&format!(".Sh {heading}\n"))
    }

    /// What stands below a heading, up to the next one.
    fn section(&self, heading: &str) -> &str {
        let begin = format!(".Sh {heading}\n");
        let (_, rest) =
            self.0.split_once(&begin).unwrap_or_else(|| panic!("no section {heading:?}"));
        rest.split("\n.Sh ").next().unwrap()
    }

    /// The literal blocks, one after the other, as readers see them.
    pub(super) fn blocks(&self) -> impl Iterator<Item = String> {
        let begin = self.0.split(".Bd -literal").skip(1);
        begin.map(|block| {
            let (_, text) = block.split_once('\n').unwrap();
            text.split(".Ed\n").next().unwrap().replace("\\e", "\\")
        })
    }
}

/// The lines that begin an entry of a list.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix(".It "))
}

/// All pages.
fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(workspace().join("man")).unwrap();
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() > 3, "{pages:?}");
    pages
}

#[test]
fn pages_are_sound() {
    let checked =
        Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).args(pages()).output();
    match checked {
        Ok(output) => {
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(output.status.success() && text.is_empty(), "{text}");
        }
        Err(_) => skip_without("mandoc"),
    }
}

/// A page that another one names is of another package, or it is there.
#[test]
fn pages_refer_to_pages_that_exist() {
    let known: BTreeSet<String> =
        pages().iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let ours = ["bus", "libbus"];
    let mut missing = Vec::new();
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix(".Xr ")) {
            let [name, section] = [0, 1].map(|index| line.split(' ').nth(index).unwrap());
            let is_ours = ours.iter().any(|own| {
                name.strip_prefix(own).is_some_and(|rest| !rest.starts_with(char::is_alphabetic))
            });
            let page = format!("{name}.{section}");
            if is_ours && !known.contains(&page) {
                missing.push(format!("{}: {page}", path.display()));
            }
        }
    }
    assert_none(&missing);
}

#[test]
fn every_option_has_an_entry_in_the_manual() {
    let output = Command::new(Daemon::ours().program).arg("--help").output().unwrap();
    // the reference prints its usage on stderr
    let help = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let manual = Page::read("bus-daemon.1");
    let flags: Vec<&str> = entries(&manual.0).filter(|entry| entry.starts_with("Fl")).collect();
    let flags = flags.join("\n").replace("Fl ", "-");
    let (offered, documented) = (long_options(&help), long_options(&flags));
    assert!(!offered.is_empty(), "no options in: {help}");
    let missing: Vec<_> = offered.difference(&documented).collect();
    assert!(missing.is_empty(), "in --help, but not in the manual: {missing:?}");
    let stale: Vec<_> = documented.difference(&offered).collect();
    assert!(
        stale.is_empty() || std::env::var_os("BUS_DAEMON").is_some(),
        "in the manual, but not in --help: {stale:?}"
    );
}

/// Every `--option` in `text`.
fn long_options(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_element_and_attribute_has_an_entry_in_the_manual() {
    let page = Page::read("bus.conf.5");
    let mut problems = Vec::new();
    for form in ELEMENTS {
        let described = described_attributes(&page, form);
        let Some(described) = described else {
            problems.push(format!("no entry of <{}> in {:?}", form.name, form.parent));
            continue;
        };
        let taken: BTreeSet<&str> = form.attributes.iter().copied().collect();
        for attribute in taken.symmetric_difference(&described) {
            problems.push(format!("<{}>: {attribute}", form.name));
        }
    }
    assert_none(&problems);
}

/// The attributes that the page describes for an element; `None` if there is no such element in it.
fn described_attributes<'p>(page: &'p Page, form: &ElementForm) -> Option<BTreeSet<&'p str>> {
    let (section, opening) = match (form.parent, form.name) {
        (Some("policy"), name) => (page.section("RULES"), format!(".Ql <{name}/>")),
        (None, "busconfig") => (page.section("FORMAT"), ".It Cm <busconfig>".to_owned()),
        (Some("buslimits"), name) | (None, name) => {
            (page.section("LIMITS OF USERS AND GROUPS"), format!(".It Cm <{name}"))
        }
        (Some(_), name) => (page.section("ELEMENTS"), format!(".It Cm <{name}")),
    };
    let is_it = |line: &str| {
        let rest = line.strip_prefix(&opening);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphabetic() || next == '_'))
    };
    let mut lines = section.lines().skip_while(|line| !is_it(line));
    lines.next()?;
    let own = lines.take_while(|line| !line.starts_with(".It Cm <"));
    let entries = own.filter_map(|line| line.strip_prefix(".It "));
    Some(entries.flat_map(attributes_of).collect())
}

/// Those of an entry such as `Cm min_fds Ns = Ns Ar NUMBER , Cm max_fds Ns = …`.
fn attributes_of(entry: &str) -> impl Iterator<Item = &str> {
    let values = entry.matches(" Ns = ").count();
    let before = entry.split(" Ns = ").take(values);
    before.filter_map(|before| before.rsplit_once("Cm ")).map(|(_, name)| name)
}

#[test]
fn every_limit_has_its_defaults_in_the_manual() {
    let session = include_str!("../../../bus-daemon/data/session.conf");
    let system = include_str!("../../../bus-daemon/data/system.conf");
    let limits_of = |text: &str| {
        load_text(Path::new("bus.conf"), text.as_bytes(), &NoFiles).config.unwrap().limits
    };
    let built_in = Limits::default();
    assert_eq!(limits_of(system), built_in, "the page says that they are the same");
    let (session, page) = (limits_of(session), Page::read("bus.conf.5"));
    let section = page.section("LIMITS");
    let documented: Vec<&str> =
        entries(section).filter_map(|entry| entry.strip_prefix("Cm ")).collect();
    let known: Vec<&str> = LIMITS.iter().map(|limit| limit.name).collect();
    assert_eq!(documented, known);
    for limit in LIMITS {
        let (_, entry) = section.split_once(&format!(".It Cm {}\n", limit.name)).unwrap();
        let expected = format!("{}, session {}.", shown(limit, &built_in), shown(limit, &session));
        assert_eq!(entry.lines().next().unwrap(), expected, "{}", limit.name);
    }
    let last: Vec<&str> =
        documented.iter().rev().take(WITHOUT_EFFECT.len()).rev().copied().collect();
    assert_eq!(last, WITHOUT_EFFECT, "of these it says that they have no effect");
    let of_users = page.section("LIMITS OF USERS AND GROUPS");
    let (_, listed) = of_users.split_once("The limits are\n").unwrap();
    let words: BTreeSet<&str> = listed.split_whitespace().collect();
    let named: Vec<&str> = known.into_iter().filter(|name| words.contains(name)).collect();
    assert_eq!(named, OVERRIDABLE);
}

fn shown(limit: &LimitForm, of: &Limits) -> String {
    let Some(value) = of.value(limit) else { return "never".to_owned() };
    match limit.unit {
        Unit::Bytes => format!("{value} bytes"),
        Unit::Descriptors => format!("{value} descriptors"),
        Unit::Milliseconds => format!("{value} milliseconds"),
        Unit::Count => value.to_string(),
    }
}

#[test]
fn every_method_signal_and_property_of_the_bus_has_an_entry_in_the_manual() {
    let output = Command::new(Daemon::ours().program).arg("--introspect").output().unwrap();
    let node = Node::from_xml(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
    let page = Page::read("bus-interfaces.7");
    assert!(node.interfaces.len() > 5, "{node:?}");
    for interface in &node.interfaces {
        let documented: Vec<&str> = entries(page.section(&interface.name)).collect();
        assert_eq!(documented, members_of(interface), "{}", interface.name);
    }
}

/// How the members of an interface begin their entries.
fn members_of(interface: &Interface) -> Vec<String> {
    let texts = |arguments: &[Arg]| -> Vec<String> {
        let text = |argument: &Arg| {
            let name = argument.name.as_deref().unwrap_or_default();
            format!("\"{} {name}\"", argument.signature)
        };
        arguments.iter().map(text).collect()
    };
    let function = |name: &str, taken: Vec<String>, answered: Vec<String>| {
        let mut entry = format!("Fn {name}");
        taken.iter().for_each(|argument| entry += &format!(" {argument}"));
        if !answered.is_empty() {
            entry += &format!(" No -> {}", answered.join(" , "));
        }
        entry
    };
    let methods = interface.methods.iter();
    let methods = methods.map(|it| function(&it.name, texts(&it.inputs), texts(&it.outputs)));
    let signals = interface.signals.iter();
    let signals = signals.map(|it| function(&it.name, texts(&it.arguments), Vec::new()));
    let properties = interface.properties.iter();
    let properties = properties.map(|it| format!("Va {} Pq {}", it.name, it.signature));
    methods.chain(signals).chain(properties).collect()
}

#[test]
fn every_type_and_module_of_the_client_is_named_in_the_manual() {
    let page = Page::read("libbus.3").0;
    let words: BTreeSet<&str> =
        page.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).collect();
    let sources = read_sources(&workspace(), "libbus/src");
    let root = sources.iter().find(|file| file.path == "libbus/src/lib.rs").unwrap();
    let exported = exported_names(&root.tokens);
    assert!(exported.contains("Connection") && exported.contains("wire_types"), "{exported:?}");
    let missing: Vec<_> = exported.iter().filter(|name| !words.contains(**name)).collect();
    assert!(missing.is_empty(), "in the root of libbus, but not in the manual: {missing:?}");
}

/// What `pub use` and `pub mod` name: of a path the last part, or what it is called here.
fn exported_names(tokens: &[String]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut rest = tokens;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let [second, ..] = rest else { break };
        if first == "pub" && (second == "use" || second == "mod") {
            let end = rest.iter().position(|token| token == ";").unwrap();
            let ends = |token: &String| [";", ",", "}"].contains(&token.as_str());
            for pair in rest[..=end].windows(2).filter(|pair| ends(&pair[1])) {
                if pair[0].starts_with(|letter: char| letter.is_alphabetic()) {
                    names.insert(pair[0].as_str());
                }
            }
            rest = &rest[end..];
        }
    }
    names
}

#[test]
fn every_example_of_the_client_is_named_in_the_manual() {
    let page = Page::read("libbus.3");
    let section = page.section("EXAMPLES");
    let named: BTreeSet<&str> =
        entries(section).flat_map(|entry| entry.trim_start_matches("Pa ").split(" , ")).collect();
    let mut programs = BTreeSet::new();
    let mut texts = Vec::new();
    for entry in fs::read_dir(workspace().join("libbus/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(&path).unwrap());
            programs.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(named, programs.iter().map(String::as_str).collect::<BTreeSet<_>>());
    let shown: Vec<String> = page.blocks().filter(|block| block.contains("fn main")).collect();
    assert_eq!(shown.len(), 2);
    for program in shown {
        assert!(texts.iter().any(|text| text.ends_with(&program)), "no such example: {program}");
    }
}
