//! What the macros are told: `#[zbus(…)]`, as users of zbus write it, or `#[libbus(…)]`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser as _;
use syn::{Attribute, Expr, ExprLit, FnArg, Ident, Lit, LitBool, LitStr, Meta, Pat, PatType, Type};

/// In which style what is written waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Async,
    Blocking,
}

impl Style {
    /// Before a function that waits.
    pub(crate) fn keyword(self) -> TokenStream {
        match self {
            Self::Async => quote!(async),
            Self::Blocking => TokenStream::new(),
        }
    }

    /// After a call that waits.
    pub(crate) fn wait(self) -> TokenStream {
        match self {
            Self::Async => quote!(.await),
            Self::Blocking => TokenStream::new(),
        }
    }

    /// Where the types of the style are.
    pub(crate) fn module(self, libbus: &TokenStream) -> TokenStream {
        match self {
            Self::Async => libbus.clone(),
            Self::Blocking => quote!(#libbus::blocking),
        }
    }
}

/// The path of the crate, if it has another name where it is used.
pub(crate) fn crate_path(path: Option<&LitStr>) -> syn::Result<TokenStream> {
    match path {
        None => Ok(quote!(::libbus)),
        Some(path) => path.parse::<syn::Path>().map(|path| quote!(#path)),
    }
}

/// Whether the macros are told something here.
fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().is_ident("zbus") || attribute.path().is_ident("libbus")
}

/// Takes what the macros are told out of `attributes`, and gives each part to `handle`.
pub(crate) fn take_ours(
    attributes: &mut Vec<Attribute>,
    mut handle: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    let (ours, others) = std::mem::take(attributes).into_iter().partition(is_ours);
    *attributes = others;
    let ours: Vec<Attribute> = ours;
    for attribute in ours {
        attribute.parse_nested_meta(&mut handle)?;
    }
    Ok(())
}

/// The arguments of the macro itself, each given to `handle`.
pub(crate) fn parse_arguments(
    arguments: TokenStream,
    handle: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    syn::meta::parser(handle).parse2(arguments)
}

/// `name = "text"`.
pub(crate) fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    meta.value()?.parse()
}

/// `name`, or `name = true`.
pub(crate) fn flag(meta: &ParseNestedMeta<'_>) -> syn::Result<bool> {
    match meta.input.peek(syn::Token![=]) {
        true => Ok(meta.value()?.parse::<LitBool>()?.value),
        false => Ok(true),
    }
}

/// What was told that the macro does not know.
pub(crate) fn unknown(meta: &ParseNestedMeta<'_>, known: &str) -> syn::Error {
    meta.error(format!("unknown attribute; known are: {known}"))
}

/// Whether changes of a property are told.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum EmitsChanged {
    #[default]
    True,
    Invalidates,
    Const,
    False,
}

impl EmitsChanged {
    pub(crate) fn parse(text: &LitStr) -> syn::Result<Self> {
        match text.value().as_str() {
            "true" => Ok(Self::True),
            "invalidates" => Ok(Self::Invalidates),
            "const" => Ok(Self::Const),
            "false" => Ok(Self::False),
            _ => Err(syn::Error::new(
                text.span(),
                "a property's changes are told: \"true\", \"invalidates\", \"const\" or \"false\"",
            )),
        }
    }

    /// As it is written.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Invalidates => "invalidates",
            Self::Const => "const",
            Self::False => "false",
        }
    }

    pub(crate) fn variant(self) -> Ident {
        let name = match self {
            Self::True => "True",
            Self::Invalidates => "Invalidates",
            Self::Const => "Const",
            Self::False => "False",
        };
        Ident::new(name, Span::call_site())
    }
}

/// `property(emits_changed_signal = "…")`, the part in brackets if there is one.
pub(crate) fn parse_property(meta: &ParseNestedMeta<'_>) -> syn::Result<EmitsChanged> {
    let mut emits = EmitsChanged::default();
    if meta.input.peek(syn::token::Paren) {
        meta.parse_nested_meta(|inner| {
            if !inner.path.is_ident("emits_changed_signal") {
                return Err(unknown(&inner, "emits_changed_signal"));
            }
            emits = EmitsChanged::parse(&text(&inner)?)?;
            Ok(())
        })?;
    }
    Ok(emits)
}

/// The text of the documentation comments.
pub(crate) fn doc_of(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(meta) = &attribute.meta else { return None };
        let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value else { return None };
        let text = text.value();
        let line = text.strip_prefix(' ').unwrap_or(&text).trim_end().to_owned();
        meta.path.is_ident("doc").then_some(line)
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Those that say under which conditions something is there.
pub(crate) fn conditions(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect()
}

pub(crate) fn is_deprecated(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("deprecated"))
}

/// An argument of a function by name and type.
pub(crate) fn typed(argument: &FnArg) -> Option<(&Ident, &PatType)> {
    let FnArg::Typed(typed) = argument else { return None };
    match &*typed.pat {
        Pat::Ident(pattern) => Some((&pattern.ident, typed)),
        _ => None,
    }
}

/// What a function returns: the type, without `Result` around it, and whether there is one.
pub(crate) fn returned(output: &syn::ReturnType) -> (Type, bool) {
    let unit = || syn::parse_quote!(());
    let syn::ReturnType::Type(_, declared) = output else { return (unit(), false) };
    let Type::Path(path) = &**declared else { return ((**declared).clone(), false) };
    let Some(last) = path.path.segments.last().filter(|last| last.ident == "Result") else {
        return ((**declared).clone(), false);
    };
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return (unit(), true);
    };
    let first = arguments.args.iter().find_map(|argument| match argument {
        syn::GenericArgument::Type(inner) => Some(inner.clone()),
        _ => None,
    });
    (first.unwrap_or_else(unit), true)
}
