//! What a question is answered, in words and in JSON.

use std::fmt::{self, Write as _};

use crate::config::Location;
use crate::explain::RuleText;
use crate::policy_set::PlacedRule;

/// An answer with all that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was asked, in words.
    pub question: String,
    /// Whether it is permitted.
    pub allowed: bool,
    /// The rule that decided, if one matched.
    pub decided: Option<Considered>,
    /// Why, if no rule decided: a line that begins with what did.
    pub reason: Option<String>,
    /// All rules that apply to the user, in the order in which they apply.
    pub considered: Vec<Considered>,
}

/// One rule of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// The rule, as it could stand in the configuration.
    pub rule: String,
    /// Whom its block is for.
    pub block: String,
    /// Where it stands.
    pub location: Location,
    /// What came of it, in words.
    pub outcome: String,
}

impl Considered {
    pub(super) fn new(placed: &PlacedRule, outcome: String) -> Self {
        Self {
            rule: RuleText(placed).to_string(),
            block: format!("<policy {}>", placed.context),
            location: placed.rule.location.clone(),
            outcome,
        }
    }
}

/// Several lines; the first is the answer.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        writeln!(f, "{verdict}: {}", self.question)?;
        if let Some(rule) = &self.decided {
            writeln!(f, "by {}: {} in {}", rule.location, rule.rule, rule.block)?;
        }
        if let Some(reason) = &self.reason {
            writeln!(f, "{reason}")?;
        }
        writeln!(f, "rules considered, of which the last that matches decides:")?;
        for rule in &self.considered {
            writeln!(f, "  {}: {} in {}", rule.location, rule.rule, rule.block)?;
            writeln!(f, "      {}", rule.outcome)?;
        }
        if self.considered.is_empty() {
            writeln!(f, "  (none)")?;
        }
        Ok(())
    }
}

impl Answer {
    /// The answer as one JSON object: `question`, `allowed`, `decided` (an object or null), `reason`
    /// (a string if no rule decided, or null) and `considered` (an array of objects), each rule with
    /// `rule`, `block`, `file`, `line`, `column` and `outcome`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let decided = self.decided.as_ref().map_or("null".to_owned(), Considered::to_json);
        let reason = self.reason.as_deref().map_or("null".to_owned(), quoted);
        let considered: Vec<String> = self.considered.iter().map(Considered::to_json).collect();
        format!(
            "{{\"question\":{},\"allowed\":{},\"decided\":{decided},\"reason\":{reason},\
             \"considered\":[{}]}}",
            quoted(&self.question),
            self.allowed,
            considered.join(",")
        )
    }
}

impl Considered {
    fn to_json(&self) -> String {
        let Self { rule, block, location, outcome } = self;
        format!(
            "{{\"rule\":{},\"block\":{},\"file\":{},\"line\":{},\"column\":{},\"outcome\":{}}}",
            quoted(rule),
            quoted(block),
            quoted(&location.file.to_string_lossy()),
            location.line,
            location.column,
            quoted(outcome)
        )
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            letter if letter < ' ' => {
                // INVARIANT: writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(letter));
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
    json
}
