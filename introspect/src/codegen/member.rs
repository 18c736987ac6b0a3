//! The members of an interface, as proxies and servers have them.
//!
//! Both have the same functions in the same order and under the same names; a [`Side`] says what is
//! not the same.

use super::checked::place_of;
use super::error::{CodegenError, CodegenFault};
use super::layout::{BRACE, Head, Meta, Source};
use super::names::{self, MemberNames};
use super::types::{Form, Type};
use super::{FIELD_COUNT_MAX, RUST_SIZE_MAX};
use crate::document::{documentation, rustdoc};
use crate::model::{Annotation, Arg, EmitsChangedSignal, Interface, Method, Property, Signal};
use crate::origin::Origin;

/// What signals return, on both sides.
pub(super) const RESULT: &str = "libbus::Result";

/// What functions return that do nothing yet.
const NOT_SUPPORTED: &str = "libbus::fdo::Error::NotSupported";

/// What is not the same for proxies and servers.
pub(super) struct Side {
    /// How a method takes its arguments.
    pub(super) inputs: Form,
    /// How a setter takes the value.
    pub(super) value: Form,
    /// How a signal's function takes the arguments, and what comes before them.
    pub(super) signal: Form,
    pub(super) emitter: &'static str,
    pub(super) signal_keywords: &'static str,
    /// Names that an argument of a signal cannot have.
    pub(super) reserved_in_signals: &'static [&'static str],
    /// What methods and properties return, without the value's type.
    pub(super) result: &'static str,
    pub(super) body: Body,
}

/// What functions do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// What the macro makes them do.
    None,
    /// Nothing yet.
    NotSupported,
}

/// What is said of a function before it begins.
struct Remarks {
    is_deprecated: bool,
    metas: Vec<Meta>,
}

/// The members in their order: methods, properties, signals.
pub(super) fn write(
    source: &mut Source,
    interface: &Interface,
    side: &Side,
) -> Result<(), CodegenError> {
    let names = MemberNames::of(interface);
    let mut writer = Writer { source, interface, side, place: place_of(interface), is_first: true };
    for (method, name) in interface.methods.iter().zip(&names.methods) {
        writer.method(method, name)?;
    }
    for (property, name) in interface.properties.iter().zip(&names.properties) {
        writer.property(property, name)?;
    }
    for (signal, name) in interface.signals.iter().zip(&names.signals) {
        writer.signal(signal, name)?;
    }
    Ok(())
}

/// A member in complaints.
struct Member {
    place: String,
    origin: Origin,
}

struct Writer<'a> {
    source: &'a mut Source,
    interface: &'a Interface,
    side: &'a Side,
    place: String,
    is_first: bool,
}

impl Writer<'_> {
    fn method(&mut self, method: &Method, name: &str) -> Result<(), CodegenError> {
        let member = Member { place: format!("method {}", method.name), origin: method.origin };
        // Without a reply nothing comes back, whatever the description promises.
        let outputs = if method.is_no_reply() { &[][..] } else { &method.outputs[..] };
        let names = self.argument_names(&method.inputs, &[], &member)?;
        let parameters =
            self.parameters(&method.inputs, &names, self.side.inputs, (&member, "input"))?;
        let output_names = self.argument_names(outputs, &[], &member)?;
        let values = self.parameters(outputs, &output_names, Form::Owned, (&member, "output"))?;

        self.begin(&method.annotations, &format!("The method `{}`.", method.name));
        self.list("Arguments:", &method.inputs, &names);
        self.list("Returns:", outputs, &output_names);
        let mut metas: Vec<Meta> = name_meta(name, &method.name).into_iter().collect();
        match self.side.body {
            Body::None if method.is_no_reply() => metas.push(Meta::Word("no_reply".to_owned())),
            Body::NotSupported => metas.extend(output_meta(outputs)),
            Body::None => {}
        }
        let remarks = Remarks { is_deprecated: method.is_deprecated(), metas };
        let value = Type::of_reply(values.into_iter().map(|(_, of)| of).collect());
        self.function(&remarks, names::identifier(name), parameters, value, &method.name)
    }

    fn property(&mut self, property: &Property, name: &str) -> Result<(), CodegenError> {
        let place = format!("property {}", property.name);
        let of = |form| {
            let of = Type::of(&property.signature, form);
            of.map_err(|fault| fault.at(&[&self.place, &place], property.origin))
        };
        let (value, set_value) = (of(Form::Owned)?, of(self.side.value)?);
        let remarks = |meta| Remarks {
            is_deprecated: property.is_deprecated(),
            metas: std::iter::once(meta).chain(name_meta(name, &property.name)).collect(),
        };
        let is_readable = property.access.is_readable();
        if is_readable {
            self.begin(&property.annotations, &format!("The property `{}`.", property.name));
            let remarks = remarks(getter_meta(self.interface.emits_changed_signal(property)));
            let name = names::identifier(name);
            self.function(&remarks, name, Vec::new(), value, &property.name)?;
        }
        if property.access.is_writable() {
            let annotations = if is_readable { &[][..] } else { &property.annotations[..] };
            self.begin(annotations, &format!("Sets the property `{}`.", property.name));
            let remarks = remarks(Meta::Word("property".to_owned()));
            let parameters = vec![("value".to_owned(), set_value)];
            let name = format!("set_{name}");
            self.function(&remarks, name, parameters, Type::NOTHING, &property.name)?;
        }
        Ok(())
    }

    fn signal(&mut self, signal: &Signal, name: &str) -> Result<(), CodegenError> {
        let side = self.side;
        let member = Member { place: format!("signal {}", signal.name), origin: signal.origin };
        let names = self.argument_names(&signal.arguments, side.reserved_in_signals, &member)?;
        let parameters =
            self.parameters(&signal.arguments, &names, side.signal, (&member, "argument"))?;

        self.begin(&signal.annotations, &format!("The signal `{}`.", signal.name));
        self.list("Arguments:", &signal.arguments, &names);
        let word = Meta::Word("signal".to_owned());
        let metas = std::iter::once(word).chain(name_meta(name, &signal.name)).collect();
        self.remarks(&Remarks { is_deprecated: signal.is_deprecated(), metas });
        self.source.function(&Head {
            keywords: side.signal_keywords,
            name: names::identifier(name),
            receiver: side.emitter,
            parameters,
            result: Type::Generic(RESULT, vec![Type::NOTHING]),
            end: ";",
        });
        check_size(self.source)
    }

    /// A method, or a property's getter or setter, of the D-Bus name `member`.
    fn function(
        &mut self,
        remarks: &Remarks,
        name: String,
        parameters: Vec<(String, Type)>,
        value: Type,
        member: &str,
    ) -> Result<(), CodegenError> {
        self.remarks(remarks);
        let names: Vec<String> = parameters.iter().map(|(name, _)| name.clone()).collect();
        self.source.function(&Head {
            keywords: "fn",
            name,
            receiver: "&self",
            parameters,
            result: Type::Generic(self.side.result, vec![value]),
            end: if self.side.body == Body::None { ";" } else { BRACE },
        });
        if self.side.body == Body::NotSupported {
            self.source.within(|source| {
                source.let_go(&names);
                source.nested_call("Err", NOT_SUPPORTED, member);
            });
            self.source.line("}");
        }
        check_size(self.source)
    }

    /// Begins a function with what is known of it, or else `subject`.
    fn begin(&mut self, annotations: &[Annotation], subject: &str) {
        if !self.is_first {
            self.source.line("");
        }
        self.is_first = false;
        let lines = rustdoc::lines(documentation(annotations), self.source.words_width());
        if lines.is_empty() {
            self.source.documentation(&[subject.to_owned()]);
        } else {
            self.source.documentation(&lines);
        }
    }

    /// What is known of arguments.
    fn list(&mut self, title: &str, arguments: &[Arg], names: &[String]) {
        let width = self.source.words_width();
        let with_words = arguments.iter().zip(names).filter_map(|(argument, name)| {
            let words = documentation(&argument.annotations);
            (!words.trim().is_empty()).then(|| rustdoc::item(name, words, width))
        });
        let items: Vec<String> = with_words.flatten().collect();
        if !items.is_empty() {
            self.source.documentation(&[String::new(), title.to_owned(), String::new()]);
            self.source.documentation(&items);
        }
    }

    fn remarks(&mut self, remarks: &Remarks) {
        // The dispatcher calls a server's functions, and would be warned.
        if remarks.is_deprecated && self.side.body == Body::None {
            self.source.line("#[deprecated]");
        }
        if !remarks.metas.is_empty() {
            self.source.attribute("zbus", &remarks.metas);
        }
    }

    fn argument_names(
        &self,
        arguments: &[Arg],
        reserved: &[&str],
        member: &Member,
    ) -> Result<Vec<String>, CodegenError> {
        if arguments.len() > FIELD_COUNT_MAX {
            return Err(
                CodegenFault::TooManyArguments.at(&[&self.place, &member.place], member.origin)
            );
        }
        Ok(names::of_arguments(arguments, reserved))
    }

    fn parameters(
        &self,
        arguments: &[Arg],
        names: &[String],
        form: Form,
        (member, kind): (&Member, &str),
    ) -> Result<Vec<(String, Type)>, CodegenError> {
        let parameter = |(index, (argument, name)): (usize, (&Arg, &String))| {
            let of = Type::of(&argument.signature, form).map_err(|fault| {
                let place = format!("{kind} {}", index + 1);
                fault.at(&[&self.place, &member.place, &place], argument.origin)
            })?;
            Ok((names::identifier(name), of))
        };
        arguments.iter().zip(names).enumerate().map(parameter).collect()
    }
}

/// The name, if the macros would take the Rust name for another.
fn name_meta(rust: &str, name: &str) -> Option<Meta> {
    let is_clear = names::pascal_case(rust) == name;
    (!is_clear).then(|| Meta::Word(format!("name = \"{name}\"")))
}

/// What is said when a property changes, if it is not the value.
fn getter_meta(said: EmitsChangedSignal) -> Meta {
    Meta::Word(match said {
        EmitsChangedSignal::True => "property".to_owned(),
        _ => format!("property(emits_changed_signal = \"{}\")", said.as_str()),
    })
}

/// The names of what a method returns, if there are any to tell or several to tell apart.
fn output_meta(outputs: &[Arg]) -> Option<Meta> {
    let is_told = outputs.len() > 1 || outputs.iter().any(|output| output.name.is_some());
    let name = |(index, output): (usize, &Arg)| match &output.name {
        Some(name) => format!("\"{}\"", name.escape_default()),
        None => format!("\"arg_{index}\""),
    };
    is_told.then(|| Meta::List("out_args", outputs.iter().enumerate().map(name).collect()))
}

/// Comments on an interface.
pub(super) fn document_interface(
    source: &mut Source,
    interface: &Interface,
) -> Result<(), CodegenError> {
    let mut lines = vec![format!("The interface `{}`.", interface.name)];
    let more = rustdoc::lines(documentation(&interface.annotations), source.words_width());
    if !more.is_empty() {
        lines.push(String::new());
        lines.extend(more);
    }
    source.documentation(&lines);
    check_size(source)
}

fn check_size(source: &Source) -> Result<(), CodegenError> {
    if source.size() > RUST_SIZE_MAX {
        return Err(CodegenError::nowhere(CodegenFault::TooLarge));
    }
    Ok(())
}
