//! Traits for proxies.

use super::CodegenOptions;
use super::checked::{Overloading, checked};
use super::error::CodegenError;
use super::layout::{Meta, Source};
use super::member::{self, Body, Side};
use super::names;
use super::types::Form;
use crate::model::Interface;

/// Callers lend what they send. A signal's arguments borrow texts from it; `phantom` is what they
/// have beside them.
const PROXY: Side = Side {
    inputs: Form::Lent,
    value: Form::Lent,
    signal: Form::Received,
    emitter: "&self",
    signal_keywords: "fn",
    reserved_in_signals: &["phantom"],
    result: member::RESULT,
    body: Body::None,
};

pub(super) fn write(
    source: &mut Source,
    interface: &Interface,
    options: &CodegenOptions,
) -> Result<(), CodegenError> {
    let interface = &*checked(interface, options, Overloading::ByInputs)?;
    member::document_interface(source, interface)?;
    if interface.is_deprecated() {
        source.line("#[deprecated]");
    }
    source.attribute(&options.macro_path("proxy"), &defaults(interface, options));
    let line = format!("pub trait {}", names::type_name(interface));
    source.block(&line, |source| member::write(source, interface, &PROXY))
}

fn defaults(interface: &Interface, options: &CodegenOptions) -> Vec<Meta> {
    let service = options.default_service.iter().map(|it| format!("default_service = \"{it}\""));
    let path = options.default_path.iter().map(|it| format!("default_path = \"{it}\""));
    let interface = format!("interface = \"{}\"", interface.name);
    std::iter::once(interface).chain(service).chain(path).map(Meta::Word).collect()
}
