//! Options as `getopt_long(3)` reads them, for the commands that do: anywhere among the words, short ones in a row,
//! long ones also by the beginning of their names. What is wrong is told in its words.

use std::iter::Peekable;
use std::slice::Iter;

/// Whether a value comes with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Value,
}

/// Options of one command; `K` tells them apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<K: 'static> {
    pub(crate) program: &'static str,
    pub(crate) short: &'static [(char, Takes, K)],
    pub(crate) long: &'static [(&'static str, Takes, K)],
}

/// What stands on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item<K> {
    Option(K, String),
    Word(String),
}

/// Reads a command line item by item, so that what comes before something wrong has its effect.
#[derive(Debug)]
pub(crate) struct Reader<'a, K: 'static> {
    options: Options<K>,
    arguments: Peekable<Iter<'a, String>>,
    /// Short options that stood together in one word.
    row: String,
    has_ended: bool,
}

impl<K: Copy> Options<K> {
    pub(crate) fn read(self, arguments: &[String]) -> Reader<'_, K> {
        Reader {
            options: self,
            arguments: arguments.iter().peekable(),
            row: String::new(),
            has_ended: false,
        }
    }

    /// The long option that is meant.
    fn find(&self, name: &str) -> Result<(&'static str, Takes, K), String> {
        let exact = self.long.iter().find(|(known, ..)| *known == name);
        let mut near = self.long.iter().filter(|(known, ..)| known.starts_with(name));
        match (exact.or_else(|| near.next()), near.next()) {
            (Some(only), None) => Ok(*only),
            (Some(found), Some(_)) if exact.is_some() => Ok(*found),
            (None, _) => Err(format!("{}: unrecognized option '--{name}'", self.program)),
            (Some(_), Some(_)) => {
                let near = self.long.iter().filter(|(known, ..)| known.starts_with(name));
                let near: String = near.map(|(known, ..)| format!(" '--{known}'")).collect();
                let program = self.program;
                Err(format!("{program}: option '--{name}' is ambiguous; possibilities:{near}"))
            }
        }
    }
}

impl<K: Copy> Reader<'_, K> {
    fn long(&mut self, text: &str) -> Result<Item<K>, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let program = self.options.program;
        let (name, takes, key) = self.options.find(name)?;
        match (takes, value) {
            (Takes::Nothing, Some(_)) => {
                Err(format!("{program}: option '--{name}' doesn't allow an argument"))
            }
            (Takes::Nothing, None) => Ok(Item::Option(key, String::new())),
            (Takes::Value, Some(value)) => Ok(Item::Option(key, value)),
            (Takes::Value, None) => match self.arguments.next() {
                Some(value) => Ok(Item::Option(key, value.clone())),
                None => Err(format!("{program}: option '--{name}' requires an argument")),
            },
        }
    }

    /// The first of the row.
    fn short(&mut self) -> Result<Item<K>, String> {
        let program = self.options.program;
        let name = self.row.remove(0);
        let found = self.options.short.iter().find(|(known, ..)| *known == name);
        let Some((_, takes, key)) = found else {
            return Err(format!("{program}: invalid option -- '{name}'"));
        };
        if *takes == Takes::Nothing {
            return Ok(Item::Option(*key, String::new()));
        }
        let value = match std::mem::take(&mut self.row) {
            row if row.is_empty() => self.arguments.next().cloned(),
            row => Some(row),
        };
        let missing = || format!("{program}: option requires an argument -- '{name}'");
        value.map(|value| Item::Option(*key, value)).ok_or_else(missing)
    }
}

impl<K: Copy> Iterator for Reader<'_, K> {
    type Item = Result<Item<K>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.row.is_empty() {
            return Some(self.short());
        }
        let word = self.arguments.next()?;
        if self.has_ended {
            return Some(Ok(Item::Word(word.clone())));
        }
        match word.strip_prefix('-') {
            None | Some("") => Some(Ok(Item::Word(word.clone()))),
            Some("-") => {
                self.has_ended = true;
                self.next()
            }
            Some(rest) => Some(match rest.strip_prefix('-') {
                Some(long) => self.long(long),
                None => {
                    self.row = rest.to_owned();
                    self.short()
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Options, Takes};

    const OPTIONS: Options<char> = Options {
        program: "prog",
        short: &[('q', Takes::Nothing, 'q'), ('H', Takes::Value, 'h')],
        long: &[
            ("host", Takes::Value, 'h'),
            ("quiet", Takes::Nothing, 'q'),
            ("list", Takes::Nothing, 'l'),
            ("list-all", Takes::Nothing, 'a'),
        ],
    };

    fn check(line: &str, wanted: &str) {
        let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        let shown = OPTIONS.read(&words).map(|item| match item {
            Ok(Item::Option(key, value)) => format!("{key}={value}"),
            Ok(Item::Word(word)) => word,
            Err(error) => error,
        });
        assert_eq!(shown.collect::<Vec<_>>().join("|"), wanted, "{line}");
    }

    #[test]
    fn options_stand_anywhere_and_may_be_shortened() {
        check("a -q b --host=x c", "a|q=|b|h=x|c");
        check("-qHx -H y --ho z", "q=|h=x|h=y|h=z");
        check("--qui - -- -q --x", "q=|-|-q|--x");
        check("--list --list-", "l=|a=");
        check("--host=", "h=");
    }

    #[test]
    fn what_is_wrong_is_told_as_the_c_library_tells_it() {
        check("-x", "prog: invalid option -- 'x'");
        check("--x", "prog: unrecognized option '--x'");
        check("--li", "prog: option '--li' is ambiguous; possibilities: '--list' '--list-all'");
        check("--quiet=1", "prog: option '--quiet' doesn't allow an argument");
        check("--host", "prog: option '--host' requires an argument");
        check("-H", "prog: option requires an argument -- 'H'");
    }
}
