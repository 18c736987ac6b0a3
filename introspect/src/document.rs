//! Documentation for people, as Markdown and as HTML.
//!
//! A description becomes an outline of headings, paragraphs, lists and code (`outline.rs`), which
//! each format writes in its way; `rustdoc.rs` writes single texts, for `codegen`. Names, signatures
//! and texts are shown as they are and mean nothing to any format: whatever the description holds,
//! no markup comes out of it. The same description gives the same bytes.
//!
//! Texts are taken for plain text as the lenient reader writes it: blank lines between paragraphs,
//! `- ` before items of lists, four blanks before code.

use self::outline::{Block, Outline};
use crate::model::{Interface, Node};

mod html;
mod markdown;
mod outline;
pub(crate) mod rustdoc;
mod words;

pub(crate) use self::outline::documentation;

impl Node {
    /// The documentation of this object and all it holds, as CommonMark.
    pub fn to_markdown(&self) -> String {
        markdown::write(&Outline::of_node(self))
    }

    /// The documentation of this object and all it holds, as an HTML document. Each interface and
    /// member has an anchor with its name, for example `org.example.Map.Store`.
    pub fn to_html(&self) -> String {
        html::write(&Outline::of_node(self))
    }
}

impl Interface {
    /// The documentation of this interface, as CommonMark.
    ///
    /// ```
    /// use bus_introspect::{Interface, Method};
    ///
    /// let clear = Method::new("Clear").with_documentation("Removes *all* values.");
    /// let markdown = Interface::new("org.example.Map").with_method(clear).to_markdown();
    /// assert!(markdown.starts_with("# Interface `org.example.Map`\n"));
    /// assert!(markdown.contains("\nRemoves \\*all\\* values.\n"));
    /// ```
    pub fn to_markdown(&self) -> String {
        markdown::write(&Outline::of_interface(self))
    }

    /// The documentation of this interface, as an HTML document with the anchors of
    /// [`Node::to_html`].
    pub fn to_html(&self) -> String {
        html::write(&Outline::of_interface(self))
    }
}

#[cfg(test)]
mod tests;
