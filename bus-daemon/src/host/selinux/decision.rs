//! The kernel's answers about pairs of contexts, and a bounded memory of them.

use std::collections::HashMap;
use std::io;

use foldhash::fast::RandomState;

/// Pairs of contexts that are remembered; when there are more, all are forgotten. A system has some
/// dozen contexts of clients.
pub(super) const CACHE_COUNT_MAX: usize = 1024;

/// What the policy says about a pair of contexts and the class `dbus`; each word has a bit for each
/// permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) allowed: u32,
    /// What is logged when it is allowed.
    pub(super) audit_allow: u32,
    /// What is logged when it is refused.
    pub(super) audit_deny: u32,
    /// Which policy said so.
    pub(super) policy_number: u32,
    /// Whether the source's domain is permissive, whatever the mode is.
    pub(super) is_permissive: bool,
}

impl Decision {
    pub(super) fn parse(answer: &[u8]) -> io::Result<Self> {
        let strange = || io::Error::other("the kernel's answer is not understood");
        let text = std::str::from_utf8(answer).map_err(|_| strange())?;
        let text = text.trim_end_matches(['\0', '\n']);
        let mut words = text.split(' ');
        let mut word = |radix| {
            words.next().and_then(|word| u32::from_str_radix(word, radix).ok()).ok_or_else(strange)
        };
        let (allowed, _decided) = (word(16)?, word(16)?);
        let (audit_allow, audit_deny, policy_number) = (word(16)?, word(16)?, word(10)?);
        // Older kernels know no flags.
        let flags = word(16).unwrap_or(0);
        let is_permissive = flags & 1 != 0;
        Ok(Self { allowed, audit_allow, audit_deny, policy_number, is_permissive })
    }
}

/// Remembered decisions, all of one policy.
#[derive(Debug, Default)]
pub(super) struct DecisionCache {
    /// By `SOURCE\0TARGET`.
    known: HashMap<Box<[u8]>, Decision, RandomState>,
    /// Reused, so that finding allocates nothing.
    key: Vec<u8>,
    policy_number: u32,
}

impl DecisionCache {
    pub(super) fn find(&mut self, source: &[u8], target: &[u8]) -> Option<Decision> {
        self.set_key(source, target);
        self.known.get(&*self.key).copied()
    }

    pub(super) fn insert(&mut self, source: &[u8], target: &[u8], decision: Decision) {
        let is_full = self.known.len() >= CACHE_COUNT_MAX;
        if is_full || self.policy_number != decision.policy_number {
            self.known.clear();
            self.policy_number = decision.policy_number;
        }
        self.set_key(source, target);
        self.known.insert(self.key.as_slice().into(), decision);
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    fn set_key(&mut self, source: &[u8], target: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(source);
        self.key.push(0);
        self.key.extend_from_slice(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(policy_number: u32) -> Decision {
        let (allowed, audit_allow, audit_deny) = (1, 2, 3);
        Decision { allowed, audit_allow, audit_deny, policy_number, is_permissive: false }
    }

    #[test]
    fn answers_are_six_words() {
        let parse = |text: &str| Decision::parse(text.as_bytes()).ok();
        let expected = Decision { policy_number: 12, is_permissive: true, ..decision(0) };
        assert_eq!(parse("1 ffffffff 2 3 12 1"), Some(expected));
        assert_eq!(parse("1 ffffffff 2 3 12 1\0"), Some(expected));
        let expected = Decision { is_permissive: false, ..expected };
        assert_eq!(parse("1 ffffffff 2 3 12 0\n"), Some(expected));
        assert_eq!(parse("1 ffffffff 2 3 12"), Some(expected), "an older kernel");
        for wrong in ["", "1 ffffffff 2 3", "1 ffffffff 2 3 c 0", "x ffffffff 2 3 1 0"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        assert!(Decision::parse(&[0xff]).is_err());
    }

    #[test]
    fn the_memory_is_bounded_and_of_one_policy() {
        let mut cache = DecisionCache::default();
        for number in 0..CACHE_COUNT_MAX {
            cache.insert(number.to_string().as_bytes(), b"t", decision(1));
        }
        assert_eq!(cache.known.len(), CACHE_COUNT_MAX);
        assert_eq!(cache.find(b"0", b"t"), Some(decision(1)));
        assert_eq!(cache.find(b"t", b"0"), None, "a pair has a direction");
        cache.insert(b"one more", b"t", decision(1));
        assert_eq!(cache.known.len(), 1);
        cache.insert(b"s", b"t", decision(2));
        assert_eq!(cache.find(b"one more", b"t"), None, "another policy");
        assert_eq!(cache.find(b"s", b"t"), Some(decision(2)));
        cache.clear();
        assert_eq!(cache.find(b"s", b"t"), None);
    }
}
