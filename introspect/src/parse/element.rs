//! The beginning of an element, with what stands before it.

use xml::attribute::OwnedAttribute;
use xml::name::OwnedName;

use super::documentation::Comment;
use super::faults::error_after;
use super::{ParseError, ParseErrorKind};
use crate::model::Arg;
use crate::origin::Origin;

/// The beginning of an element.
pub(super) struct Element<'a> {
    pub(super) name: String,
    pub(super) attributes: Vec<OwnedAttribute>,
    /// The document up to the element's tag.
    pub(super) before: &'a str,
    /// The comment just before it.
    pub(super) comment: Option<String>,
    /// Where that is.
    pub(super) origin: Origin,
}

impl Element<'_> {
    pub(super) fn optional(&self, attribute: &str) -> Option<String> {
        let is_it = |found: &&OwnedAttribute| {
            found.name.prefix.is_none() && found.name.local_name == attribute
        };
        self.attributes.iter().find(is_it).map(|found| found.value.clone())
    }

    /// What the comment before this element says about it, if it does. What it says about
    /// `arguments` goes there.
    pub(super) fn comment_on(&self, name: &str, arguments: &mut [&mut Arg]) -> Option<String> {
        let mut comment = Comment::parse(self.comment.as_deref()?, name)?;
        comment.give_away(arguments);
        Some(comment.into_text())
    }

    pub(super) fn misplaced(&self, parent: &'static str) -> ParseError {
        self.error(ParseErrorKind::Misplaced { element: self.name.clone(), parent })
    }

    pub(super) fn error(&self, kind: ParseErrorKind) -> ParseError {
        error_after(self.before, kind)
    }
}

/// A name with its prefix.
pub(super) fn shown(name: &OwnedName) -> String {
    name.borrow().to_repr()
}
