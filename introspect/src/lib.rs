//! Introspection: what an object offers, as a value and as the XML that travels over the bus
//! (protocol.md A209–A214).
//!
//! [`Node`] and what it holds are plain values. [`Node::to_xml`] prints them, the same bytes each
//! time; [`Node::from_xml`] reads what another program sent, strictly and within bounds, and
//! [`Node::from_xml_leniently`] what real services send, with a list of all that is odd about it;
//! [`Node::check`] says which of its names, signatures and annotations break the rules, so that a
//! reader can show a faulty description and complain about it too; [`Node::diff`] and
//! [`Interface::diff`] say what changed and whether programs break; [`Node::to_markdown`] and
//! [`Node::to_html`] tell people what there is; [`rust_proxies`], [`Interface::to_rust_proxy`] and
//! [`Interface::to_rust_server`] write Rust for programs that call it or offer it.
//!
//! ```
//! use bus_introspect::{Interface, Method, Node};
//!
//! let interface = Interface::new("org.example.Clock")
//!     .with_method(Method::new("GetTime").with_output("seconds", "t"));
//! let node = Node::new().with_interface(interface).with_child("alarm");
//! assert_eq!(Node::from_xml(&node.to_xml()), Ok(node));
//! ```
#![forbid(unsafe_code)]

#[cfg(test)]
mod arbitrary;
mod check;
mod codegen;
mod diff;
mod document;
mod model;
mod origin;
mod parse;
mod render;

pub use check::{Fault, Problem};
pub use codegen::{
    CodegenError, CodegenFault, CodegenOptions, FIELD_COUNT_MAX, RUST_SIZE_MAX, TYPE_DEPTH_MAX,
    rust_proxies, rust_servers,
};
pub use diff::{Change, ChangeKind, Element, Impact};
pub use model::{
    Access, Annotation, Arg, EmitsChangedSignal, Interface, Method, Node, Property, Signal,
    annotation,
};
pub use origin::{Origin, Position};
pub use parse::{FAULT_COUNT_MAX, ParseError, ParseErrorKind, XML_DEPTH_MAX, XML_SIZE_MAX};
