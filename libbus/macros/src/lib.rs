//! The macros of `libbus`: documented where that crate re-exports them.
#![forbid(unsafe_code)]

mod attributes;
mod dbus_error;
mod interface;
mod names;
mod proxy;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests;

use proc_macro::TokenStream;
use quote::quote;

use self::attributes::Style;

/// See `libbus::interface`.
#[proc_macro_attribute]
pub fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(interface::expand(arguments.into(), item.into(), Style::Async))
}

/// See `libbus::blocking::interface`.
#[proc_macro_attribute]
pub fn blocking_interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(interface::expand(arguments.into(), item.into(), Style::Blocking))
}

/// See `libbus::proxy`.
#[proc_macro_attribute]
pub fn proxy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(proxy::expand(arguments.into(), item.into(), Style::Async))
}

/// See `libbus::blocking::proxy`.
#[proc_macro_attribute]
pub fn blocking_proxy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(proxy::expand(arguments.into(), item.into(), Style::Blocking))
}

/// See `libbus::DBusError`.
#[proc_macro_derive(DBusError, attributes(zbus, libbus))]
pub fn derive_dbus_error(item: TokenStream) -> TokenStream {
    finish(syn::parse(item).and_then(dbus_error::expand))
}

/// See `libbus::Type`.
#[proc_macro_derive(Type, attributes(zbus, zvariant))]
pub fn derive_type(item: TokenStream) -> TokenStream {
    derive(item, zbus_utils::derive::expand_type_derive)
}

/// See `libbus::SerializeDict`.
#[proc_macro_derive(SerializeDict, attributes(zbus, zvariant))]
pub fn derive_serialize_dict(item: TokenStream) -> TokenStream {
    derive(item, zbus_utils::derive::expand_serialize_dict_derive)
}

/// See `libbus::DeserializeDict`.
#[proc_macro_derive(DeserializeDict, attributes(zbus, zvariant))]
pub fn derive_deserialize_dict(item: TokenStream) -> TokenStream {
    derive(item, zbus_utils::derive::expand_deserialize_dict_derive)
}

/// See `libbus::Variant`.
#[proc_macro_derive(Variant, attributes(zbus, zvariant))]
pub fn derive_variant(item: TokenStream) -> TokenStream {
    use zbus_utils::derive::VariantType;
    derive(item, |ast, config| {
        zbus_utils::derive::expand_variant_derive(ast, VariantType::Variant, config)
    })
}

/// See `libbus::OwnedVariant`.
#[proc_macro_derive(OwnedVariant, attributes(zbus, zvariant))]
pub fn derive_owned_variant(item: TokenStream) -> TokenStream {
    use zbus_utils::derive::VariantType;
    derive(item, |ast, config| {
        zbus_utils::derive::expand_variant_derive(ast, VariantType::OwnedVariant, config)
    })
}

/// A derive of what `zbus::wire` has, for who depends on `libbus` alone.
fn derive(
    item: TokenStream,
    expand: impl FnOnce(
        syn::DeriveInput,
        &zbus_utils::derive::Config,
    ) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    let config = zbus_utils::derive::Config {
        attr_lists: &["zbus", "zvariant"],
        default_path: quote!(::libbus::wire_types),
    };
    finish(syn::parse(item).and_then(|ast| expand(ast, &config)))
}

fn finish(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
