//! `#[derive(DBusError)]`: an enum as errors of D-Bus.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{Attribute, Data, DeriveInput, Fields, Ident, LitStr};

use crate::attributes::{conditions, crate_path, flag, take_ours, text, unknown};
use crate::interface::checked;

/// What an enum is told.
struct Options {
    prefix: String,
    has_display: bool,
    libbus: TokenStream,
}

impl Options {
    fn take(attributes: &mut Vec<Attribute>, name: &Ident) -> syn::Result<Self> {
        let (mut prefix, mut path, mut has_display) = (None, None, true);
        take_ours(attributes, |meta| {
            match () {
                () if meta.path.is_ident("prefix") => prefix = Some(text(&meta)?),
                () if meta.path.is_ident("impl_display") => has_display = flag(&meta)?,
                () if meta.path.is_ident("crate") => path = Some(text(&meta)?),
                () => return Err(unknown(&meta, "prefix, impl_display, crate")),
            }
            Ok(())
        })?;
        let Some(prefix) = prefix else {
            let text =
                "the names of the errors need a beginning: #[zbus(prefix = \"org.example.Error\")]";
            return Err(syn::Error::new(name.span(), text));
        };
        let prefix = checked(&prefix, zbus_utils::names::validate_interface_name)?;
        Ok(Self { prefix, has_display, libbus: crate_path(path.as_ref())? })
    }
}

enum Content {
    Nothing,
    Text,
    /// Every error that is none of these.
    Other,
}

struct Variant {
    ident: Ident,
    name: String,
    content: Content,
    conditions: Vec<Attribute>,
}

impl Variant {
    fn collect(mut variant: syn::Variant, prefix: &str) -> syn::Result<Self> {
        let (mut name, mut is_other): (Option<LitStr>, bool) = (None, false);
        take_ours(&mut variant.attrs, |meta| {
            match () {
                () if meta.path.is_ident("name") => name = Some(text(&meta)?),
                () if meta.path.is_ident("error") => is_other = true,
                () => return Err(unknown(&meta, "name, error")),
            }
            Ok(())
        })?;
        let content = match &variant.fields {
            Fields::Unit if !is_other => Content::Nothing,
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                if is_other {
                    Content::Other
                } else {
                    Content::Text
                }
            }
            _ => {
                let text = "an error has nothing but a text: `Name` or `Name(String)`, and one may be \
                            `#[zbus(error)] Other(libbus::Error)`";
                return Err(syn::Error::new(variant.span(), text));
            }
        };
        let short = match &name {
            Some(name) => checked(name, zbus_utils::names::validate_member_name)?,
            None => variant.ident.to_string(),
        };
        let conditions = conditions(&variant.attrs);
        Ok(Self { ident: variant.ident, name: format!("{prefix}.{short}"), content, conditions })
    }
}

pub(crate) fn expand(mut input: DeriveInput) -> syn::Result<TokenStream> {
    let target = input.ident.clone();
    let options = Options::take(&mut input.attrs, &target)?;
    let Data::Enum(data) = input.data else {
        return Err(syn::Error::new(target.span(), "errors of D-Bus are an enum"));
    };
    let variants = data.variants.into_iter();
    let variants: Vec<Variant> = variants
        .map(|variant| Variant::collect(variant, &options.prefix))
        .collect::<syn::Result<_>>()?;
    let libbus = &options.libbus;
    let names = variants.iter().map(|Variant { ident, name, content, conditions }| {
        let arm = match content {
            Content::Nothing => quote!(Self::#ident => ::std::borrow::Cow::Borrowed(#name),),
            Content::Text => quote!(Self::#ident(_) => ::std::borrow::Cow::Borrowed(#name),),
            Content::Other => quote!(Self::#ident(error) => #libbus::DBusError::name(error),),
        };
        quote!(#(#conditions)* #arm)
    });
    let texts = variants.iter().map(|Variant { ident, content, conditions, .. }| {
        let arm = match content {
            Content::Nothing => quote!(Self::#ident => ::std::borrow::Cow::Borrowed(""),),
            Content::Text => quote! {
                Self::#ident(text) => ::std::borrow::Cow::Owned(::std::string::ToString::to_string(text)),
            },
            Content::Other => quote!(Self::#ident(error) => #libbus::DBusError::description(error),),
        };
        quote!(#(#conditions)* #arm)
    });
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let display = options.has_display.then(|| {
        quote! {
            impl #generics ::core::fmt::Display for #target #arguments #bounds {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    let (name, text) =
                        (#libbus::DBusError::name(self), #libbus::DBusError::description(self));
                    match text.is_empty() {
                        true => f.write_str(&name),
                        false => ::core::write!(f, "{name}: {text}"),
                    }
                }
            }

            impl #generics ::std::error::Error for #target #arguments #bounds {}
        }
    });
    let other = variants.iter().find(|variant| matches!(variant.content, Content::Other));
    let from = other.map(|other| {
        let known = variants.iter().filter_map(|variant| {
            let Variant { ident, name, content, conditions } = variant;
            let value = match content {
                Content::Nothing => quote!(Self::#ident),
                Content::Text => quote!(Self::#ident(method.text().into())),
                Content::Other => return None,
            };
            Some(quote!(#(#conditions)* #name => return #value,))
        });
        let other = &other.ident;
        quote! {
            impl #generics From<#libbus::Error> for #target #arguments #bounds {
                fn from(error: #libbus::Error) -> Self {
                    if let #libbus::Error::Method(method) = &error {
                        match method.name() {
                            #(#known)*
                            _ => {}
                        }
                    }
                    Self::#other(error)
                }
            }
        }
    });
    Ok(quote! {
        impl #generics #libbus::DBusError for #target #arguments #bounds {
            fn name(&self) -> ::std::borrow::Cow<'_, str> {
                match self {
                    #(#names)*
                }
            }

            fn description(&self) -> ::std::borrow::Cow<'_, str> {
                match self {
                    #(#texts)*
                }
            }
        }

        #display
        #from
    })
}
