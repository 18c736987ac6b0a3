//! What the words of a verb are, by the names that its usage gives them: `NAME PATH INTERFACE.METHOD`.
//!
//! Each line of the usage is a way to write them; brackets stand around what may be missing, and dots after what may
//! come again.

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
    /// One of any kind that messages have, without its interface.
    ShortMember,
    Variable,
    File,
}

/// What members are looked for on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) name: Option<String>,
    pub(super) path: Option<String>,
    pub(super) interface: Option<String>,
}

/// One of the names of a usage line.
#[derive(Clone, Copy, Debug)]
struct Token<'n> {
    name: &'n str,
    is_optional: bool,
    is_repeated: bool,
}

impl<'n> Token<'n> {
    /// Nothing for the names of programs and verbs, and for options.
    fn of(word: &'n str) -> Option<Self> {
        let (start, rest) = match word.split_at_checked(1) {
            Some((start @ ("[" | "<"), rest)) => (start, rest),
            _ => ("", word),
        };
        let name = rest.trim_end_matches("...").trim_end_matches([']', '>']);
        let is_name = |c: char| c.is_ascii_uppercase() || "[].|=".contains(c);
        let is_token = !name.is_empty() && name != "OPTIONS" && name.chars().all(is_name);
        let is_repeated = rest.ends_with("...");
        is_token.then_some(Self { name, is_optional: start == "[", is_repeated })
    }

    fn kind(self) -> Option<Kind> {
        Some(match self.name {
            "NAME" | "NAME|PID" => Kind::Name,
            "PATH" => Kind::Path,
            "INTERFACE" => Kind::Interface,
            "INTERFACE.METHOD" => Kind::Method,
            "INTERFACE.SIGNAL" => Kind::Signal,
            "INTERFACE.PROPERTY" => Kind::Property,
            // A bracket at the end is taken for that around the name.
            "INTERFACE[.MEMBER" => Kind::Member,
            "MEMBER" => Kind::ShortMember,
            "VAR" | "VAR[=VALUE" => Kind::Variable,
            "FILE" | "PROGRAM" | "OLD" | "NEW" => Kind::File,
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

/// The ways to write a verb's words, a line each.
fn ways(usage: &str) -> impl Iterator<Item = Vec<Token<'_>>> {
    usage.lines().map(|line| line.split_whitespace().filter_map(Token::of).collect())
}

/// Which of the names the words are, and what is left; what may come again stays. Nothing, if this is not the way that
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
        if !token.is_repeated {
            left.remove(0);
        }
    }
    (taken, left)
}

/// What the next word can be.
pub(super) fn next(usage: &str, words: &[&str], is_peer: bool) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for way in ways(usage) {
        let (_, left) = align(&way, words, is_peer);
        for token in left {
            let is_passed = is_peer && token.kind() == Some(Kind::Name);
            kinds.extend(token.kind().filter(|kind| !is_passed && !kinds.contains(kind)));
            // Behind what must be there nothing else can be next.
            let may_be_missing = token.is_optional && token.kind() == Some(Kind::Name);
            if !is_passed && !may_be_missing {
                break;
            }
        }
    }
    kinds
}

/// The service and the object among the words.
pub(super) fn about(usage: &str, words: &[&str], is_peer: bool) -> About {
    let mut about = About::default();
    for way in ways(usage) {
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
    Token::of(name)?.kind()
}
