//! D-Bus names as names of Rust.
//!
//! A word of a D-Bus name begins with a capital after a small letter or a digit, with the last of
//! several capitals if two small letters follow it, and after anything that is no letter or digit.
//! So acronyms stay whole, with the one small letter that they may have: `NMState` is `nm_state`,
//! `UUIDs` is `uuids`, `IPv4Address` is `ipv4_address`. Where the way back leads elsewhere, an
//! attribute tells the name.

use std::collections::{HashMap, HashSet};

use crate::model::{Arg, EmitsChangedSignal, Interface, Property};

/// Longest name of an argument, in bytes: what is longer is cut off, since nobody calls it.
const ARGUMENT_NAME_SIZE_MAX: usize = 64;

/// Names that mean something to what is generated and to what the macros make of it, and that a type
/// of the same name beside it would take away.
const MEANINGS: [&str; 26] = [
    "AsMut", "AsRef", "Box", "Clone", "Copy", "Debug", "Default", "Drop", "Eq", "Err", "From",
    "Future", "Hash", "Into", "Iterator", "None", "Ok", "Option", "Ord", "Result", "Self", "Send",
    "Some", "String", "Sync", "Vec",
];

/// Words that are names only as `r#word`, in every edition.
const KEYWORDS: [&str; 48] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Words that are no names at all.
const NEVER_NAMES: [&str; 3] = ["self", "super", "crate"];

/// What every proxy has.
const OF_PROXIES: [&str; 9] = [
    "new",
    "builder",
    "connection",
    "destination",
    "path",
    "interface",
    "inner",
    "inner_mut",
    "into_inner",
];

/// The Rust names of an interface's members, each list in the order of the model: the same for
/// proxies and servers.
pub(super) struct MemberNames {
    pub(super) methods: Vec<String>,
    /// Those of the getters; `set_` before them makes the setters'.
    pub(super) properties: Vec<String>,
    pub(super) signals: Vec<String>,
}

impl MemberNames {
    /// Methods choose first, then properties, then signals. What servers have to announce changes
    /// is called by the property's D-Bus name, and cannot give way.
    pub(super) fn of(interface: &Interface) -> Self {
        let mut scope = Scope::default();
        let name = type_name(interface);
        scope.taken.extend(types_of_interface(&name));
        scope.taken.extend(MEANINGS.map(str::to_owned));
        for property in interface.properties.iter().filter(|it| is_announced(interface, it)) {
            scope.taken.extend(announcing(&snake_case(&property.name, "property")));
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let methods = interface.methods.iter().map(|it| {
            let count = counts.entry(&it.name).or_default();
            *count += 1;
            match count {
                1 => scope.take(&it.name, "method", own),
                // Overloaded: `close_2`.
                _ => scope.take(&format!("{}_{count}", it.name), "method", own),
            }
        });
        let methods = methods.collect();
        let properties = interface
            .properties
            .iter()
            .map(|it| scope.take(&it.name, "property", |name| of_property(name, interface, it)));
        let properties = properties.collect();
        let signals = interface.signals.iter().map(|it| scope.take(&it.name, "signal", of_signal));
        Self { methods, properties, signals: signals.collect() }
    }
}

/// Names that are gone.
struct Scope {
    taken: HashSet<String>,
    /// How many members wanted a name that was gone.
    late: HashMap<String, usize>,
}

impl Default for Scope {
    fn default() -> Self {
        let taken = OF_PROXIES.iter().chain(&NEVER_NAMES).map(|&name| name.to_owned()).collect();
        Self { taken, late: HashMap::new() }
    }
}

impl Scope {
    /// The first of `name`, `name_kind`, `name_kind_2` and so on for which all that `derived` makes
    /// of it is free.
    fn take(&mut self, name: &str, kind: &str, derived: impl Fn(&str) -> Vec<String>) -> String {
        let name = snake_case(name, kind);
        if self.try_take(derived(&name)) {
            return name;
        }
        let name = format!("{name}_{kind}");
        loop {
            let late = self.late.entry(name.clone()).or_default();
            *late += 1;
            let name = if *late == 1 { name.clone() } else { format!("{name}_{late}") };
            if self.try_take(derived(&name)) {
                return name;
            }
        }
    }

    fn try_take(&mut self, names: Vec<String>) -> bool {
        let is_free = !names.iter().any(|name| self.taken.contains(name));
        if is_free {
            self.taken.extend(names);
        }
        is_free
    }
}

fn own(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

/// What proxies and servers have for a property.
fn of_property(name: &str, interface: &Interface, property: &Property) -> Vec<String> {
    let mut names = own(name);
    if property.access.is_writable() {
        names.push(format!("set_{name}"));
    }
    let said = interface.emits_changed_signal(property);
    if property.access.is_readable() && said != EmitsChangedSignal::False {
        names.push(format!("cached_{name}"));
    }
    if is_announced(interface, property) {
        names.push(format!("receive_{name}_changed"));
        // Else they are its own already.
        if name != snake_case(&property.name, "property") {
            names.extend(announcing(name));
        }
    }
    names
}

/// Whether changes of a property are told.
fn is_announced(interface: &Interface, property: &Property) -> bool {
    use EmitsChangedSignal::{Invalidates, True};
    let said = interface.emits_changed_signal(property);
    property.access.is_readable() && matches!(said, True | Invalidates)
}

/// What servers have to announce changes.
fn announcing(name: &str) -> [String; 3] {
    ["changed", "invalidate", "invalidated"].map(|suffix| format!("{name}_{suffix}"))
}

/// What proxies and servers have for a signal; types begin with a capital, and so meet no function.
fn of_signal(name: &str) -> Vec<String> {
    let functions = ["", "_with_args"].map(|suffix| format!("receive_{name}{suffix}"));
    own(name).into_iter().chain(functions).chain(types_of_signal(name)).collect()
}

/// Names for arguments, none twice and none of those `reserved`.
pub(super) fn of_arguments(arguments: &[Arg], reserved: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let name = match argument.name.as_deref() {
            Some(name) => argument_name(name),
            None => format!("arg_{index}"),
        };
        let is_free = |name: &String| {
            let is_taken = reserved.contains(&name.as_str()) || names.contains(name);
            !is_taken && !NEVER_NAMES.contains(&name.as_str())
        };
        let later = (1..).map(|number| match number {
            1 => format!("{name}_"),
            _ => format!("{name}_{number}"),
        });
        let free = std::iter::once(name.clone()).chain(later).find(is_free);
        names.push(free.unwrap_or(name));
    }
    names
}

fn argument_name(name: &str) -> String {
    let mut name = snake_case(name, "arg");
    name.truncate(ARGUMENT_NAME_SIZE_MAX);
    name.trim_end_matches('_').to_owned()
}

/// A name as the source has it.
pub(super) fn identifier(name: &str) -> String {
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

/// A name in small letters, all ASCII, with single underscores between its words. What has no
/// letter in front gets `fallback` there.
pub(super) fn snake_case(name: &str, fallback: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len());
    for (index, c) in chars.iter().enumerate() {
        let is_part = c.is_ascii_alphanumeric();
        let is_apart = snake.is_empty() || snake.ends_with('_');
        if !is_apart && (!is_part || begins_word(&chars, index)) {
            snake.push('_');
        }
        if is_part {
            snake.push(c.to_ascii_lowercase());
        }
    }
    let snake = snake.trim_end_matches('_');
    match snake.bytes().next() {
        None => fallback.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("{fallback}_{snake}"),
        Some(_) => snake.to_owned(),
    }
}

fn begins_word(chars: &[char], index: usize) -> bool {
    let at = |index: usize| chars.get(index).copied().unwrap_or('_');
    let before = index.checked_sub(1).map_or('_', at);
    let is_last_capital = at(index + 1).is_ascii_lowercase() && at(index + 2).is_ascii_lowercase();
    at(index).is_ascii_uppercase() && (!before.is_ascii_uppercase() || is_last_capital)
}

/// What the macros take a Rust name for: each word begins with a capital, and there is nothing
/// between them.
pub(super) fn pascal_case(name: &str) -> String {
    let mut pascal = String::with_capacity(name.len());
    let mut is_beginning = true;
    for c in name.chars() {
        match c {
            '_' => is_beginning = true,
            _ if is_beginning => {
                pascal.push(c.to_ascii_uppercase());
                is_beginning = false;
            }
            _ => pascal.push(c),
        }
    }
    pascal
}

/// The name of an interface's trait or type: the last element of its name. Where that means something
/// already, or a signal makes a type of that name, there is more after it.
pub(super) fn type_name(interface: &Interface) -> String {
    let last = interface.name.rsplit('.').next().unwrap_or_default();
    let last = pascal_case(last);
    let signals = interface.signals.iter();
    let wanted = signals.flat_map(|it| types_of_signal(&snake_case(&it.name, "signal")));
    let wanted: HashSet<String> = wanted.chain(MEANINGS.map(str::to_owned)).collect();
    let is_free = |name: &String| {
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic());
        is_name && !types_of_interface(name).iter().any(|name| wanted.contains(name))
    };
    // What begins with a digit is no name.
    let (before, after) = match last.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => ("", "Interface"),
        false => ("Interface", ""),
    };
    let longer = (1..).map(|number| match number {
        1 => format!("{before}{last}{after}"),
        _ => format!("{before}{last}{after}{number}"),
    });
    let free = std::iter::once(last.clone()).chain(longer).find(is_free);
    free.unwrap_or(last)
}

/// All that stands beside others in a module when a proxy is made.
pub(super) fn proxy_items(interface: &Interface) -> Vec<String> {
    let [name, proxy, _] = types_of_interface(&type_name(interface));
    let signals = MemberNames::of(interface).signals;
    [name, proxy].into_iter().chain(signals.iter().flat_map(|it| types_of_signal(it))).collect()
}

/// All that stands beside others in a module when a type that offers the interface is made.
pub(super) fn server_items(interface: &Interface) -> Vec<String> {
    let [name, _, signals] = types_of_interface(&type_name(interface));
    vec![name, signals]
}

/// What is made for an interface: its trait or type, the proxy, and a server's trait for signals.
fn types_of_interface(name: &str) -> [String; 3] {
    ["", "Proxy", "Signals"].map(|suffix| format!("{name}{suffix}"))
}

/// What is made for a signal whose function has this name.
fn types_of_signal(name: &str) -> [String; 4] {
    let name = pascal_case(name);
    ["", "Args", "Iterator", "Stream"].map(|suffix| format!("{name}{suffix}"))
}
