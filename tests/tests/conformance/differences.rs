//! The list of differences between our daemon and the reference that are meant to be.

use std::collections::BTreeSet;

/// What one daemon did: keys and values in order.
pub(crate) type Observations = Vec<(String, String)>;

/// The entries of `allowed_differences.toml`.
#[derive(Debug)]
pub(crate) struct AllowedDifferences {
    /// Case and key of each.
    entries: BTreeSet<(String, String)>,
}

impl AllowedDifferences {
    /// Reads the list that stands in this repository.
    pub(crate) fn load() -> Self {
        Self::parse(include_str!("../../allowed_differences.toml"))
    }

    fn parse(text: &str) -> Self {
        let table: toml::Table = text.parse().expect("allowed_differences.toml is TOML");
        let list = table.get("difference").and_then(toml::Value::as_array);
        Self { entries: list.into_iter().flatten().flat_map(entries_of).collect() }
    }

    /// Names of cases in the list, to find entries for cases that are gone.
    pub(crate) fn cases(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|(case, _)| case.as_str()).collect()
    }

    /// Compares the two daemons on `case`: every difference not in the list, and every entry of the
    /// list that is no difference.
    pub(crate) fn complaints(
        &self,
        case: &str,
        ours: &Observations,
        reference: &Observations,
    ) -> Vec<String> {
        let keys = ours.iter().chain(reference).map(|(key, _)| key.as_str());
        let different: BTreeSet<&str> =
            keys.filter(|key| value(ours, key) != value(reference, key)).collect();
        let listed: BTreeSet<&str> = self
            .entries
            .iter()
            .filter(|(known, _)| known == case)
            .map(|(_, key)| key.as_str())
            .collect();
        let unlisted = different.difference(&listed).map(|key| {
            let (ours, theirs) = (value(ours, key), value(reference, key));
            format!("{key}\n  ours:      {ours}\n  reference: {theirs}")
        });
        let stale =
            listed.difference(&different).map(|key| format!("{key}: no difference, but listed"));
        unlisted.chain(stale).collect()
    }
}

/// Case and key of each observation of one entry, which must say why.
fn entries_of(entry: &toml::Value) -> Vec<(String, String)> {
    let text_of = |key: &str| match entry.get(key).and_then(toml::Value::as_str) {
        Some(text) if !text.trim().is_empty() => text.to_owned(),
        _ => panic!("allowed_differences.toml: no `{key}` in {entry:?}"),
    };
    for required in ["item", "reason", "specification"] {
        text_of(required);
    }
    let keys = entry.get("observations").and_then(toml::Value::as_array);
    let keys =
        keys.unwrap_or_else(|| panic!("allowed_differences.toml: no `observations` in {entry:?}"));
    keys.iter()
        .map(|key| (text_of("case"), key.as_str().expect("a key is a text").to_owned()))
        .collect()
}

fn value<'a>(observations: &'a Observations, key: &str) -> &'a str {
    observations.iter().find(|(known, _)| known == key).map_or("(nothing)", |(_, value)| value)
}
