//! From the arguments of a macro to what stands in its place.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use bus_introspect::{CodegenError, CodegenOptions, Node, rust_proxies, rust_servers};
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Token, parenthesized};

/// What is wanted of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Proxies,
    Servers,
}

/// The arguments.
struct Arguments {
    file: LitStr,
    options: CodegenOptions,
    is_lenient: bool,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let file: LitStr = input.parse()?;
        let mut arguments = Self {
            options: CodegenOptions::new().for_include().with_source(&file.value()),
            file,
            is_lenient: false,
        };
        let mut given: Vec<String> = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let name: Ident = input.parse()?;
            if given.contains(&name.to_string()) {
                return Err(syn::Error::new(name.span(), format!("{name} is given twice")));
            }
            given.push(name.to_string());
            arguments.take(&name, input)?;
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn take(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        let options = std::mem::take(&mut self.options);
        self.options = match name.to_string().as_str() {
            "blocking" => options.blocking(),
            "lenient" => {
                self.is_lenient = true;
                options
            }
            "default_service" => options.with_default_service(&value(input)?),
            "default_path" => options.with_default_path(&value(input)?),
            "without" => {
                let content;
                parenthesized!(content in input);
                let names = Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?;
                names.iter().fold(options, |options, name| options.without(&name.value()))
            }
            _ => {
                let known = "blocking, lenient, default_service, default_path, without";
                let text = format!("there is no option {name}; known are: {known}");
                return Err(syn::Error::new(name.span(), text));
            }
        };
        Ok(())
    }

    fn generate(&self, xml: &str, side: Side) -> Result<String, CodegenError> {
        let options = &self.options;
        match (self.is_lenient, side) {
            (false, Side::Proxies) => rust_proxies(xml, options),
            (false, Side::Servers) => rust_servers(xml, options),
            (true, Side::Proxies) => Node::from_xml_leniently(xml)?.0.to_rust_proxies(options),
            (true, Side::Servers) => Node::from_xml_leniently(xml)?.0.to_rust_servers(options),
        }
    }
}

/// `= "text"`.
fn value(input: ParseStream<'_>) -> syn::Result<String> {
    input.parse::<Token![=]>()?;
    Ok(input.parse::<LitStr>()?.value())
}

/// What stands in the macro's place: what is generated, or what is wrong.
pub(crate) fn expand(arguments: TokenStream, side: Side) -> TokenStream {
    // The compiler's way of saying it; cargo sets it for every package.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    match Arguments::parse.parse2(arguments) {
        Ok(arguments) => expand_in(&folder, &arguments, side),
        Err(error) => error.into_compile_error(),
    }
}

fn expand_in(folder: &Path, arguments: &Arguments, side: Side) -> TokenStream {
    let path = folder.join(arguments.file.value());
    let shown = arguments.file.value();
    let fail = |reason: &dyn fmt::Display| {
        syn::Error::new(arguments.file.span(), format!("{shown}: {reason}")).into_compile_error()
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => return fail(&format_args!("{error} (looked for {})", path.display())),
    };
    // By this the compiler knows that what is made here hangs on the file, also when it is wrong.
    let tracked = match path.to_str() {
        Some(path) => quote!(
            const _: &[u8] = ::core::include_bytes!(#path);
        ),
        None => return fail(&"the path of the package must be text in UTF-8"),
    };
    let text = String::from_utf8(bytes).map_err(|error| place_of(&error));
    let result = match text {
        Ok(xml) => arguments.generate(&xml, side).map_err(|error| fail(&error)),
        Err(place) => Err(fail(&place)),
    };
    let items = result.and_then(|text| {
        text.parse::<TokenStream>().map_err(|error| fail(&format_args!("not Rust: {error}")))
    });
    let items = items.unwrap_or_else(|error| error);
    quote!(#tracked #items)
}

/// Where what is no text stands.
fn place_of(error: &std::string::FromUtf8Error) -> String {
    let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let before = String::from_utf8_lossy(before);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("line {line}, column {column}: not text in UTF-8")
}

#[cfg(test)]
mod tests;
