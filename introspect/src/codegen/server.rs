//! Types that offer an interface.

use super::checked::{Overloading, checked};
use super::error::CodegenError;
use super::layout::{Meta, Source};
use super::member::{self, Body, Side};
use super::names;
use super::types::Form;
use super::{CodegenOptions, Style};
use crate::model::Interface;

/// Methods borrow texts from the call; what is set is there to be kept.
const SERVER: Side = Side {
    inputs: Form::Received,
    value: Form::Owned,
    signal: Form::Lent,
    emitter: "emitter: &libbus::SignalEmitter<'_>",
    signal_keywords: "async fn",
    reserved_in_signals: &["emitter"],
    result: "libbus::fdo::Result",
    body: Body::NotSupported,
};

const BLOCKING_SERVER: Side = Side {
    emitter: "emitter: &libbus::blocking::SignalEmitter<'_>",
    signal_keywords: "fn",
    ..SERVER
};

pub(super) fn write(
    source: &mut Source,
    interface: &Interface,
    options: &CodegenOptions,
) -> Result<(), CodegenError> {
    let side = match options.style {
        Style::Async => &SERVER,
        Style::Blocking => &BLOCKING_SERVER,
    };
    let interface = &*checked(interface, options, Overloading::Never)?;
    let name = names::type_name(interface);
    member::document_interface(source, interface)?;
    source.line("#[derive(Debug)]");
    source.line(&format!("pub struct {name};"));
    source.line("");
    let meta = Meta::Word(format!("name = \"{}\"", interface.name));
    source.attribute(&options.macro_path("interface"), &[meta]);
    source.block(&format!("impl {name}"), |source| member::write(source, interface, side))
}
