//! From a rule, and from a message, to the bucket where they meet.
//!
//! Both sides hash the same parts in the same way. A rule's parts are fixed by its [`Shape`]; a
//! message has all its parts hashed once and combines them for each shape that is in use.
//! Different parts may meet in one bucket by accident: the rule is checked in full anyway.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::SeedableRandomState;
use libbus::limits::MATCH_RULE_SIZE_MAX;
use libbus::match_rule::{ArgumentMatch, MatchRule, PathMatch};
use libbus::wire::Argument;

use super::{MatchedMessage, SenderKey};

/// Elements of a prefix that take part in the hash. A longer prefix stands with those it shares
/// them with, and is checked in full.
const PREFIX_DEPTH_MAX: usize = 8;

/// Keys that a message answers with one value: sender, interface, member, path, arg0.
const EXACT_COUNT: usize = 5;

/// How many shapes there can be: each set of exact keys, without a prefix, with an arg0namespace
/// (then without arg0), or with a path_namespace (then without path), of each depth.
pub(super) const SHAPES_MAX: usize = 32 + 2 * 16 * PREFIX_DEPTH_MAX;

/// Which keys decide a rule's bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// One bit for each exact key.
    exact: u8,
    prefix: Prefix,
}

/// The prefix that takes part, with its depth from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    None,
    Argument0(u8),
    Path(u8),
}

/// The shapes of all rules that a message can find, with how many rules have each.
#[derive(Debug, Default)]
pub(super) struct ShapesInUse {
    counts: Vec<(Shape, u32)>,
    /// The deepest prefixes in use, so that a message prepares no more; 0: none.
    argument0_depth: usize,
    path_depth: usize,
}

/// Hashes what clients choose.
#[derive(Debug)]
pub(super) struct KeyHasher(SeedableRandomState);

/// The hashed parts of one message.
pub(super) struct MessageKeys {
    exact: [Option<u64>; EXACT_COUNT],
    argument0: Prefixes,
    path: Prefixes,
}

/// The hashes of a text's prefixes, shortest first.
struct Prefixes {
    hashes: [u64; PREFIX_DEPTH_MAX],
    depth: usize,
}

impl KeyHasher {
    pub(super) fn new(hasher: SeedableRandomState) -> Self {
        Self(hasher)
    }

    /// The shape and the bucket of a rule whose sender, if it has one, is `sender`.
    pub(super) fn bucket_of_rule(
        &self,
        rule: &MatchRule,
        sender: Option<SenderKey>,
    ) -> (Shape, u64) {
        let (path, path_namespace) = match &rule.path {
            Some(PathMatch::Exact(path)) => (Some(path.as_bytes()), None),
            Some(PathMatch::Namespace(path)) => (None, Some(path.as_bytes())),
            None => (None, None),
        };
        let (argument0, argument0_namespace) = match rule.arguments.first() {
            Some((0, ArgumentMatch::Equal(text))) => (Some(text.as_bytes()), None),
            Some((0, ArgumentMatch::Namespace(text))) => (None, Some(text.as_bytes())),
            _ => (None, None),
        };
        let interface = rule.interface.as_deref().map(str::as_bytes);
        let member = rule.member.as_deref().map(str::as_bytes);
        let exact = self.exact(sender, [interface, member, path, argument0]);
        let (prefix, prefix_hash) = self.prefix(argument0_namespace, path_namespace);
        let bits = (0..).zip(exact).filter(|(_, part)| part.is_some());
        let shape = Shape { exact: bits.fold(0, |bits, (bit, _)| bits | 1 << bit), prefix };
        (shape, self.combine(shape, &exact, prefix_hash).unwrap_or(0))
    }

    /// The prefix by which a rule is found: the more selective of the two it may have.
    fn prefix(
        &self,
        argument0_namespace: Option<&[u8]>,
        path_namespace: Option<&[u8]>,
    ) -> (Prefix, Option<u64>) {
        let longest = |namespace: Option<&[u8]>, separator: u8| {
            let text = namespace?;
            let (depth, end) = (1..).zip(prefix_ends(text, separator)).last()?;
            Some((depth, self.text(text.get(..end)?)))
        };
        if let Some((depth, hash)) = longest(argument0_namespace, b'.') {
            return (Prefix::Argument0(depth), Some(hash));
        }
        // The root is above every path and selects nothing (protocol.md A162).
        match longest(path_namespace.filter(|path| *path != b"/"), b'/') {
            Some((depth, hash)) => (Prefix::Path(depth), Some(hash)),
            None => (Prefix::None, None),
        }
    }

    fn exact(
        &self,
        sender: Option<SenderKey>,
        texts: [Option<&[u8]>; EXACT_COUNT - 1],
    ) -> [Option<u64>; EXACT_COUNT] {
        let [interface, member, path, argument0] = texts.map(|text| {
            // No rule holds a longer text, and hashing a long argument would be wasted.
            text.filter(|text| text.len() <= MATCH_RULE_SIZE_MAX).map(|text| self.text(text))
        });
        [sender.map(|sender| self.0.hash_one(sender)), interface, member, path, argument0]
    }

    fn text(&self, text: &[u8]) -> u64 {
        self.0.hash_one(text)
    }

    /// The bucket of these parts; `None` if one that the shape asks for is missing.
    fn combine(
        &self,
        shape: Shape,
        exact: &[Option<u64>; EXACT_COUNT],
        prefix: Option<u64>,
    ) -> Option<u64> {
        let mut hasher = self.0.build_hasher();
        hasher.write_u32(shape.code());
        for (bit, part) in exact.iter().enumerate() {
            if shape.exact & 1 << bit != 0 {
                hasher.write_u64((*part)?);
            }
        }
        if shape.prefix != Prefix::None {
            hasher.write_u64(prefix?);
        }
        Some(hasher.finish())
    }
}

impl MessageKeys {
    pub(super) fn of(
        message: &MatchedMessage<'_>,
        hasher: &KeyHasher,
        shapes: &ShapesInUse,
    ) -> Self {
        let header = message.header;
        let path = header.path.map(|path| path.as_str().as_bytes());
        let argument0 = match message.arguments.get(0) {
            Some(Argument::String(text)) => Some(text),
            Some(Argument::ObjectPath(_)) | None => None,
        };
        let interface = header.interface.map(|interface| interface.as_str().as_bytes());
        let member = header.member.map(|member| member.as_str().as_bytes());
        Self {
            exact: hasher.exact(Some(message.sender), [interface, member, path, argument0]),
            argument0: Prefixes::of(argument0, b'.', shapes.argument0_depth, hasher),
            path: Prefixes::of(path, b'/', shapes.path_depth, hasher),
        }
    }

    /// Where rules of this shape that may match the message stand; `None`: it can match none.
    pub(super) fn bucket(&self, shape: Shape, hasher: &KeyHasher) -> Option<u64> {
        let prefix = match shape.prefix {
            Prefix::None => None,
            Prefix::Argument0(depth) => self.argument0.get(depth),
            Prefix::Path(depth) => self.path.get(depth),
        };
        hasher.combine(shape, &self.exact, prefix)
    }
}

impl ShapesInUse {
    pub(super) fn add(&mut self, shape: Shape) {
        match self.counts.iter_mut().find(|(known, _)| *known == shape) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((shape, 1)),
        }
        debug_assert!(self.counts.len() <= SHAPES_MAX);
        self.argument0_depth = self.argument0_depth.max(shape.argument0_depth());
        self.path_depth = self.path_depth.max(shape.path_depth());
    }

    pub(super) fn remove(&mut self, shape: Shape) {
        let Some(index) = self.counts.iter().position(|(known, _)| *known == shape) else { return };
        let Some((_, count)) = self.counts.get_mut(index) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.swap_remove(index);
            let shapes = || self.counts.iter().map(|(shape, _)| shape);
            self.argument0_depth = shapes().map(|shape| shape.argument0_depth()).max().unwrap_or(0);
            self.path_depth = shapes().map(|shape| shape.path_depth()).max().unwrap_or(0);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Shape> + '_ {
        self.counts.iter().map(|(shape, _)| *shape)
    }

    /// Whether both count the same, for tests.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.counts.len() == other.counts.len()
            && self.counts.iter().all(|count| other.counts.contains(count))
            && self.argument0_depth == other.argument0_depth
            && self.path_depth == other.path_depth
    }
}

impl Shape {
    /// A number of its own for each shape.
    fn code(self) -> u32 {
        let (kind, depth) = match self.prefix {
            Prefix::None => (0, 0),
            Prefix::Argument0(depth) => (1, depth),
            Prefix::Path(depth) => (2, depth),
        };
        u32::from(self.exact) | kind << 8 | u32::from(depth) << 16
    }

    fn argument0_depth(self) -> usize {
        if let Prefix::Argument0(depth) = self.prefix { depth.into() } else { 0 }
    }

    fn path_depth(self) -> usize {
        if let Prefix::Path(depth) = self.prefix { depth.into() } else { 0 }
    }
}

impl Prefixes {
    /// The first `depth` prefixes of `text`, or as many as it has.
    fn of(text: Option<&[u8]>, separator: u8, depth: usize, hasher: &KeyHasher) -> Self {
        let mut prefixes = Self { hashes: [0; PREFIX_DEPTH_MAX], depth: 0 };
        let Some(text) = text.filter(|_| depth > 0) else { return prefixes };
        let ends = prefix_ends(text, separator).take(depth);
        for (hash, end) in prefixes.hashes.iter_mut().zip(ends) {
            *hash = hasher.text(text.get(..end).unwrap_or_default());
            prefixes.depth += 1;
        }
        prefixes
    }

    /// The hash of the prefix with `depth` elements.
    fn get(&self, depth: u8) -> Option<u64> {
        let index = usize::from(depth).checked_sub(1)?;
        self.hashes.get(..self.depth)?.get(index).copied()
    }
}

/// Whether a rule has a condition that no bucket knows: then it is checked for messages that it does not
/// match, one after the other.
#[must_use]
pub fn is_vague(rule: &MatchRule) -> bool {
    let is_deep = |text: &str, separator| text.matches(separator).count() > PREFIX_DEPTH_MAX;
    let mut has_namespace = false;
    let mut is_unknown = |(index, argument): &(u8, ArgumentMatch)| match argument {
        ArgumentMatch::Equal(_) => *index != 0,
        ArgumentMatch::Path(_) => true,
        ArgumentMatch::Namespace(text) => {
            has_namespace = true;
            is_deep(text, '.')
        }
    };
    rule.destination.is_some()
        || rule.arguments.iter().any(&mut is_unknown)
        || matches!(&rule.path, Some(PathMatch::Namespace(path)) if has_namespace || is_deep(path, '/'))
}

/// Where the first elements of `text` end: `/a/b` has the prefixes `/a` and `/a/b`. No more than
/// take part in a hash, and none longer than a rule can be.
fn prefix_ends(text: &[u8], separator: u8) -> impl Iterator<Item = usize> + '_ {
    // A rule is short, so only so much of an argument is ever looked at.
    let head = text.get(..=MATCH_RULE_SIZE_MAX).unwrap_or(text);
    let inner = head.iter().enumerate().skip(1);
    let inner = inner.filter(move |(_, byte)| **byte == separator).map(|(index, _)| index);
    let whole = (text.len() <= MATCH_RULE_SIZE_MAX).then_some(text.len());
    inner.chain(whole).take(PREFIX_DEPTH_MAX)
}
