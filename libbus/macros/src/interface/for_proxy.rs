//! `#[interface(proxy(…))]`: the proxy for what is served, from the same functions.
//!
//! A trait is written as somebody else would write it for this interface, and `#[proxy]` is made of that. What the
//! functions are told beside `proxy(…)`, such as names, counts for both.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Ident, Lifetime, LitStr, ReturnType, Signature, Type, TypeReference, Visibility,
};

use super::{Function, Interface, Source, last_name};
use crate::attributes::{conditions, doc_of, flag, returned, text, unknown};

/// What `proxy(…)` of the interface is told.
#[derive(Default)]
pub(super) struct ProxyOptions {
    /// As for `#[proxy]`.
    passed_on: TokenStream,
    visibility: Option<LitStr>,
}

impl ProxyOptions {
    pub(super) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        if !meta.input.peek(syn::token::Paren) {
            return Ok(options);
        }
        meta.parse_nested_meta(|inner| {
            let path = inner.path.clone();
            let is = |name: &str| path.is_ident(name);
            match () {
                () if is("default_path") || is("default_service") || is("async_name") => {
                    let value = text(&inner)?;
                    options.passed_on.extend(quote!(#path = #value,));
                }
                () if is("assume_defaults") => {
                    let value = flag(&inner)?;
                    options.passed_on.extend(quote!(#path = #value,));
                }
                () if is("visibility") => options.visibility = Some(text(&inner)?),
                () => {
                    let known =
                        "assume_defaults, default_path, default_service, async_name, visibility";
                    return Err(unknown(&inner, known));
                }
            }
            Ok(())
        })?;
        Ok(options)
    }

    fn visibility(&self) -> syn::Result<Visibility> {
        match &self.visibility {
            Some(text) => text.parse(),
            None => Ok(syn::parse_quote!(pub)),
        }
    }
}

/// What `proxy(…)` of a function is told.
#[derive(Default)]
pub(super) struct ToldForProxy {
    /// As `#[proxy]` is told it.
    passed_on: TokenStream,
    /// Whether an object's path is returned, and a proxy wanted for it.
    is_object: bool,
}

pub(super) fn told(meta: &ParseNestedMeta<'_>) -> syn::Result<ToldForProxy> {
    let mut told = ToldForProxy::default();
    meta.parse_nested_meta(|inner| {
        let path = inner.path.clone();
        let is = |name: &str| path.is_ident(name);
        match () {
            () if is("object") || is("proxy_type_name") || is("async_object") => {
                let value = text(&inner)?;
                told.is_object |= is("object");
                told.passed_on.extend(quote!(#path = #value,));
            }
            () if is("object_vec")
                || is("no_reply")
                || is("no_autostart")
                || is("allow_interactive_auth") =>
            {
                told.passed_on.extend(quote!(#path,));
            }
            () => {
                let known = "object, proxy_type_name, async_object, object_vec, no_reply, \
                             no_autostart, allow_interactive_auth";
                return Err(unknown(&inner, known));
            }
        }
        Ok(())
    })?;
    Ok(told)
}

/// What a function of the interface is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Method,
    Getter,
    Setter,
}

/// A function of the interface, as its proxy has it.
pub(super) struct ProxyFunction {
    kind: Kind,
    attributes: Vec<Attribute>,
    ident: Ident,
    dbus_name: String,
    inputs: Vec<(Ident, Type)>,
    output: ReturnType,
    told: ToldForProxy,
}

impl ProxyFunction {
    pub(super) fn of(
        kind: Kind,
        attributes: &[Attribute],
        signature: &Signature,
        function: &Function,
        told: ToldForProxy,
    ) -> Self {
        let declared = signature.inputs.iter().skip(1).filter_map(crate::attributes::typed);
        let inputs = declared.zip(&function.parameters).filter_map(|((name, declared), one)| {
            let is_sent = matches!(one.source, Source::Message { .. });
            is_sent.then(|| (name.clone(), (*declared.ty).clone()))
        });
        Self {
            kind,
            attributes: attributes.to_vec(),
            ident: function.ident.clone(),
            dbus_name: function.dbus_name.clone(),
            inputs: inputs.collect(),
            output: signature.output.clone(),
            told,
        }
    }
}

impl Interface {
    /// The proxy, if one is wanted.
    pub(super) fn proxy(&self) -> syn::Result<TokenStream> {
        let Some(options) = &self.options.proxy else { return Ok(TokenStream::new()) };
        let Some(own_name) = last_name(&self.block.self_ty) else {
            let text = "a proxy is called as the type is, which has no name here";
            return Err(syn::Error::new(self.block.self_ty.span(), text));
        };
        let (name, visibility) = (&self.name, options.visibility()?);
        let doc = format!("Proxy for the interface `{name}`.");
        let functions = self.of_proxy.iter().map(|function| self.proxy_function(function));
        let functions = functions.collect::<syn::Result<Vec<_>>>()?;
        let signals = self.signals.iter().map(|signal| {
            let (attributes, dbus_name) = (&signal.declaration.attributes, &signal.dbus_name);
            let (conditions, docs) = (conditions(attributes), docs(attributes));
            let ident = &signal.declaration.signature.ident;
            let arguments =
                signal.arguments.iter().map(|(name, declared)| quote!(#name: #declared));
            let result = self.result(&syn::parse_quote!(()));
            quote! {
                #(#conditions)*
                #docs
                #[zbus(signal, name = #dbus_name)]
                fn #ident(&self, #(#arguments),*) -> #result;
            }
        });
        let declared = quote! {
            #[doc = #doc]
            #visibility trait #own_name {
                #(#functions)*
                #(#signals)*
            }
        };
        let passed_on = &options.passed_on;
        let crate_name = self.options.libbus_name.iter();
        let arguments = quote!(interface = #name, #passed_on #(crate = #crate_name)*);
        crate::proxy::expand(arguments, declared, self.style)
    }

    fn result(&self, value: &Type) -> TokenStream {
        let libbus = &self.options.libbus;
        quote!(#libbus::Result<#value>)
    }

    fn proxy_function(&self, function: &ProxyFunction) -> syn::Result<TokenStream> {
        let ProxyFunction { kind, attributes, ident, dbus_name, inputs, output, told } = function;
        let conditions = conditions(attributes);
        let docs = match (docs(attributes), kind) {
            (docs, _) if !docs.is_empty() => docs,
            (_, Kind::Method) => doc(&format!("The method `{dbus_name}`.")),
            (_, Kind::Getter) => doc(&format!("The property `{dbus_name}`.")),
            (_, Kind::Setter) => doc(&format!("Sets the property `{dbus_name}`.")),
        };
        let (value, is_result) = returned(output);
        let emits = self.properties.iter().find(|property| property.name == *dbus_name);
        let property = emits.filter(|_| *kind != Kind::Method).map(|property| {
            let emits = property.emits.word();
            quote!(property(emits_changed_signal = #emits),)
        });
        let libbus = &self.options.libbus;
        let declared = match output {
            ReturnType::Type(_, declared) if is_result => Some(declared),
            _ => None,
        };
        let lends = borrows(&value) && !told.is_object;
        let (generics, result, bounds) = match kind {
            Kind::Method if lends => {
                let text = "a proxy returns what is its own: return a type without references here";
                return Err(syn::Error::new(output.span(), text));
            }
            Kind::Method if is_result => (quote!(), quote!(#declared), quote!()),
            Kind::Setter => (quote!(), self.result(&syn::parse_quote!(())), quote!()),
            // Here it is lent, and there it must be had: the caller says as what.
            Kind::Getter if lends => (
                quote!(<OwnValue>),
                quote!(#libbus::Result<OwnValue>),
                quote!(where OwnValue: #libbus::client::PropertyValue),
            ),
            Kind::Method | Kind::Getter => (quote!(), self.result(&value), quote!()),
        };
        let passed_on = &told.passed_on;
        let inputs = inputs.iter().map(|(name, declared)| quote!(#name: #declared));
        Ok(quote! {
            #(#conditions)*
            #docs
            #[allow(dead_code, reason = "not all programs need all of it")]
            #[zbus(name = #dbus_name, #property #passed_on)]
            fn #ident #generics (&self, #(#inputs),*) -> #result #bounds;
        })
    }
}

/// What is documented, as one attribute.
fn docs(attributes: &[Attribute]) -> TokenStream {
    match doc_of(attributes) {
        text if text.is_empty() => TokenStream::new(),
        text => doc(&text),
    }
}

fn doc(text: &str) -> TokenStream {
    quote!(#[doc = #text])
}

/// Whether a value of this type points to what somebody else has.
fn borrows(value: &Type) -> bool {
    struct Finder(bool);

    impl<'ast> Visit<'ast> for Finder {
        fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
            self.0 = true;
            visit::visit_type_reference(self, reference);
        }

        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            self.0 |= lifetime.ident != "static";
        }
    }

    let mut finder = Finder(false);
    finder.visit_type(value);
    finder.0
}
