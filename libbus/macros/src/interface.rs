//! `#[interface]`: the methods of a type as an interface of D-Bus.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned as _;
use syn::{
    Attribute, FnArg, Generics, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Receiver,
    ReceiverKind, Signature, Type, Visibility,
};

use crate::attributes::{
    EmitsChanged, Style, conditions, crate_path, doc_of, flag, is_deprecated, parse_arguments,
    parse_property, returned, take_ours, text, typed, unknown,
};
use crate::names::pascal_case;

mod for_proxy;

use self::for_proxy::{Kind, ProxyFunction, ProxyOptions};

pub(crate) fn expand(
    arguments: TokenStream,
    item: TokenStream,
    style: Style,
) -> syn::Result<TokenStream> {
    let options = Options::parse(arguments)?;
    if style == Style::Blocking && options.is_concurrent {
        let text = "calls of one sender are served one after the other here; use libbus::interface";
        return Err(syn::Error::new(Span::call_site(), text));
    }
    let block: ItemImpl = syn::parse2(item)?;
    Interface::collect(block, options, style)?.write()
}

/// What the macro itself is told.
struct Options {
    name: Option<LitStr>,
    is_concurrent: bool,
    has_docs: bool,
    /// The proxy that is wanted, too.
    proxy: Option<ProxyOptions>,
    libbus: TokenStream,
    libbus_name: Option<LitStr>,
}

impl Options {
    fn parse(arguments: TokenStream) -> syn::Result<Self> {
        let (mut name, mut path) = (None, None);
        let (mut is_concurrent, mut has_docs, mut proxy) = (false, true, None);
        parse_arguments(arguments, |meta| {
            match () {
                () if meta.path.is_ident("name") || meta.path.is_ident("interface") => {
                    name = Some(text(&meta)?);
                }
                () if meta.path.is_ident("crate") => path = Some(text(&meta)?),
                () if meta.path.is_ident("spawn") => is_concurrent = flag(&meta)?,
                () if meta.path.is_ident("introspection_docs") => has_docs = flag(&meta)?,
                () if meta.path.is_ident("proxy") => proxy = Some(ProxyOptions::parse(&meta)?),
                () => return Err(unknown(&meta, "name, spawn, introspection_docs, proxy, crate")),
            }
            Ok(())
        })?;
        let libbus = crate_path(path.as_ref())?;
        Ok(Self { name, is_concurrent, has_docs, proxy, libbus, libbus_name: path })
    }
}

/// A signal: a function without a body, which is no item of an implementation to others.
struct Declaration {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
}

impl Parse for Declaration {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let (visibility, signature) = (input.parse()?, input.parse()?);
        input.parse::<syn::Token![;]>()?;
        Ok(Self { attributes, visibility, signature })
    }
}

/// Where an argument comes from.
enum Source {
    /// The message: the type that is read, and whether the function wants a reference to it.
    Message {
        read: Box<Type>,
        is_borrowed: bool,
    },
    Connection,
    ObjectServer,
    Header,
    Emitter {
        is_borrowed: bool,
    },
}

struct Parameter {
    name: Ident,
    /// What it is called where it is read: nothing there has such a name.
    local: Ident,
    source: Source,
}

struct Function {
    ident: Ident,
    dbus_name: String,
    doc: String,
    conditions: Vec<Attribute>,
    is_deprecated: bool,
    is_async: bool,
    /// `&mut self`
    is_exclusive: bool,
    parameters: Vec<Parameter>,
    output: Type,
    is_result: bool,
    out_names: Vec<String>,
}

#[derive(Default)]
struct Property {
    name: String,
    getter: Option<Function>,
    setter: Option<Function>,
    emits: EmitsChanged,
}

struct Signal {
    declaration: Declaration,
    dbus_name: String,
    doc: String,
    arguments: Vec<(Ident, Type)>,
}

/// What one function is told to be.
#[derive(Default)]
struct Told {
    name: Option<LitStr>,
    out_names: Vec<String>,
    property: Option<EmitsChanged>,
    is_signal: bool,
    /// For the proxy.
    proxy: for_proxy::ToldForProxy,
}

impl Told {
    fn take(attributes: &mut Vec<Attribute>) -> syn::Result<Self> {
        let mut told = Self::default();
        take_ours(attributes, |meta| {
            match () {
                () if meta.path.is_ident("name") => told.name = Some(text(&meta)?),
                () if meta.path.is_ident("property") => {
                    told.property = Some(parse_property(&meta)?);
                }
                () if meta.path.is_ident("signal") => told.is_signal = true,
                () if meta.path.is_ident("out_args") => {
                    let content;
                    syn::parenthesized!(content in meta.input);
                    let names =
                        content.parse_terminated(<LitStr as Parse>::parse, syn::Token![,])?;
                    told.out_names = names.iter().map(LitStr::value).collect();
                }
                () if meta.path.is_ident("proxy") => told.proxy = for_proxy::told(&meta)?,
                () => return Err(unknown(&meta, "name, property, signal, out_args, proxy")),
            }
            Ok(())
        })?;
        Ok(told)
    }
}

struct Interface {
    block: ItemImpl,
    options: Options,
    style: Style,
    name: String,
    methods: Vec<Function>,
    properties: Vec<Property>,
    signals: Vec<Signal>,
    /// What a proxy has, if one is wanted.
    of_proxy: Vec<ProxyFunction>,
}

impl Interface {
    fn collect(mut block: ItemImpl, options: Options, style: Style) -> syn::Result<Self> {
        if let Some((path, _)) = &block.trait_ {
            return Err(syn::Error::new(path.span(), "the methods of a trait cannot be served"));
        }
        let name = match &options.name {
            Some(name) => checked(name, zbus_utils::names::validate_interface_name)?,
            None => {
                let text = "the interface needs a name: #[interface(name = \"org.example.Name\")]";
                return Err(syn::Error::new(Span::call_site(), text));
            }
        };
        let mut interface = Self {
            block: block.clone(),
            options,
            style,
            name,
            methods: Vec::new(),
            properties: Vec::new(),
            signals: Vec::new(),
            of_proxy: Vec::new(),
        };
        let mut kept = Vec::new();
        for item in block.items {
            match item {
                ImplItem::Fn(function) => kept.push(ImplItem::Fn(interface.add(function)?)),
                ImplItem::Verbatim(tokens) => interface.add_signal(syn::parse2(tokens)?)?,
                other => kept.push(other),
            }
        }
        block.items = kept;
        interface.block.items = block.items;
        Ok(interface)
    }

    /// Notes a function with a body, and answers what is left of it.
    fn add(&mut self, mut function: ImplItemFn) -> syn::Result<ImplItemFn> {
        let told = Told::take(&mut function.attrs)?;
        if told.is_signal {
            let text = "a signal has no body: write `;` for it";
            return Err(syn::Error::new(function.block.span(), text));
        }
        let ident = &function.sig.ident;
        let Some(receiver) = function.sig.receiver().cloned() else {
            let text = "what is served takes `&self` or `&mut self`; put other functions in another `impl`";
            return Err(syn::Error::new(ident.span(), text));
        };
        let is_exclusive = is_exclusive(&receiver)?;
        if self.style == Style::Blocking && function.sig.asyncness.is_some() {
            let text =
                "nothing waits for a future here: use libbus::interface, or a plain function";
            return Err(syn::Error::new(function.sig.asyncness.span(), text));
        }
        let rust_name = ident.to_string();
        let set_name = rust_name.strip_prefix("set_");
        let inputs = function.sig.inputs.iter_mut().skip(1);
        let parameters = inputs.map(parameter).collect::<syn::Result<Vec<_>>>()?;
        let values = parameters.iter().filter(|one| matches!(one.source, Source::Message { .. }));
        let value_count = values.count();
        let is_setter = told.property.is_some() && value_count == 1;
        let plain = if is_setter { set_name.unwrap_or(&rust_name) } else { &rust_name };
        let dbus_name = match &told.name {
            Some(name) if told.property.is_some() => {
                checked(name, zbus_utils::names::validate_property_name)?
            }
            Some(name) => checked(name, zbus_utils::names::validate_member_name)?,
            None => pascal_case(plain),
        };
        let (output, is_result) = returned(&function.sig.output);
        let doc = if self.options.has_docs { doc_of(&function.attrs) } else { String::new() };
        let noted = Function {
            ident: ident.clone(),
            dbus_name: dbus_name.clone(),
            doc,
            conditions: conditions(&function.attrs),
            is_deprecated: is_deprecated(&function.attrs),
            is_async: function.sig.asyncness.is_some(),
            is_exclusive,
            parameters,
            output,
            is_result,
            out_names: told.out_names,
        };
        if self.options.proxy.is_some() {
            let kind = match (told.property, is_setter) {
                (None, _) => Kind::Method,
                (Some(_), true) => Kind::Setter,
                (Some(_), false) => Kind::Getter,
            };
            let (attributes, signature) = (&function.attrs, &function.sig);
            self.of_proxy.push(ProxyFunction::of(kind, attributes, signature, &noted, told.proxy));
        }
        let Some(emits) = told.property else {
            self.methods.push(noted);
            return Ok(function);
        };
        if value_count > 1 {
            let text =
                "a property is read by a function without an argument and set by one with one";
            return Err(syn::Error::new(function.sig.span(), text));
        }
        let index = self.properties.iter().position(|known| known.name == dbus_name);
        let index = index.unwrap_or_else(|| {
            self.properties.push(Property { name: dbus_name, ..Property::default() });
            self.properties.len() - 1
        });
        if let Some(property) = self.properties.get_mut(index) {
            if emits != EmitsChanged::default() {
                property.emits = emits;
            }
            let place = if is_setter { &mut property.setter } else { &mut property.getter };
            *place = Some(noted);
        }
        Ok(function)
    }

    fn add_signal(&mut self, mut declaration: Declaration) -> syn::Result<()> {
        let told = Told::take(&mut declaration.attributes)?;
        let signature = &declaration.signature;
        if !told.is_signal {
            let text = "a function without a body is a signal: write #[zbus(signal)] before it";
            return Err(syn::Error::new(signature.span(), text));
        }
        let dbus_name = match &told.name {
            Some(name) => checked(name, zbus_utils::names::validate_member_name)?,
            None => pascal_case(&signature.ident.to_string()),
        };
        let mut inputs = signature.inputs.iter();
        let is_emitter =
            |input: &FnArg| input.to_token_stream().to_string().contains("SignalEmitter");
        if !inputs.next().is_some_and(is_emitter) {
            let text =
                "the first argument of a signal is what emits it: `emitter: &SignalEmitter<'_>`";
            return Err(syn::Error::new(signature.span(), text));
        }
        let wrong = |input: &FnArg| syn::Error::new(input.span(), "an argument needs a name");
        let arguments = inputs
            .map(|input| {
                let (name, declared) = typed(input).ok_or_else(|| wrong(input))?;
                Ok((name.clone(), (*declared.ty).clone()))
            })
            .collect::<syn::Result<Vec<_>>>()?;
        let doc =
            if self.options.has_docs { doc_of(&declaration.attributes) } else { String::new() };
        self.signals.push(Signal { declaration, dbus_name, doc, arguments });
        Ok(())
    }

    /// Whether a value of it is locked while it is used.
    fn is_locked(&self) -> bool {
        let accessors = self.properties.iter().flat_map(|one| [&one.getter, &one.setter]);
        let mut functions = self.methods.iter().chain(accessors.flatten());
        functions.any(|function| function.is_exclusive)
    }

    fn write(&self) -> syn::Result<TokenStream> {
        let block = &self.block;
        let (own, interface) = (self.own_functions(), self.implementation());
        let (signals, proxy) = (self.signals_trait()?, self.proxy()?);
        Ok(quote! {
            #block
            #own
            #interface
            #signals
            #proxy
        })
    }

    /// Functions of the type for its signals and changes.
    fn own_functions(&self) -> TokenStream {
        let Self { style, name, options: Options { libbus, .. }, .. } = self;
        let (keyword, wait, module) = (style.keyword(), style.wait(), style.module(libbus));
        let signals = self.signals.iter().map(|signal| {
            let Signal { declaration, dbus_name, arguments, .. } = signal;
            let Declaration { attributes, visibility, signature } = declaration;
            let emitter = emitter_of(signature);
            let values = arguments.iter().map(|(name, _)| name);
            quote! {
                #(#attributes)*
                #[allow(dead_code, reason = "some programs emit them by the trait")]
                #visibility #signature {
                    #emitter.emit(#name, #dbus_name, &(#(#values,)*))#wait
                }
            }
        });
        let changes = self.properties.iter().filter_map(|property| {
            let getter = property.getter.as_ref()?;
            let ident = unraw(&getter.ident);
            let (changed, invalidated) =
                (format_ident!("{ident}_changed"), format_ident!("{ident}_invalidated"));
            let (dbus_name, conditions) = (&property.name, &getter.conditions);
            let value = self.read(getter, &quote!(self), &from_emitter());
            let changed_doc =
                format!("Tells that the property {dbus_name} has changed, and to what.");
            let invalidated_doc = format!("Tells that the property {dbus_name} has changed.");
            let tell = match getter.is_exclusive {
                // It cannot be read here.
                true => TokenStream::new(),
                false => quote! {
                    #(#conditions)*
                    #[doc = #changed_doc]
                    #[allow(dead_code, clippy::unused_async, reason = "written for all properties")]
                    pub #keyword fn #changed(
                        &self,
                        emitter: &#module::SignalEmitter<'_>,
                    ) -> #libbus::Result<()> {
                        match #value {
                            Some(value) => emitter.property_changed(#name, #dbus_name, &value)#wait,
                            None => emitter.property_invalidated(#name, #dbus_name)#wait,
                        }
                    }
                },
            };
            Some(quote! {
                #tell
                #(#conditions)*
                #[doc = #invalidated_doc]
                #[allow(dead_code, clippy::unused_self, reason = "written for all properties")]
                pub #keyword fn #invalidated(
                    &self,
                    emitter: &#module::SignalEmitter<'_>,
                ) -> #libbus::Result<()> {
                    emitter.property_invalidated(#name, #dbus_name)#wait
                }
            })
        });
        let items: Vec<TokenStream> = signals.chain(changes).collect();
        if items.is_empty() {
            return TokenStream::new();
        }
        let target = &self.block.self_ty;
        let (generics, _, bounds) = self.block.generics.split_for_impl();
        quote! {
            impl #generics #target #bounds {
                #(#items)*
            }
        }
    }

    /// The signals as functions of what emits them.
    fn signals_trait(&self) -> syn::Result<TokenStream> {
        let Self { style, name, options: Options { libbus, .. }, .. } = self;
        let is_plain = self.block.generics.params.is_empty();
        let Some(own_name) = last_name(&self.block.self_ty).filter(|_| is_plain) else {
            return Ok(TokenStream::new());
        };
        if self.signals.is_empty() {
            return Ok(TokenStream::new());
        }
        let (wait, module) = (style.wait(), style.module(libbus));
        let trait_name = format_ident!("{own_name}Signals");
        let target = &self.block.self_ty;
        let doc = format!("The signals of `{own_name}`.");
        let head = |signal: &Signal| {
            let ident = &signal.declaration.signature.ident;
            let mut generics = Generics::default();
            let arguments =
                signal.arguments.iter().map(|(name, declared)| quote!(#name: #declared));
            generics.params.extend(signal.declaration.signature.generics.params.clone());
            let parameters = quote!((&self, #(#arguments),*));
            match style {
                Style::Blocking => quote!(fn #ident #generics #parameters -> #libbus::Result<()>),
                Style::Async => quote! {
                    fn #ident #generics #parameters
                        -> impl ::core::future::Future<Output = #libbus::Result<()>> + Send
                },
            }
        };
        let declared = self.signals.iter().map(|signal| {
            let (head, attributes) = (head(signal), &signal.declaration.attributes);
            quote!(#(#attributes)* #head;)
        });
        let body = |signal: &Signal, emitter: TokenStream| {
            let (head, dbus_name) = (head(signal), &signal.dbus_name);
            let values: Vec<&Ident> = signal.arguments.iter().map(|(name, _)| name).collect();
            let emit = quote!(#emitter.emit(#name, #dbus_name, &(#(#values,)*))#wait);
            let conditions = conditions(&signal.declaration.attributes);
            match style {
                Style::Blocking => quote!(#(#conditions)* #head { #emit }),
                Style::Async => {
                    let head = async_head(signal, libbus);
                    quote!(#(#conditions)* #head { #emit })
                }
            }
        };
        let of_emitter = self.signals.iter().map(|signal| body(signal, quote!(self)));
        let of_reference =
            self.signals.iter().map(|signal| body(signal, quote!(self.signal_emitter())));
        Ok(quote! {
            #[doc = #doc]
            #[allow(dead_code, reason = "some programs emit them otherwise")]
            pub trait #trait_name {
                #(#declared)*
            }
            impl #trait_name for #module::SignalEmitter<'_> {
                #(#of_emitter)*
            }
            impl #trait_name for #module::InterfaceRef<#target> {
                #(#of_reference)*
            }
        })
    }

    fn implementation(&self) -> TokenStream {
        let Self { style, options: Options { libbus, .. }, .. } = self;
        let description = self.description();
        let target = &self.block.self_ty;
        let (generics, _, bounds) = self.block.generics.split_for_impl();
        let style_type = match style {
            Style::Async => quote!(#libbus::Async),
            Style::Blocking => quote!(#libbus::blocking::Blocking),
        };
        let cell = match (self.is_locked(), style) {
            (false, _) => quote!(#libbus::server::Shared<Self>),
            (true, Style::Async) => quote!(#libbus::server::Exclusive<Self>),
            (true, Style::Blocking) => quote!(#libbus::server::ExclusiveBlocking<Self>),
        };
        let methods = self.methods.iter().map(|method| self.method_arm(method));
        let getters = self.properties.iter().filter_map(|property| {
            let getter = property.getter.as_ref()?;
            let (name, conditions) = (&property.name, &getter.conditions);
            let read = self.call(getter, &quote!(this), &from_call(true));
            let answer = answer(getter, &quote!(reply_property));
            let arm = self.arm(
                getter.is_async,
                getter.is_exclusive,
                &quote!(),
                quote! {
                    let result = #read;
                    #answer
                },
            );
            Some(quote!(#(#conditions)* #name => #arm))
        });
        let setters = self.properties.iter().filter_map(|property| self.setter_arm(property));
        let all = self.properties.iter().filter_map(|property| {
            let getter = property.getter.as_ref()?;
            let (name, conditions) = (&property.name, &getter.conditions);
            let value = self.read(getter, &quote!(this), &from_emitter());
            Some(quote! {
                #(#conditions)*
                if let Some(value) = #value {
                    properties.add(#name, &value);
                }
            })
        });
        let any_exclusive_getter = self
            .properties
            .iter()
            .filter_map(|property| property.getter.as_ref())
            .any(|getter| getter.is_exclusive);
        let lock = self.lock(any_exclusive_getter);
        quote! {
            #[automatically_derived]
            #[allow(
                unused_variables,
                unused_mut,
                unreachable_code,
                deprecated,
                clippy::all,
                clippy::pedantic,
                reason = "written for all interfaces"
            )]
            impl #generics #libbus::server::Interface<#style_type> for #target #bounds {
                const DESCRIPTION: &'static #libbus::server::Description = &#description;
                type Cell = #cell;

                fn call(
                    cell: &::std::sync::Arc<Self::Cell>,
                    call: &#libbus::server::Call<#style_type>,
                    member: &str,
                ) -> #libbus::server::Dispatch {
                    match member {
                        #(#methods)*
                        _ => #libbus::server::Dispatch::Unknown,
                    }
                }

                fn get(
                    cell: &::std::sync::Arc<Self::Cell>,
                    call: &#libbus::server::Call<#style_type>,
                    property: &str,
                ) -> #libbus::server::Dispatch {
                    match property {
                        #(#getters)*
                        _ => #libbus::server::Dispatch::Unknown,
                    }
                }

                fn set(
                    cell: &::std::sync::Arc<Self::Cell>,
                    call: &#libbus::server::Call<#style_type>,
                    property: &str,
                ) -> #libbus::server::Dispatch {
                    match property {
                        #(#setters)*
                        _ => #libbus::server::Dispatch::Unknown,
                    }
                }

                fn get_all<'a>(
                    cell: &'a Self::Cell,
                    emitter: &'a #libbus::server::SignalEmitter<'static, #style_type>,
                    properties: &'a mut #libbus::server::PropertyMap,
                ) -> #libbus::server::Task<'a> {
                    ::std::boxed::Box::pin(async move {
                        #lock
                        #(#all)*
                    })
                }
            }
        }
    }

    fn description(&self) -> TokenStream {
        let Self { name, options: Options { libbus, is_concurrent, has_docs, .. }, .. } = self;
        let signature = |declared: &Type| quote!(<#declared as #libbus::Type>::SIGNATURE);
        let methods = self.methods.iter().map(|method| {
            let Function { dbus_name, doc, conditions, is_deprecated, output, out_names, .. } =
                method;
            let inputs = method.parameters.iter().filter_map(|parameter| {
                let Source::Message { read, .. } = &parameter.source else { return None };
                let (name, signature) = (unraw(&parameter.name), signature(read));
                Some(quote!((#name, #signature)))
            });
            let output = signature(output);
            quote! {
                #(#conditions)*
                #libbus::server::MethodDescription {
                    name: #dbus_name,
                    doc: #doc,
                    inputs: &[#(#inputs),*],
                    output_names: &[#(#out_names),*],
                    output: #output,
                    is_deprecated: #is_deprecated,
                }
            }
        });
        let properties = self.properties.iter().filter_map(|property| {
            let Property { name, getter, setter, emits } = property;
            let shown = getter.as_ref().or(setter.as_ref())?;
            let Function { doc, conditions, is_deprecated, .. } = shown;
            let declared = match (getter, setter) {
                (Some(getter), _) => getter.output.clone(),
                (None, setter) => value_of(setter.as_ref()?)?.clone(),
            };
            let (signature, emits) = (signature(&declared), emits.variant());
            let (is_readable, is_writable) = (getter.is_some(), setter.is_some());
            Some(quote! {
                #(#conditions)*
                #libbus::server::PropertyDescription {
                    name: #name,
                    doc: #doc,
                    signature: #signature,
                    is_readable: #is_readable,
                    is_writable: #is_writable,
                    emits_changed: #libbus::server::EmitsChanged::#emits,
                    is_deprecated: #is_deprecated,
                }
            })
        });
        let signals = self.signals.iter().map(|signal| {
            let Signal { declaration, dbus_name, doc, arguments } = signal;
            let conditions = conditions(&declaration.attributes);
            let is_deprecated = is_deprecated(&declaration.attributes);
            let arguments = arguments.iter().map(|(name, declared)| {
                let (name, signature) = (unraw(name), signature(declared));
                quote!((#name, #signature))
            });
            quote! {
                #(#conditions)*
                #libbus::server::SignalDescription {
                    name: #dbus_name,
                    doc: #doc,
                    arguments: &[#(#arguments),*],
                    is_deprecated: #is_deprecated,
                }
            }
        });
        let doc = if *has_docs { doc_of(&self.block.attrs) } else { String::new() };
        quote! {
            #libbus::server::Description {
                name: #name,
                doc: #doc,
                is_concurrent: #is_concurrent,
                methods: &[#(#methods),*],
                properties: &[#(#properties),*],
                signals: &[#(#signals),*],
            }
        }
    }

    fn method_arm(&self, method: &Function) -> TokenStream {
        let Function { dbus_name, conditions, .. } = method;
        let values: Vec<(&Ident, &Type)> = method
            .parameters
            .iter()
            .filter_map(|parameter| match &parameter.source {
                Source::Message { read, .. } => Some((&parameter.local, &**read)),
                _ => None,
            })
            .collect();
        let (names, types): (Vec<&Ident>, Vec<&Type>) = values.into_iter().unzip();
        let read = quote! {
            let (#(#names,)*) = match call.arguments::<(#(#types,)*)>() {
                Ok(arguments) => arguments,
                Err(error) => {
                    call.refuse(&error);
                    end!();
                }
            };
        };
        let (run, answer) =
            (self.call(method, &quote!(this), &from_call(false)), answer(method, &quote!(reply)));
        let arm = self.arm(
            method.is_async,
            method.is_exclusive,
            &read,
            quote! {
                let result = #run;
                #answer
            },
        );
        quote!(#(#conditions)* #dbus_name => #arm)
    }

    fn setter_arm(&self, property: &Property) -> Option<TokenStream> {
        let setter = property.setter.as_ref()?;
        let Self { name, style, .. } = self;
        let (dbus_name, conditions) = (&property.name, &setter.conditions);
        let declared = value_of(setter)?;
        let value = setter.parameters.iter().find_map(|parameter| {
            matches!(parameter.source, Source::Message { .. }).then_some(&parameter.local)
        })?;
        let read = quote! {
            let #value = match call.new_value::<#declared>() {
                Ok(value) => value,
                Err(error) => {
                    call.refuse(&error);
                    end!();
                }
            };
        };
        let run = self.call(setter, &quote!(this), &from_call(true));
        let check = match setter.is_result {
            true => quote! {
                if let Err(error) = result {
                    call.refuse(&error);
                    end!();
                }
            },
            false => TokenStream::new(),
        };
        let wait = style.wait();
        let invalidate = quote!(emitter.property_invalidated(#name, #dbus_name)#wait);
        let getter = property.getter.as_ref().filter(|getter| !getter.is_exclusive);
        let tell = match (property.emits, getter) {
            (EmitsChanged::True, Some(getter)) => {
                let current = self.read(getter, &quote!(this), &from_emitter());
                quote! {
                    let told = match #current {
                        Some(value) => emitter.property_changed(#name, #dbus_name, &value)#wait,
                        None => #invalidate,
                    };
                }
            }
            (EmitsChanged::True | EmitsChanged::Invalidates, _) => quote!(let told = #invalidate;),
            (EmitsChanged::Const | EmitsChanged::False, _) => TokenStream::new(),
        };
        // Who set it knows of the change when it has the answer.
        let run = quote! {
            let result = #run;
            #check
            {
                let emitter = &call.signal_emitter();
                #tell
            }
            call.reply(&());
        };
        let waits = setter.is_async || *style == Style::Async;
        let arm = self.arm(waits, setter.is_exclusive, &read, run);
        Some(quote!(#(#conditions)* #dbus_name => #arm))
    }

    /// What answers one call, here or as a task.
    fn arm(
        &self,
        is_async: bool,
        is_exclusive: bool,
        read: &TokenStream,
        run: TokenStream,
    ) -> TokenStream {
        let libbus = &self.options.libbus;
        let lock = self.lock(is_exclusive);
        let is_task = self.style == Style::Async && (is_async || self.is_locked());
        match is_task {
            true => quote! {{
                let (cell, call) = (::std::sync::Arc::clone(cell), call.clone());
                macro_rules! end {
                    () => {
                        return
                    };
                }
                #libbus::server::Dispatch::Pending(::std::boxed::Box::pin(async move {
                    #read
                    #lock
                    #run
                }))
            }},
            false => quote! {{
                macro_rules! end {
                    () => {
                        return #libbus::server::Dispatch::Done
                    };
                }
                #read
                #lock
                #run
                #libbus::server::Dispatch::Done
            }},
        }
    }

    /// Gets the value as `this`.
    fn lock(&self, is_exclusive: bool) -> TokenStream {
        let wait = self.style.wait();
        match (self.is_locked(), is_exclusive) {
            (false, _) => quote!(let this = cell.get();),
            (true, false) => quote! {
                let guard = cell.read()#wait;
                let this = &*guard;
            },
            (true, true) => quote! {
                let mut guard = cell.write()#wait;
                let this = &mut *guard;
            },
        }
    }

    /// Calls a function of the type.
    fn call(&self, function: &Function, this: &TokenStream, from: &From) -> TokenStream {
        let ident = &function.ident;
        let arguments = function.parameters.iter().map(|parameter| {
            let name = &parameter.local;
            match &parameter.source {
                Source::Message { is_borrowed: true, .. } => quote!(&#name),
                Source::Message { .. } => quote!(#name),
                Source::Connection => from.connection.clone(),
                Source::ObjectServer => from.object_server.clone(),
                Source::Header => from.header.clone(),
                Source::Emitter { is_borrowed: false } => from.emitter.clone(),
                Source::Emitter { is_borrowed: true } => {
                    let emitter = &from.emitter;
                    quote!(&#emitter)
                }
            }
        });
        let wait = if function.is_async { quote!(.await) } else { TokenStream::new() };
        quote!(Self::#ident(#this, #(#arguments),*)#wait)
    }

    /// The value of a property, unless reading it fails.
    fn read(&self, getter: &Function, this: &TokenStream, from: &From) -> TokenStream {
        let call = self.call(getter, this, from);
        match getter.is_result {
            true => quote!(#call.ok()),
            false => quote!(Some(#call)),
        }
    }
}

/// Where arguments come from that are none of the message.
struct From {
    connection: TokenStream,
    object_server: TokenStream,
    header: TokenStream,
    emitter: TokenStream,
}

/// A property may be read without a call.
fn from_call(is_property: bool) -> From {
    From {
        connection: quote!(call.connection()),
        object_server: quote!(&call.object_server()),
        header: if is_property { quote!(Some(call.header())) } else { quote!(call.header()) },
        emitter: quote!(call.signal_emitter()),
    }
}

fn from_emitter() -> From {
    From {
        connection: quote!(emitter.connection()),
        object_server: quote!(&emitter.connection().object_server()),
        header: quote!(None),
        emitter: quote!(emitter.clone()),
    }
}

fn answer(function: &Function, reply: &TokenStream) -> TokenStream {
    match function.is_result {
        true => quote! {
            match result {
                Ok(value) => call.#reply(&value),
                Err(error) => call.refuse(&error),
            }
        },
        false => quote!(call.#reply(&result);),
    }
}

fn async_head(signal: &Signal, libbus: &TokenStream) -> TokenStream {
    let Signal { declaration, arguments, .. } = signal;
    let (ident, generics) = (&declaration.signature.ident, &declaration.signature.generics);
    let arguments = arguments.iter().map(|(name, declared)| quote!(#name: #declared));
    quote!(async fn #ident #generics (&self, #(#arguments),*) -> #libbus::Result<()>)
}

/// The type that a setter takes.
fn value_of(setter: &Function) -> Option<&Type> {
    setter.parameters.iter().find_map(|parameter| match &parameter.source {
        Source::Message { read, .. } => Some(&**read),
        _ => None,
    })
}

fn emitter_of(signature: &Signature) -> Ident {
    let first = signature.inputs.first().and_then(typed);
    first.map_or_else(|| Ident::new("emitter", Span::call_site()), |(name, _)| name.clone())
}

fn is_exclusive(receiver: &Receiver) -> syn::Result<bool> {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => Ok(mutability.is_some()),
        _ => Err(syn::Error::new(receiver.span(), "what is served takes `&self` or `&mut self`")),
    }
}

/// Takes what an argument is told, and notes what it is.
fn parameter(argument: &mut FnArg) -> syn::Result<Parameter> {
    let span = argument.span();
    let mut source = None;
    if let FnArg::Typed(declared) = argument {
        let is_borrowed = matches!(&*declared.ty, Type::Reference(_));
        take_ours(&mut declared.attrs, |meta| {
            source = Some(match () {
                () if meta.path.is_ident("connection") => Source::Connection,
                () if meta.path.is_ident("object_server") => Source::ObjectServer,
                () if meta.path.is_ident("header") => Source::Header,
                () if meta.path.is_ident("signal_emitter") => Source::Emitter { is_borrowed },
                () => {
                    let known = "connection, object_server, header, signal_emitter";
                    return Err(unknown(&meta, known));
                }
            });
            Ok(())
        })?;
    }
    let wrong = || syn::Error::new(span, "an argument needs a name");
    let (name, declared) = typed(argument).ok_or_else(wrong)?;
    let source = source.unwrap_or_else(|| match &*declared.ty {
        Type::Reference(reference) if !is_borrowable(&reference.elem) => {
            Source::Message { read: reference.elem.clone(), is_borrowed: true }
        }
        _ => Source::Message { read: declared.ty.clone(), is_borrowed: false },
    });
    Ok(Parameter { name: name.clone(), local: format_ident!("argument_{}", unraw(name)), source })
}

/// Whether a reference to it can point into the message.
fn is_borrowable(referred: &Type) -> bool {
    match referred {
        Type::Slice(slice) => matches!(&*slice.elem, Type::Path(path) if path.path.is_ident("u8")),
        Type::Path(path) => path.path.is_ident("str"),
        _ => false,
    }
}

fn last_name(target: &Type) -> Option<&Ident> {
    let Type::Path(path) = target else { return None };
    path.path.segments.last().map(|segment| &segment.ident)
}

/// A name without `r#`.
pub(crate) fn unraw(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map_or(name.clone(), ToOwned::to_owned)
}

/// A name of D-Bus as it is written.
pub(crate) fn checked<E: std::fmt::Debug>(
    name: &LitStr,
    check: impl FnOnce(&[u8]) -> Result<(), E>,
) -> syn::Result<String> {
    match check(name.value().as_bytes()) {
        Ok(()) => Ok(name.value()),
        Err(_) => {
            let text = format!("{:?} is no name of that kind in D-Bus", name.value());
            Err(syn::Error::new(name.span(), text))
        }
    }
}
