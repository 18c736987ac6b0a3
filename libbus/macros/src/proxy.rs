//! `#[proxy]`: the interface of another program as a type.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote};
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, FnArg, Ident, ItemTrait, Lifetime, LitStr, TraitItem, TraitItemFn, Type,
    TypeReference,
};

use crate::attributes::{
    EmitsChanged, Style, conditions, crate_path, doc_of, flag, parse_arguments, parse_property,
    returned, take_ours, text, typed, unknown,
};
use crate::interface::{checked, unraw};
use crate::names::pascal_case;

pub(crate) fn expand(
    arguments: TokenStream,
    item: TokenStream,
    style: Style,
) -> syn::Result<TokenStream> {
    let declared: ItemTrait = syn::parse2(item)?;
    Proxy { options: Options::parse(arguments, &declared)?, style, declared }.write()
}

/// What the macro itself is told.
struct Options {
    interface: String,
    destination: Option<String>,
    path: Option<String>,
    type_name: Option<LitStr>,
    libbus: TokenStream,
}

impl Options {
    fn parse(arguments: TokenStream, declared: &ItemTrait) -> syn::Result<Self> {
        let (mut interface, mut destination, mut path) = (None, None, None);
        let (mut type_name, mut crate_name, mut assumes) = (None, None, false);
        parse_arguments(arguments, |meta| {
            match () {
                () if meta.path.is_ident("interface") || meta.path.is_ident("name") => {
                    interface = Some(text(&meta)?);
                }
                () if meta.path.is_ident("default_service") => destination = Some(text(&meta)?),
                () if meta.path.is_ident("default_path") => path = Some(text(&meta)?),
                () if meta.path.is_ident("async_name") || meta.path.is_ident("proxy_name") => {
                    type_name = Some(text(&meta)?);
                }
                () if meta.path.is_ident("assume_defaults") => assumes = flag(&meta)?,
                () if meta.path.is_ident("crate") => crate_name = Some(text(&meta)?),
                () => {
                    let known = "interface, default_service, default_path, assume_defaults, async_name, crate";
                    return Err(unknown(&meta, known));
                }
            }
            Ok(())
        })?;
        let Some(interface) = interface else {
            let text = "the proxy needs an interface: #[proxy(interface = \"org.example.Name\")]";
            return Err(syn::Error::new(declared.ident.span(), text));
        };
        let interface = checked(&interface, zbus_utils::names::validate_interface_name)?;
        let checked_name = |name: LitStr| {
            checked(&name, |bytes| zbus_utils::names::validate_bus_name(bytes).map(drop))
        };
        let destination = destination.map(checked_name).transpose()?;
        let path = path.map(checked_path).transpose()?;
        let assumed_path = || format!("/{}", interface.replace('.', "/"));
        Ok(Self {
            destination: destination.or_else(|| assumes.then(|| interface.clone())),
            path: path.or_else(|| assumes.then(assumed_path)),
            interface,
            type_name,
            libbus: crate_path(crate_name.as_ref())?,
        })
    }
}

fn checked_path(path: LitStr) -> syn::Result<String> {
    let value = path.value();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let names = value.strip_prefix('/');
    match names.is_some_and(|names| names.is_empty() || names.split('/').all(is_name)) {
        true => Ok(value),
        false => Err(syn::Error::new(path.span(), format!("{value:?} is no object path"))),
    }
}

/// What one function is told to be.
#[derive(Default)]
struct Told {
    name: Option<LitStr>,
    property: Option<EmitsChanged>,
    is_signal: bool,
    no_reply: bool,
    no_auto_start: bool,
    is_interactive: bool,
    object: Option<LitStr>,
    object_type: Option<LitStr>,
    /// Another name for `object_type`, from when there were proxies of two styles.
    async_object: Option<LitStr>,
    is_vec: bool,
}

impl Told {
    fn take(attributes: &mut Vec<Attribute>) -> syn::Result<Self> {
        let mut told = Self::default();
        take_ours(attributes, |meta| {
            match () {
                () if meta.path.is_ident("name") => told.name = Some(text(&meta)?),
                () if meta.path.is_ident("property") => {
                    told.property = Some(parse_property(&meta)?)
                }
                () if meta.path.is_ident("signal") => told.is_signal = true,
                () if meta.path.is_ident("no_reply") => told.no_reply = true,
                () if meta.path.is_ident("no_autostart") => told.no_auto_start = true,
                () if meta.path.is_ident("allow_interactive_auth") => told.is_interactive = true,
                () if meta.path.is_ident("object") => told.object = Some(text(&meta)?),
                () if meta.path.is_ident("proxy_type_name") => {
                    told.object_type = Some(text(&meta)?)
                }
                () if meta.path.is_ident("async_object") => told.async_object = Some(text(&meta)?),
                () if meta.path.is_ident("object_vec") => told.is_vec = true,
                () => {
                    let known = "name, property, signal, no_reply, no_autostart, allow_interactive_auth, \
                                 object, proxy_type_name, async_object, object_vec";
                    return Err(unknown(&meta, known));
                }
            }
            Ok(())
        })?;
        if let (Some(_), Some(also)) = (&told.object_type, &told.async_object) {
            let text = "proxy_type_name and async_object name the same type: write one of them";
            return Err(syn::Error::new(also.span(), text));
        }
        told.object_type = told.object_type.or_else(|| told.async_object.take());
        Ok(told)
    }
}

struct Proxy {
    options: Options,
    style: Style,
    declared: ItemTrait,
}

impl Proxy {
    fn write(mut self) -> syn::Result<TokenStream> {
        let (mut functions, mut types) = (Vec::new(), Vec::new());
        for item in std::mem::take(&mut self.declared.items) {
            match item {
                TraitItem::Fn(function) => {
                    let (written, signal) = self.function(function)?;
                    functions.push(written);
                    types.push(signal);
                }
                other => {
                    let text = "the interface of another program has functions alone";
                    return Err(syn::Error::new(other.span(), text));
                }
            }
        }
        let definition = self.definition()?;
        let (name, wait_free) = (self.type_name()?, quote!(clippy::too_many_arguments));
        Ok(quote! {
            #definition
            #[allow(#wait_free, deprecated, reason = "the interface has them")]
            impl<'p> #name<'p> {
                #(#functions)*
            }
            #(#types)*
        })
    }

    fn type_name(&self) -> syn::Result<Ident> {
        match &self.options.type_name {
            Some(name) => name.parse(),
            None => Ok(format_ident!("{}Proxy", self.declared.ident)),
        }
    }

    fn definition(&self) -> syn::Result<TokenStream> {
        let Options { interface, destination, path, libbus, .. } = &self.options;
        let (style, name, visibility) = (self.style, self.type_name()?, &self.declared.vis);
        let (keyword, wait, module) = (style.keyword(), style.wait(), style.module(libbus));
        let attributes = &self.declared.attrs;
        let doc = match doc_of(attributes).is_empty() {
            true => {
                let text = format!("The interface `{interface}` of an object of another program.");
                quote!(#[doc = #text])
            }
            false => TokenStream::new(),
        };
        let option = |text: &Option<String>| match text {
            Some(text) => quote!(Some(#text)),
            None => quote!(None),
        };
        let (default_destination, default_path) = (option(destination), option(path));
        let mut parameters = Vec::new();
        let mut settings = Vec::new();
        for (is_given, part) in [(destination.is_some(), "destination"), (path.is_some(), "path")] {
            if !is_given {
                let part = Ident::new(part, Span::call_site());
                parameters.push(quote!(#part: impl Into<String>));
                settings.push(quote!(.#part(#part)));
            }
        }
        let new_doc = format!("The interface `{interface}`.\n\n# Errors\nA name is not valid.");
        Ok(quote! {
            #(#attributes)*
            #doc
            #[allow(deprecated, reason = "it may be itself")]
            #[derive(Clone, Debug)]
            #visibility struct #name<'p> {
                inner: #module::Proxy,
                lifetime: ::core::marker::PhantomData<&'p ()>,
            }

            #[allow(dead_code, deprecated, reason = "not all programs need all of it")]
            impl<'p> #name<'p> {
                #[doc = #new_doc]
                pub #keyword fn new(
                    connection: &#module::Connection,
                    #(#parameters),*
                ) -> #libbus::Result<Self> {
                    Self::builder(connection)#(#settings)*.build()#wait
                }

                /// How it is made, with other names and choices.
                #[must_use]
                pub fn builder(connection: &#module::Connection) -> #module::ProxyBuilder<Self> {
                    #module::ProxyBuilder::new(connection)
                }

                /// The same without types.
                #[must_use]
                pub const fn inner(&self) -> &#module::Proxy {
                    &self.inner
                }

                /// The same without types.
                #[must_use]
                pub fn into_inner(self) -> #module::Proxy {
                    self.inner
                }
            }

            #[allow(deprecated, reason = "it may be itself")]
            impl #libbus::client::ProxyDefaults for #name<'_> {
                const INTERFACE: &'static str = #interface;
                const DESTINATION: Option<&'static str> = #default_destination;
                const PATH: Option<&'static str> = #default_path;
            }

            #[allow(deprecated, reason = "it may be itself")]
            impl From<#module::Proxy> for #name<'_> {
                fn from(inner: #module::Proxy) -> Self {
                    Self { inner, lifetime: ::core::marker::PhantomData }
                }
            }

            #[allow(deprecated, reason = "it may be itself")]
            impl AsRef<#module::Proxy> for #name<'_> {
                fn as_ref(&self) -> &#module::Proxy {
                    &self.inner
                }
            }
        })
    }

    /// What is written for a function in the type, and beside it.
    fn function(&self, mut function: TraitItemFn) -> syn::Result<(TokenStream, TokenStream)> {
        let told = Told::take(&mut function.attrs)?;
        if let Some(body) = &function.default {
            let text = "what another program does has no body here: write `;` for it";
            return Err(syn::Error::new(body.span(), text));
        }
        if function.sig.receiver().is_none() {
            let text = "a function of another program's object takes `&self`";
            return Err(syn::Error::new(function.sig.span(), text));
        }
        let parameters = function.sig.inputs.iter().skip(1).map(|input: &FnArg| {
            let wrong = || syn::Error::new(input.span(), "an argument needs a name");
            let (name, declared) = typed(input).ok_or_else(wrong)?;
            Ok((name.clone(), (*declared.ty).clone()))
        });
        let parameters = parameters.collect::<syn::Result<Vec<(Ident, Type)>>>()?;
        let rust_name = function.sig.ident.to_string();
        let is_setter = told.property.is_some() && !parameters.is_empty();
        let plain = match is_setter {
            true => rust_name.strip_prefix("set_").unwrap_or(&rust_name),
            false => &rust_name,
        };
        let dbus_name = match &told.name {
            Some(name) if told.property.is_some() => {
                checked(name, zbus_utils::names::validate_property_name)?
            }
            Some(name) => checked(name, zbus_utils::names::validate_member_name)?,
            None => pascal_case(plain),
        };
        match told.property {
            _ if told.is_signal => self.signal(&function, &dbus_name, &parameters),
            Some(_) if parameters.len() > 1 => {
                let text =
                    "a property is read by a function without an argument and set by one with one";
                Err(syn::Error::new(function.sig.span(), text))
            }
            Some(_) if is_setter => Ok((self.setter(&function, &dbus_name, &parameters), quote!())),
            Some(emits) => Ok((self.getter(&function, &told, &dbus_name, emits)?, quote!())),
            None => Ok((self.method(&function, &told, &dbus_name, &parameters)?, quote!())),
        }
    }

    /// The head of a function, with what stands before it.
    fn head(&self, function: &TraitItemFn) -> TokenStream {
        let attributes = &function.attrs;
        let mut signature = function.sig.clone();
        signature.asyncness = None;
        let keyword = self.style.keyword();
        let output = &signature.output;
        let (ident, generics, inputs) = (&signature.ident, &signature.generics, &signature.inputs);
        let bounds = &signature.generics.where_clause;
        let (typed_generics, _, _) = generics.split_for_impl();
        quote!(#(#attributes)* pub #keyword fn #ident #typed_generics (#inputs) #output #bounds)
    }

    fn method(
        &self,
        function: &TraitItemFn,
        told: &Told,
        dbus_name: &str,
        parameters: &[(Ident, Type)],
    ) -> syn::Result<TokenStream> {
        let wait = self.style.wait();
        let names = parameters.iter().map(|(name, _)| name);
        let arguments = quote!(&(#(#names,)*));
        let mut call = quote!(self.inner.method_call(#dbus_name)?);
        if told.no_auto_start {
            call.extend(quote!(.auto_start(false)));
        }
        if told.is_interactive {
            call.extend(quote!(.interactive_authorization(true)));
        }
        if told.no_reply {
            let head = self.head(function);
            let (_, is_result) = returned(&function.sig.output);
            let send = quote!(self.inner.connection().call_no_reply(&#call, #arguments)#wait);
            return match is_result {
                true => Ok(quote! {
                    #head {
                        #send?;
                        Ok(())
                    }
                }),
                false => Err(must_fail(function)),
            };
        }
        // Arguments may have any name, so that nothing here has one before they are used.
        let ask = quote!(self.inner.connection().call(&#call, #arguments)#wait?);
        if let Some(object) = &told.object {
            let libbus = &self.options.libbus;
            let read = match told.is_vec {
                true => quote!(Vec<#libbus::wire_types::OwnedObjectPath>),
                false => quote!(#libbus::wire_types::OwnedObjectPath),
            };
            let get = quote! {
                let answer: #read = #ask.deserialize().map_err(#libbus::Error::from)?;
            };
            return self.object(function, told, object, &get);
        }
        let (output, is_result) = returned(&function.sig.output);
        if !is_result {
            return Err(must_fail(function));
        }
        let (head, libbus) = (self.head(function), &self.options.libbus);
        Ok(quote! {
            #head {
                let answer = #ask;
                let answer: #output = answer.deserialize().map_err(#libbus::Error::from)?;
                Ok(answer)
            }
        })
    }

    /// A function that answers with proxies of the objects whose paths it gets.
    fn object(
        &self,
        function: &TraitItemFn,
        told: &Told,
        object: &LitStr,
        get: &TokenStream,
    ) -> syn::Result<TokenStream> {
        let (keyword, wait) = (self.style.keyword(), self.style.wait());
        let libbus = &self.options.libbus;
        let name: syn::Path = match &told.object_type {
            Some(name) => name.parse()?,
            None => {
                let mut path: syn::Path = object.parse()?;
                if let Some(last) = path.segments.last_mut() {
                    last.ident = format_ident!("{}Proxy", last.ident);
                }
                path
            }
        };
        let attributes = &function.attrs;
        let (ident, inputs) = (&function.sig.ident, &function.sig.inputs);
        let (generics, _, bounds) = function.sig.generics.split_for_impl();
        let make = quote! {
            #name::builder(self.inner.connection())
                .destination(self.inner.destination())
                .path(path.as_str())
                .build()#wait?
        };
        let (output, rest) = match told.is_vec {
            false => (
                quote!(#name<'p>),
                quote! {
                    let path = answer;
                    let proxy = #make;
                    Ok(proxy)
                },
            ),
            true => (
                quote!(Vec<#name<'p>>),
                quote! {
                    let mut all = Vec::new();
                    for path in answer {
                        all.push(#make);
                    }
                    Ok(all)
                },
            ),
        };
        Ok(quote! {
            #(#attributes)*
            pub #keyword fn #ident #generics (#inputs) -> #libbus::Result<#output> #bounds {
                #get
                #rest
            }
        })
    }

    fn getter(
        &self,
        function: &TraitItemFn,
        told: &Told,
        dbus_name: &str,
        emits: EmitsChanged,
    ) -> syn::Result<TokenStream> {
        let Options { libbus, .. } = &self.options;
        let (keyword, wait) = (self.style.keyword(), self.style.wait());
        let module = self.style.module(libbus);
        let get = match emits {
            EmitsChanged::False => quote!(get_property_uncached),
            _ => quote!(get_property),
        };
        if let Some(object) = &told.object {
            let read = match told.is_vec {
                true => quote!(Vec<#libbus::wire_types::OwnedObjectPath>),
                false => quote!(#libbus::wire_types::OwnedObjectPath),
            };
            let get = quote!(let answer: #read = self.inner.#get(#dbus_name)#wait?;);
            return self.object(function, told, object, &get);
        }
        let (output, is_result) = returned(&function.sig.output);
        if !is_result {
            return Err(must_fail(function));
        }
        let (head, conditions) = (self.head(function), conditions(&function.attrs));
        let (generics, _, bounds) = function.sig.generics.split_for_impl();
        let plain = unraw(&function.sig.ident);
        let cached = format_ident!("cached_{plain}");
        let cached_doc = format!(
            "The value of the property `{dbus_name}`, if it is kept.\n\n# Errors\nIt is of another type."
        );
        let changes = matches!(emits, EmitsChanged::True | EmitsChanged::Invalidates).then(|| {
            let receive = format_ident!("receive_{plain}_changed");
            let doc = format!(
                "The changes of the property `{dbus_name}`, from now on. If they cannot be had, the stream is over from \
                 the beginning, as its `checked` and `next_change` tell."
            );
            quote! {
                #(#conditions)*
                #[doc = #doc]
                #[allow(dead_code, reason = "not all programs need all of it")]
                pub #keyword fn #receive #generics(&self) -> #module::PropertyStream<#output> #bounds {
                    self.inner.receive_property_changes(#dbus_name)#wait
                }
            }
        });
        Ok(quote! {
            #head {
                let value: #output = self.inner.#get(#dbus_name)#wait?;
                Ok(value)
            }
            #(#conditions)*
            #[doc = #cached_doc]
            #[allow(dead_code, reason = "not all programs need all of it")]
            pub fn #cached #generics(&self) -> #libbus::Result<Option<#output>> #bounds {
                self.inner.cached_property(#dbus_name)
            }
            #changes
        })
    }

    fn setter(
        &self,
        function: &TraitItemFn,
        dbus_name: &str,
        parameters: &[(Ident, Type)],
    ) -> TokenStream {
        let (head, wait) = (self.head(function), self.style.wait());
        let values = parameters.iter().map(|(name, _)| name);
        quote! {
            #head {
                self.inner.set_property(#dbus_name, #(&#values)*)#wait?;
                Ok(())
            }
        }
    }

    fn signal(
        &self,
        function: &TraitItemFn,
        dbus_name: &str,
        parameters: &[(Ident, Type)],
    ) -> syn::Result<(TokenStream, TokenStream)> {
        let Options { libbus, .. } = &self.options;
        let (keyword, wait) = (self.style.keyword(), self.style.wait());
        let (module, visibility) = (self.style.module(libbus), &self.declared.vis);
        let (conditions, docs) = (conditions(&function.attrs), doc_of(&function.attrs));
        let receive = format_ident!("receive_{}", unraw(&function.sig.ident));
        let signal = Ident::new(&pascal_case(&function.sig.ident.to_string()), Span::call_site());
        let (stream, arguments) = (format_ident!("{signal}Stream"), format_ident!("{signal}Args"));
        let receive_doc = format!(
            "The signals `{dbus_name}`, from now on.\n\n{docs}\n\n# Errors\nThe bus refuses the match rule."
        );
        let (signal_doc, stream_doc, arguments_doc) = (
            format!("A signal `{dbus_name}`."),
            format!("Signals `{dbus_name}`, one after the other."),
            format!("What a signal `{dbus_name}` says."),
        );
        let mut names = Vec::new();
        let mut types = Vec::new();
        for (name, declared) in parameters {
            let mut declared = declared.clone();
            Borrowed.visit_type_mut(&mut declared);
            names.push(name);
            types.push(declared);
        }
        let next = match self.style {
            Style::Async => quote! {
                /// The next one; `None` when the stream is over. What was missed before it is told by
                /// [`take_missed`](Self::take_missed) and [`take_interrupted`](Self::take_interrupted).
                pub async fn next(&mut self) -> Option<#signal> {
                    self.0.next_or_end().await.map(#signal)
                }
            },
            Style::Blocking => TokenStream::new(),
        };
        let iterator = match self.style {
            Style::Async => quote! {
                #(#conditions)*
                impl #libbus::Stream for #stream {
                    type Item = #signal;

                    fn poll_next(
                        self: ::std::pin::Pin<&mut Self>,
                        context: &mut ::std::task::Context<'_>,
                    ) -> ::std::task::Poll<Option<#signal>> {
                        self.get_mut().0.poll_next_or_end(context).map(|next| next.map(#signal))
                    }
                }
            },
            Style::Blocking => quote! {
                #(#conditions)*
                impl Iterator for #stream {
                    type Item = #signal;

                    fn next(&mut self) -> Option<#signal> {
                        self.0.next_or_end().map(#signal)
                    }
                }
            },
        };
        let with_args = (!parameters.is_empty()).then(|| {
            let receive = format_ident!("{receive}_with_args");
            let doc = format!(
                "The signals `{dbus_name}`, from now on, of which the arguments of these indices are these strings: \
                 the bus sends no others.\n\n# Errors\nThat is no match rule, or the bus refuses it."
            );
            quote! {
                #(#conditions)*
                #[doc = #doc]
                #[allow(dead_code, reason = "not all programs need all of it")]
                pub #keyword fn #receive(&self, args: &[(u8, &str)]) -> #libbus::Result<#stream> {
                    Ok(#stream(self.inner.receive_signal_with_args(#dbus_name, args)#wait?))
                }
            }
        });
        let function = quote! {
            #with_args
            #(#conditions)*
            #[doc = #receive_doc]
            #[allow(dead_code, reason = "not all programs need all of it")]
            pub #keyword fn #receive(&self) -> #libbus::Result<#stream> {
                Ok(#stream(self.inner.receive_signal(#dbus_name)#wait?))
            }
        };
        let beside = quote! {
            #(#conditions)*
            #[doc = #stream_doc]
            #[derive(Debug)]
            #visibility struct #stream(#module::SignalStream);

            #(#conditions)*
            #[allow(dead_code, reason = "not all programs need all of it")]
            impl #stream {
                #next

                /// The next one, with all that can become of the stream as an error.
                ///
                /// # Errors
                /// The connection was lost meanwhile and is made again, and the stream goes on; or it is over.
                pub #keyword fn next_signal(&mut self) -> #libbus::Result<#signal> {
                    self.0.next_signal()#wait.map(#signal)
                }

                /// How many signals were let go since this was asked last, since nobody read them in time.
                pub const fn take_missed(&mut self) -> u64 {
                    self.0.take_missed()
                }

                /// Whether the connection was lost and made again since this was asked last, so that signals may have
                /// been missed that nobody could count.
                pub const fn take_interrupted(&mut self) -> bool {
                    self.0.take_interrupted()
                }

                /// The same without types.
                #[must_use]
                pub const fn inner(&self) -> &#module::SignalStream {
                    &self.0
                }

                /// The same without types.
                #[must_use]
                pub fn into_inner(self) -> #module::SignalStream {
                    self.0
                }
            }

            #iterator

            #(#conditions)*
            #[doc = #signal_doc]
            #[derive(Clone, Debug)]
            #visibility struct #signal(#libbus::message::Message);

            #(#conditions)*
            #[allow(dead_code, reason = "not all programs need all of it")]
            impl #signal {
                /// What it says.
                ///
                /// # Errors
                /// It has other arguments.
                pub fn args(&self) -> #libbus::Result<#arguments<'_>> {
                    let (#(#names,)*) = self.0.deserialize()?;
                    Ok(#arguments { #(#names,)* phantom: ::core::marker::PhantomData })
                }

                /// The message.
                #[must_use]
                pub const fn message(&self) -> &#libbus::message::Message {
                    &self.0
                }
            }

            #(#conditions)*
            #[doc = #arguments_doc]
            #[allow(dead_code, missing_docs, reason = "not all programs need all of it")]
            #visibility struct #arguments<'s> {
                #(pub #names: #types,)*
                phantom: ::core::marker::PhantomData<&'s ()>,
            }

            #(#conditions)*
            impl ::core::fmt::Debug for #arguments<'_> {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_struct(::core::stringify!(#arguments)).finish_non_exhaustive()
                }
            }

            #(#conditions)*
            #[allow(dead_code, missing_docs, reason = "not all programs need all of it")]
            impl<'s> #arguments<'s> {
                #(
                    #[must_use]
                    pub const fn #names(&self) -> &#types {
                        &self.#names
                    }
                )*
            }
        };
        Ok((function, beside))
    }
}

fn must_fail(function: &TraitItemFn) -> syn::Error {
    let what = function.sig.output.to_token_stream();
    let text = format!("a call may fail: return a `Result` (it is `{what}`)");
    syn::Error::new(function.sig.span(), text)
}

/// References that name no lifetime point into the signal.
struct Borrowed;

impl Borrowed {
    fn lifetime() -> Lifetime {
        Lifetime::new("'s", Span::call_site())
    }
}

impl VisitMut for Borrowed {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if reference.lifetime.as_ref().is_none_or(|lifetime| lifetime.ident == "_") {
            reference.lifetime = Some(Self::lifetime());
        }
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = Self::lifetime();
        }
    }
}
