//! What must be right before Rust is made of an interface: its names.
//!
//! Types are checked where they are used.

use std::borrow::Cow;
use std::collections::HashSet;

use libbus::names::{InterfaceName, MemberName, NameError};

use super::CodegenOptions;
use super::error::{CodegenError, CodegenFault};
use crate::model::{Interface, Method};
use crate::origin::Origin;

/// Whether there can be several methods of one name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Overloading {
    /// If they take other types, as with Qt: a call's signature tells them apart.
    ByInputs,
    /// The dispatcher goes by names.
    Never,
}

/// The interface without what is left out, if all its names are names.
pub(super) fn checked<'a>(
    interface: &'a Interface,
    options: &CodegenOptions,
    overloading: Overloading,
) -> Result<Cow<'a, Interface>, CodegenError> {
    let interface = without_left_out(interface, options);
    let place = place_of(&interface);
    InterfaceName::parse(&interface.name)
        .map_err(|error| CodegenFault::InterfaceName(error).at(&[&place], interface.origin))?;
    let signature_of = |method: &Method| match overloading {
        Overloading::ByInputs => method.input_signature(),
        Overloading::Never => String::new(),
    };
    let methods = interface.methods.iter().map(|it| (&it.name, signature_of(it), it.origin));
    let properties = interface.properties.iter().map(|it| (&it.name, String::new(), it.origin));
    let signals = interface.signals.iter().map(|it| (&it.name, String::new(), it.origin));
    check_names(&place, "method", check_name, methods)?;
    check_names(&place, "property", check_property_name, properties)?;
    check_names(&place, "signal", check_name, signals)?;
    Ok(interface)
}

fn without_left_out<'a>(interface: &'a Interface, options: &CodegenOptions) -> Cow<'a, Interface> {
    if options.left_out.is_empty() {
        return Cow::Borrowed(interface);
    }
    let mut rest = interface.clone();
    let is_wanted = |member: &str| !options.leaves_out(&interface.name, member);
    rest.methods.retain(|it| is_wanted(&it.name));
    rest.properties.retain(|it| is_wanted(&it.name));
    rest.signals.retain(|it| is_wanted(&it.name));
    Cow::Owned(rest)
}

fn check_names<'a>(
    place: &str,
    kind: &str,
    check: fn(&str) -> Result<(), NameError>,
    names: impl Iterator<Item = (&'a String, String, Origin)>,
) -> Result<(), CodegenError> {
    let mut seen = HashSet::new();
    for (name, signature, origin) in names {
        let member = format!("{kind} {name}");
        check(name)
            .map_err(|error| CodegenFault::MemberName(error).at(&[place, &member], origin))?;
        if !seen.insert((name, signature)) {
            return Err(CodegenFault::Duplicate.at(&[place, &member], origin));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), NameError> {
    MemberName::parse(name).map(drop)
}

/// GObject's properties have hyphens, and travel as text.
fn check_property_name(name: &str) -> Result<(), NameError> {
    check_name(&name.replace('-', "_"))
}

pub(super) fn place_of(interface: &Interface) -> String {
    format!("interface {}", interface.name)
}
