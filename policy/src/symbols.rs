//! The header fields that rules name, as numbers.
//!
//! Most messages have an interface that no rule names. So each field of a message is looked up among
//! those that rules name, once, when it is first needed; where it is none of them, no rule that names
//! one can be about the message.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ptr;

use foldhash::fast::FixedState;

use crate::policy_set::PolicySet;
use crate::question::Message;
use crate::rule::MessagePattern;

/// How many header fields rules can name: path, interface, member and error name, in this order.
pub(crate) const FIELD_COUNT: usize = 4;

/// A text that rules name in one field, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Symbol(pub(crate) u32);

/// All texts that rules name, by field.
#[derive(Clone, Debug, Default)]
pub(crate) struct SymbolTable([HashMap<Box<str>, Symbol, FixedState>; FIELD_COUNT]);

impl SymbolTable {
    /// Numbers the texts that a rule names.
    pub(crate) fn add(&mut self, pattern: &MessagePattern) {
        for (texts, text) in self.0.iter_mut().zip(fields_of_rule(pattern)) {
            let next = Symbol(texts.len() as u32);
            if let Some(text) = text {
                texts.entry(text.into()).or_insert(next);
            }
        }
    }

    /// The number of a text, if a rule names it in this field.
    pub(crate) fn find(&self, field: usize, text: &str) -> Option<Symbol> {
        self.0.get(field).filter(|texts| !texts.is_empty())?.get(text).copied()
    }
}

/// A message that the rules of a set are asked about, and what is known of its fields.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    set: &'a PolicySet,
    message: Message<'a>,
    symbols: [OnceCell<Option<Symbol>>; FIELD_COUNT],
}

impl<'a> Question<'a> {
    /// A question about this message.
    #[must_use]
    pub fn new(set: &'a PolicySet, message: Message<'a>) -> Self {
        Self { set, message, symbols: Default::default() }
    }

    /// The message.
    #[must_use]
    pub const fn message(&self) -> &Message<'a> {
        &self.message
    }

    /// The number of a field's text, if the message has it and a rule of `set` names it.
    pub(crate) fn symbol(&self, set: &PolicySet, field: usize) -> Option<Symbol> {
        let find = || {
            let text = fields_of_message(&self.message).get(field).copied().flatten();
            text.and_then(|text| set.symbols().find(field, text))
        };
        match self.symbols.get(field) {
            Some(known) if ptr::eq(set, self.set) => *known.get_or_init(find),
            // Whoever asks another set gets its answer, too.
            _ => find(),
        }
    }
}

/// What a message has in the fields that rules can name.
pub(crate) const fn fields_of_message<'a>(message: &Message<'a>) -> [Option<&'a str>; FIELD_COUNT] {
    let Message { path, interface, member, error_name, .. } = *message;
    [path, interface, member, error_name]
}

/// What a rule names in them.
pub(crate) fn fields_of_rule(pattern: &MessagePattern) -> [Option<&str>; FIELD_COUNT] {
    let MessagePattern { path, interface, member, error, .. } = pattern;
    [path.as_deref(), interface.as_deref(), member.as_deref(), error.as_deref()]
}
