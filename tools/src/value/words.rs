//! What people type for the arguments of a call: each word in the form that fits.
//!
//! A word is a value in GVariant's text form (`['a', 'b']`, `{'k': <1>}`), a string as it stands, or the beginning
//! of busctl's form, in which an array is its length and then its elements, a word each. For bytes and strings `@FILE`
//! is the content of a file (`@@` begins a text with one `@`), for a descriptor `@FILE` is the opened file and
//! `fd:3` one that the shell has open.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use libbus::host::phrase;
use libbus::limits::{ARRAY_SIZE_MAX, CONTAINER_DEPTH_MAX};

use super::gvariant::{self, TextError};
use super::{Arguments, Kind, Value, flat, kind, type_name, types};
use crate::output::escape::{plain, shell_word};

/// The words of a command line that are values, and how far they were read.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    words: &'a [String],
    next: usize,
    /// How many containers are open.
    depth: usize,
    /// What is opened for descriptors among the values.
    pub(crate) fds: Vec<OwnedFd>,
}

/// A word does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ArgumentError {
    /// Which word, from 0; the number of words, if one is missing.
    pub(crate) word: usize,
    /// Where in it, in bytes.
    pub(crate) offset: usize,
    /// What is wrong.
    pub(crate) what: String,
    /// The type that is wanted there.
    pub(crate) wanted: String,
    /// What to type, if it was meant otherwise.
    pub(crate) hint: Option<String>,
}

impl<'a> Words<'a> {
    pub(crate) const fn new(words: &'a [String]) -> Self {
        Self { words, next: 0, depth: 0, fds: Vec::new() }
    }

    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).map(String::as_str)
    }

    /// The next word, for a value of this type.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn take(&mut self, wanted: &str) -> Result<&'a str, ArgumentError> {
        let word = self.peek().ok_or_else(|| self.error_here(0, "a value is missing", wanted))?;
        self.next += 1;
        Ok(word)
    }

    /// What is wrong with the word that was taken last.
    pub(crate) fn error(&self, offset: usize, what: &str, wanted: &str) -> ArgumentError {
        let word = self.next.saturating_sub(1);
        ArgumentError { word, offset, what: what.to_owned(), wanted: type_name(wanted), hint: None }
    }

    /// What is wrong at the next word.
    pub(crate) fn error_here(&self, offset: usize, what: &str, wanted: &str) -> ArgumentError {
        let wanted = type_name(wanted);
        ArgumentError { word: self.next, offset, what: what.to_owned(), wanted, hint: None }
    }

    const fn left(&self) -> usize {
        self.words.len() - self.next
    }

    /// Reads what is in a value of this type, which opens so many containers.
    ///
    /// # Errors
    /// There are more than D-Bus has inside one another, or that of `read`.
    pub(crate) fn inside<T>(
        &mut self,
        wanted: &str,
        depth: usize,
        read: impl FnOnce(&mut Self) -> Result<T, ArgumentError>,
    ) -> Result<T, ArgumentError> {
        self.depth += depth;
        if self.depth > CONTAINER_DEPTH_MAX {
            let what = "there are more values inside one another than D-Bus has";
            return Err(self.error_here(0, what, wanted));
        }
        let value = read(self)?;
        self.depth -= depth;
        Ok(value)
    }

    /// A descriptor for this place of a body: `fd:3`, `3` or `@FILE`.
    ///
    /// # Errors
    /// There is no such descriptor or file.
    pub(crate) fn take_fd(&mut self) -> Result<Value, ArgumentError> {
        let word = self.take("h")?;
        let opened = match word.strip_prefix('@') {
            Some(path) => File::open(path).map(OwnedFd::from),
            None => inherited(word.strip_prefix("fd:").unwrap_or(word)),
        };
        let fd = opened.map_err(|error| self.error(0, &phrase(&error), "h"))?;
        let index = self.fds.len();
        self.fds.push(fd);
        Ok(Value::UnixFd(u32::try_from(index).unwrap_or(u32::MAX)))
    }
}

/// A copy of a descriptor that this program was started with.
fn inherited(number: &str) -> std::io::Result<OwnedFd> {
    let missing = || std::io::Error::other("no number of an open file descriptor");
    libbus::host::inherited_fd(number.parse().map_err(|_| missing())?)
}

/// The values of these types that the words say.
///
/// # Errors
/// A word does not fit, one is missing, or one is left over.
pub(crate) fn arguments(signature: &str, words: &[String]) -> Result<Arguments, ArgumentError> {
    let mut words = Words::new(words);
    let mut values = Vec::new();
    for wanted in types(signature) {
        values.push(value(&wanted, &mut words)?);
    }
    finish(words, values)
}

fn finish(words: Words<'_>, values: Vec<Value>) -> Result<Arguments, ArgumentError> {
    if words.left() > 0 {
        let what = "this is one argument too many".to_owned();
        let wanted = "nothing more".to_owned();
        return Err(ArgumentError { word: words.next, offset: 0, what, wanted, hint: None });
    }
    Ok(Arguments { values, fds: words.fds })
}

fn value(wanted: &str, words: &mut Words<'_>) -> Result<Value, ArgumentError> {
    let word = words.peek().unwrap_or_default();
    match kind(wanted) {
        Some(Kind::Basic('h')) => words.take_fd(),
        Some(Kind::Basic('s')) => {
            let bytes = text_or_file(words, "s")?;
            let text = String::from_utf8(bytes);
            text.map(Value::String).map_err(|_| words.error(0, "the file is no UTF-8", "s"))
        }
        Some(Kind::Array("y")) if word.starts_with('@') && !word.starts_with("@ay") => {
            Ok(Value::Bytes(text_or_file(words, "ay")?))
        }
        Some(Kind::Basic(_)) => flat::value(wanted, words),
        Some(Kind::Variant) => variant(word, words),
        _ if begins_literal(word) => literal(wanted, words),
        _ => flat::value(wanted, words),
    }
}

/// Whether the word is a container in GVariant's form.
fn begins_literal(word: &str) -> bool {
    word.trim_start().starts_with(['[', '{', '(', '<', '@', '\'', '"']) || word.starts_with("b'")
}

fn literal(wanted: &str, words: &mut Words<'_>) -> Result<Value, ArgumentError> {
    let word = words.take(wanted)?;
    let parsed = gvariant::parse(word, Some(wanted), words.fds.len());
    parsed.map_err(|error| textual(error, wanted, words))
}

/// What is wrong with the word that was taken last, in GVariant's form.
fn textual(error: TextError, wanted: &str, words: &Words<'_>) -> ArgumentError {
    let is_fd = error.wanted == type_name("h");
    ArgumentError {
        wanted: error.wanted,
        hint: is_fd.then(|| {
            "a descriptor is a word of its own, fd:3 or @FILE; a container with one is words in a row".to_owned()
        }),
        ..words.error(error.offset, &error.what, wanted)
    }
}

/// A variant in GVariant's form, in busctl's, or as what it looks like.
fn variant(word: &str, words: &mut Words<'_>) -> Result<Value, ArgumentError> {
    if words.left() > 1 && types(word).len() == 1 {
        return flat::value("v", words);
    }
    let word = words.take("v")?;
    let value = match gvariant::parse(word, None, words.fds.len()) {
        Ok(value) => value,
        // Half a container is a slip of the hand rather than a text.
        Err(error) if begins_literal(word) || error.what == gvariant::NO_SUCH_FD => {
            let hint = format!("if a text is meant: s {}", shell_word(&plain(word)));
            let error = textual(error, "v", words);
            return Err(ArgumentError { hint: error.hint.or(Some(hint)), ..error });
        }
        Err(_) => Value::String(word.to_owned()),
    };
    Ok(match value {
        variant @ Value::Variant(_) => variant,
        value => Value::Variant(Box::new(value)),
    })
}

/// The next word as it stands, or the content of the file that it names.
fn text_or_file(words: &mut Words<'_>, wanted: &str) -> Result<Vec<u8>, ArgumentError> {
    let word = words.take(wanted)?;
    let Some(path) = word.strip_prefix('@') else { return Ok(word.as_bytes().to_vec()) };
    if path.starts_with('@') {
        return Ok(path.as_bytes().to_vec());
    }
    let mut bytes = Vec::new();
    let limit = u64::from(ARRAY_SIZE_MAX) + 1;
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    let unread = |error| format!("cannot read the file: {}", phrase(&error));
    read.map_err(|error| words.error(1, &unread(error), wanted))?;
    match bytes.len() as u64 >= limit {
        true => Err(words.error(1, "the file is longer than a message may be", wanted)),
        false => Ok(bytes),
    }
}

impl ArgumentError {
    /// The words in a row, and a caret under what is wrong.
    pub(crate) fn pointing(&self, before: &str, words: &[String]) -> String {
        let mut line = before.to_owned();
        let mut column = line.chars().count() + 1;
        for (index, word) in words.iter().enumerate() {
            line.push(' ');
            if index == self.word {
                let inside = word.get(..self.offset).unwrap_or_default();
                column = line.chars().count() + shown(inside).chars().count();
            }
            line.push_str(&shown(word));
        }
        if self.word >= words.len() {
            column = line.chars().count() + 1;
        }
        format!("  {line}\n  {}^ {}", " ".repeat(column), self.wanted)
    }
}

/// A word on one line: what would move the cursor is left out.
fn shown(word: &str) -> String {
    word.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "argument {}: {}", self.word + 1, self.what)
    }
}
