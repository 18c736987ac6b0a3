//! What the words of a verb are, by the names that its definition gives them: `NAME PATH INTERFACE.METHOD`.
//!
//! ` | ` separates ways to write them, brackets stand around what may be missing; the last one may come again.

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Path,
    Interface,
    Method,
    Signal,
    Property,
    Member,
    Variable,
    File,
}

/// What members are looked for on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) name: Option<String>,
    pub(super) path: Option<String>,
}

/// One of the names of a definition.
#[derive(Clone, Copy, Debug)]
struct Token<'n> {
    name: &'n str,
    is_optional: bool,
}

impl Token<'_> {
    fn kind(self) -> Option<Kind> {
        Some(match self.name.trim_end_matches('…') {
            "NAME" | "NAME|PID" | "SERVICE" => Kind::Name,
            "PATH" => Kind::Path,
            "INTERFACE" => Kind::Interface,
            "INTERFACE.METHOD" => Kind::Method,
            "INTERFACE.SIGNAL" => Kind::Signal,
            "INTERFACE.PROPERTY" => Kind::Property,
            "INTERFACE.MEMBER" | "INTERFACE[.MEMBER]" => Kind::Member,
            "VAR" | "VAR[=VALUE]" => Kind::Variable,
            "FILE" | "PROGRAM" => Kind::File,
            _ => return None,
        })
    }

    /// Paths begin with a slash, and names never do.
    fn fits(self, word: &str) -> bool {
        match self.kind() {
            Some(Kind::Name) => !word.starts_with('/'),
            Some(Kind::Path) => word.starts_with('/'),
            _ => true,
        }
    }

    /// Whether a word cannot be this one, which need not be there.
    fn is_passed_by(self, word: &str, is_peer: bool) -> bool {
        let is_missing = is_peer || self.is_optional;
        is_missing && self.kind() == Some(Kind::Name) && (is_peer || word.starts_with('/'))
    }
}

/// The ways to write a verb's words.
fn ways(names: &str) -> impl Iterator<Item = Vec<Token<'_>>> {
    names.split(" | ").map(|way| way.split_whitespace().map(token).collect())
}

fn token(word: &str) -> Token<'_> {
    match word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(name) => Token { name, is_optional: true },
        None => Token { name: word, is_optional: false },
    }
}

/// Which of the names the words are, and what is left; the last name stays. Nothing, if this is not the way that
/// they are written.
fn align<'n>(way: &[Token<'n>], words: &[&str], is_peer: bool) -> (Vec<Token<'n>>, Vec<Token<'n>>) {
    let (mut left, mut taken) = (way.to_vec(), Vec::new());
    for word in words {
        if left.len() > 1 && left.first().is_some_and(|token| token.is_passed_by(word, is_peer)) {
            left.remove(0);
        }
        let Some(token) = left.first().copied() else { break };
        if !token.fits(word) {
            return (Vec::new(), Vec::new());
        }
        taken.push(token);
        if left.len() > 1 || token.kind().is_some_and(is_single) {
            left.remove(0);
        }
    }
    (taken, left)
}

/// Whether there is one of it at most, at the end.
const fn is_single(kind: Kind) -> bool {
    matches!(kind, Kind::Method | Kind::Signal | Kind::Path)
}

/// What the next word can be.
pub(super) fn next(names: &str, words: &[&str], is_peer: bool) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for way in ways(names) {
        let (_, left) = align(&way, words, is_peer);
        for token in left {
            let is_passed = is_peer && token.kind() == Some(Kind::Name);
            kinds.extend(token.kind().filter(|kind| !is_passed && !kinds.contains(kind)));
            // Behind what must be there nothing else can be next.
            if !is_passed && !(token.is_optional && token.kind() == Some(Kind::Name)) {
                break;
            }
        }
    }
    kinds
}

/// The service and the object among the words.
pub(super) fn about(names: &str, words: &[&str], is_peer: bool) -> About {
    let mut about = About::default();
    for way in ways(names) {
        let (taken, _) = align(&way, words, is_peer);
        for (token, word) in taken.iter().zip(words) {
            match token.kind() {
                Some(Kind::Name) => about.name = Some((*word).to_owned()),
                Some(Kind::Path) => about.path = Some((*word).to_owned()),
                _ => {}
            }
        }
    }
    about
}

/// What an option's value is.
pub(super) fn of_option(name: &str) -> Option<Kind> {
    token(name).kind()
}
