//! Options as GLib reads them: long ones by their whole names, short ones in a row; whatever is wrong, the answer is
//! how the command is used. And the connection, which all commands are told.

use libbus::address::Address;
use libbus::blocking::{Builder, Connection};
use libbus::names::{BusName, ObjectPath};

use super::{Result, because, text_of};

/// What comes with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Text,
    /// Of 32 bits.
    Int,
    /// Of 64 bits.
    Number,
    /// A text that may be left out: the next word, if that is no option.
    Perhaps,
}

/// Long name, short name, and what it takes.
pub(super) type Option_ = (&'static str, char, Takes);

/// Those of one command, before which those of all commands count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options(pub(super) &'static [Option_]);

/// Those of all commands.
const CONNECTION: &[Option_] = &[
    ("system", 'y', Takes::Nothing),
    ("session", 'e', Takes::Nothing),
    ("address", 'a', Takes::Text),
];

/// What stands on the command line.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    options: Vec<(&'static str, Option<String>)>,
    pub(super) words: Vec<String>,
}

/// What becomes of an option that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    Refused,
    PassedOver,
}

impl Unknown {
    fn passed_over(self) -> Option<()> {
        (self == Self::PassedOver).then_some(())
    }
}

impl Options {
    /// Nothing, if something is wrong.
    pub(super) fn read(self, words: &[String]) -> Option<Given> {
        self.read_with(words, Unknown::Refused)
    }

    /// The same, without the options that nobody knows.
    pub(super) fn read_known(self, words: &[String]) -> Option<Given> {
        self.read_with(words, Unknown::PassedOver)
    }

    fn read_with(self, words: &[String], unknown: Unknown) -> Option<Given> {
        let mut given = Given::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix('-') {
                Some("-") => given.words.extend(words.by_ref().cloned()),
                None | Some("") => given.words.push(word.clone()),
                Some(rest) => match rest.strip_prefix('-') {
                    Some(long) => self.read_long(long, unknown, &mut words, &mut given)?,
                    None => self.read_row(rest, unknown, &mut words, &mut given)?,
                },
            }
        }
        Some(given)
    }

    fn all(self) -> impl Iterator<Item = &'static Option_> {
        self.0.iter().chain(CONNECTION)
    }

    fn read_long(
        self,
        text: &str,
        unknown: Unknown,
        words: &mut std::slice::Iter<'_, String>,
        given: &mut Given,
    ) -> Option<()> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let Some((name, _, takes)) = self.all().find(|(known, ..)| *known == name) else {
            return unknown.passed_over();
        };
        let value = match takes {
            Takes::Nothing => None,
            Takes::Perhaps => value.or_else(|| next_unless_option(words)),
            Takes::Text | Takes::Int | Takes::Number => {
                Some(value.or_else(|| words.next().cloned())?)
            }
        };
        given.push(name, *takes, value)
    }

    /// Short options; a value is the next word.
    fn read_row(
        self,
        row: &str,
        unknown: Unknown,
        words: &mut std::slice::Iter<'_, String>,
        given: &mut Given,
    ) -> Option<()> {
        let count = row.chars().count();
        for (index, letter) in row.chars().enumerate() {
            let Some((name, _, takes)) = self.all().find(|(_, short, _)| *short == letter) else {
                unknown.passed_over()?;
                continue;
            };
            let is_last = index + 1 == count;
            let value = match takes {
                Takes::Text | Takes::Int | Takes::Number if is_last => Some(words.next()?.clone()),
                Takes::Text | Takes::Int | Takes::Number => return None,
                Takes::Perhaps if is_last => next_unless_option(words),
                Takes::Nothing | Takes::Perhaps => None,
            };
            given.push(name, *takes, value)?;
        }
        Some(())
    }
}

/// A whole number as `strtol` reads it where it is told no base; blanks may stand before it.
fn number(text: &str) -> Option<i64> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (digits.get(2..)?, 16),
        [b'0', _, ..] => (digits.get(1..)?, 8),
        _ => (digits, 10),
    };
    let is_number = digits.chars().all(|c| c.is_digit(radix));
    let number = is_number.then(|| i128::from_str_radix(digits, radix).ok()).flatten()?;
    i64::try_from(if is_negative { -number } else { number }).ok()
}

fn next_unless_option(words: &mut std::slice::Iter<'_, String>) -> Option<String> {
    let next = words.as_slice().first().filter(|next| !next.starts_with('-'))?;
    words.next();
    Some(next.clone())
}

impl Given {
    fn push(&mut self, name: &'static str, takes: Takes, value: Option<String>) -> Option<()> {
        let number = value.as_deref().and_then(number);
        match takes {
            Takes::Int => drop(i32::try_from(number?).ok()?),
            Takes::Number => drop(number?),
            _ => {}
        }
        self.options.push((name, value));
        Some(())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| *known == name)
    }

    /// The value that was said last.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let last = self.options.iter().rev().find(|(known, _)| *known == name);
        last.and_then(|(_, value)| value.as_deref())
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(number)
    }

    /// A connection to the bus; where an address is said and `is_bus` is not, to a program.
    ///
    /// # Errors
    /// It is not said which, or it cannot be reached.
    pub(super) fn connect(&self, is_bus: bool) -> Result<Connection> {
        let builder = self.builder(is_bus)?;
        builder.build().map_err(|error| because(format!("Error connecting: {}", text_of(&error))))
    }

    /// # Errors
    /// It is not said which bus.
    pub(super) fn builder(&self, is_bus: bool) -> Result<Builder> {
        let builder = match (self.has("system"), self.has("session"), self.get("address")) {
            (false, false, None) => {
                return Err(because("Error connecting: No connection endpoint specified"));
            }
            (true, false, None) => Builder::system(),
            (false, true, None) => Builder::session(),
            (false, false, Some(address)) if is_bus => Builder::address(address),
            (false, false, Some(address)) => Builder::address(address).map(Builder::p2p),
            _ => return Err(because("Error connecting: Multiple connection endpoints specified")),
        };
        builder.map_err(|error| {
            let element = self.get("address").unwrap_or_default();
            let why = match (Address::parse_list(element).is_err(), element.contains(':')) {
                (true, false) => {
                    format!("Address element “{element}” does not contain a colon (:)")
                }
                _ => text_of(&error),
            };
            because(format!("Error connecting: {why}"))
        })
    }

    /// Who is meant, by `--dest`; nobody where there is no bus.
    ///
    /// # Errors
    /// It is no name, or none is said where there is a bus.
    pub(super) fn destination(&self, connection: &Connection) -> Result<Option<&str>> {
        match self.get("dest") {
            None if connection.unique_name().is_some() => {
                Err(because("Error: Destination is not specified"))
            }
            None => Ok(None),
            Some(name) if BusName::parse(name).is_err() => {
                Err(because(format!("Error: {name} is not a valid bus name")))
            }
            name => Ok(name),
        }
    }

    /// # Errors
    /// It is none, or not said.
    pub(super) fn path(&self) -> Result<&str> {
        match self.get("object-path") {
            None => Err(because("Error: Object path is not specified")),
            Some(path) if ObjectPath::parse(path).is_err() => {
                Err(because(format!("Error: {path} is not a valid object path")))
            }
            Some(path) => Ok(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, Takes};

    const OPTIONS: Options = Options(&[
        ("dest", 'd', Takes::Text),
        ("timeout", 't', Takes::Number),
        ("xml", 'x', Takes::Nothing),
        ("activate", 'a', Takes::Perhaps),
    ]);

    fn check(line: &str, wanted: Option<&str>) {
        let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        let shown = OPTIONS.read(&words).map(|given| {
            let option = |(name, value): &(&str, Option<String>)| {
                format!("{name}={}", value.as_deref().unwrap_or("-"))
            };
            let options = given.options.iter().map(option).chain(given.words.clone());
            options.collect::<Vec<_>>().join("|")
        });
        assert_eq!(shown.as_deref(), wanted, "{line}");
    }

    #[test]
    fn options_are_read_as_glib_reads_them() {
        check("-e word --dest=x -xy", Some("session=-|dest=x|xml=-|system=-|word"));
        check("--dest x -d y -t 5", Some("dest=x|dest=y|timeout=5"));
        check("-a x --activate y --activate=z", Some("activate=x|activate=y|activate=z"));
        check("-a -x --activate -x -a", Some("activate=-|xml=-|activate=-|xml=-|activate=-"));
        check("-x -- -x", Some("xml=-|-x"));
        check("--system=3 -t -1", Some("system=-|timeout=-1"));
        let words = ["-zex", "--bogus=1", "a", "-d", "y"].map(ToOwned::to_owned);
        let known = OPTIONS.read_known(&words).unwrap();
        assert!(known.has("session") && known.get("dest") == Some("y") && known.words == ["a"]);
        assert!(OPTIONS.read_known(&["-d".to_owned()]).is_none());
        check("-t 0x10 -t -010", Some("timeout=0x10|timeout=-010"));
        for wrong in [
            "-t 08",
            "-t 0x",
            "-t 99999999999999999999",
            "-t5",
            "-t x",
            "--dest",
            "-d",
            "--des x",
            "-z",
            "-dx",
            "--help",
            "-h",
        ] {
            check(wrong, None);
        }
    }
}
