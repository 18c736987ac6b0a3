//! `bus call` (tools.md D007, D037, D067).

use std::io::Read as _;
use std::time::Duration;

use bus_introspect::Node;
use clap::Args;
use libbus::MethodCall;
use libbus::blocking::Connection;
use libbus::message::Message;
use libbus::names::{BusName, InterfaceName, MemberName, NameError, ObjectPath};

use crate::failure::{Failure, Reason, Result};
use crate::introspection;
use crate::options::Options;
use crate::output::escape::{plain, shell_word};
use crate::output::out::Out;
use crate::value::words::ArgumentError;
use crate::value::{
    Arguments, Value, example, flat, gvariant, json, json_text, parse_signature, types, words,
};

/// How long an object may take to tell what it has, where that is a convenience.
const TOLD_TIME_MAX: Duration = Duration::from_secs(1);
/// Bytes of JSON that are read.
const JSON_SIZE_MAX: u64 = 64 << 20;

/// Call a method and show what it returns
///
/// The types of the arguments are those that the object tells of itself; with --signature and INTERFACE it is not asked. An
/// argument is a word as it stands for texts and numbers, GVariant's text form (['a', 'b'], {'key': <1>}, (1, 'x'))
/// or busctl's (2 a b). @FILE is a file's content, for a descriptor the file itself; fd:3 is one that is open.
#[derive(Args, Debug)]
#[command(override_usage = "bus call [OPTIONS] NAME PATH INTERFACE.METHOD [ARGUMENT]...")]
pub(crate) struct Call {
    /// Who, which object, what: NAME PATH INTERFACE.METHOD, or METHOD, of which interface the object chooses; and what
    /// it is told. With --peer there is no NAME
    #[arg(value_name = "WORD", num_args = 1.., required = true, allow_negative_numbers = true)]
    words: Vec<String>,

    /// The types of the arguments
    #[arg(short = 's', long, value_name = "SIGNATURE", value_parser = parse_signature)]
    signature: Option<String>,

    /// The arguments are JSON, on standard input or of this file: an array, or {"data": […]}
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    json_in: Option<String>,

    /// Values over several lines, with the names of their types
    #[arg(long)]
    verbose: bool,

    /// Values as GVariant text, as gdbus shows them
    #[arg(long, conflicts_with = "verbose")]
    gvariant: bool,

    #[command(flatten)]
    how: How,
}

/// How to call.
#[derive(Args, Clone, Debug)]
pub(crate) struct How {
    /// Do not wait for a reply
    #[arg(long)]
    no_reply: bool,

    /// Do not start a service that is not running
    #[arg(long)]
    no_auto_start: bool,

    /// The service may ask the user whether this is allowed
    #[arg(short, long)]
    interactive: bool,
}

/// What is called: the parts before the arguments.
pub(crate) struct Target<'w> {
    pub(crate) destination: Option<&'w str>,
    pub(crate) path: &'w str,
    pub(crate) interface: Option<&'w str>,
    pub(crate) member: &'w str,
    pub(crate) arguments: &'w [String],
}

/// Which method is meant, and what it takes.
struct Method {
    interface: Option<String>,
    signature: String,
}

impl Call {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let target = Target::of(&self.words, options)?;
        // What is no name is told before anybody is asked.
        target.call()?;
        let connection = options.connect()?;
        let method = self.method(&target, &connection)?;
        let arguments = self.arguments(&target, &method.signature)?;
        let interface = method.interface.as_deref();
        let call = self.how.apply(Target { interface, ..target }.call()?);
        if self.how.no_reply {
            connection.call_no_reply(&call, &arguments)?;
            return Ok(());
        }
        let reply = connection.call(&call, &arguments)?;
        self.print(&reply, options)
    }

    /// What is typed says it, or the object does: many take no call without an interface, and what is missing is better
    /// told here than by them.
    fn method(&self, target: &Target<'_>, connection: &Connection) -> Result<Method> {
        let typed = || Method {
            interface: target.interface.map(ToOwned::to_owned),
            signature: self.signature.clone().unwrap_or_default(),
        };
        if target.interface.is_some() && self.signature.is_some() {
            return Ok(typed());
        }
        let can_do_without =
            self.signature.is_some() || (target.arguments.is_empty() && self.json_in.is_none());
        // An object that is slow to tell keeps nobody from a call that is typed whole.
        let is_whole = can_do_without && target.interface.is_some();
        let node = match self.ask(target, connection, is_whole.then_some(TOLD_TIME_MAX)) {
            Ok(reply) => introspection::read(&reply).map(|(_, node)| node),
            Err(error) if can_do_without && is_nobody(&error) => return Err(error.into()),
            Err(error) => Err(error.into()),
        };
        let node = match node {
            Ok(node) => node,
            Err(failure) if failure.reason == Reason::Unreachable => return Err(failure),
            // It may have the method all the same.
            Err(_) if can_do_without => return Ok(typed()),
            Err(failure) => {
                let what = "the types of the arguments are";
                return Err(introspection::untold(failure, what, "give them with --signature"));
            }
        };
        let mut found = introspection::methods(&node, target.interface, target.member);
        if let Some(signature) = &self.signature {
            found.retain(|(_, method)| method.input_signature() == *signature);
        }
        match target.only(&found, self.json_in.is_some())? {
            Some(method) => Ok(method),
            None if is_whole || self.signature.is_some() => Ok(typed()),
            None => Err(target.no_such_method(&node)),
        }
    }

    fn ask(
        &self,
        target: &Target<'_>,
        connection: &Connection,
        time_max: Option<Duration>,
    ) -> libbus::Result<Message> {
        let question = introspection::question(target.destination, target.path)?;
        let question = match time_max {
            Some(time_max) => question.timeout(Some(time_max)),
            None => question,
        };
        connection.call(&self.how.apply(question), &())
    }

    fn arguments(&self, target: &Target<'_>, signature: &str) -> Result<Arguments> {
        if let Some(file) = &self.json_in {
            if !target.arguments.is_empty() {
                return Err(Failure::usage("with --json-in there are no arguments as words"));
            }
            return read_json(file, signature);
        }
        let made = words::arguments(signature, target.arguments);
        made.map_err(|error| wrong_argument(&error, target.arguments, signature))
    }

    fn print(&self, reply: &Message, options: &Options) -> Result<()> {
        let values = Value::of_message(reply);
        if options.quiet || (values.is_empty() && options.json().is_none()) {
            return Ok(());
        }
        let mut out = Out::plain();
        match options.json() {
            Some(form) => out.json(form, &json::body_to_json(&values))?,
            None if self.gvariant => {
                let mut text = String::new();
                gvariant::print_tuple(&mut text, &values);
                out.line(&text)?;
            }
            None => out.text(&body_text(&values, self.verbose))?,
        }
        out.finish()
    }
}

/// What a reply or a signal carries, in busctl's form.
pub(crate) fn body_text(values: &[Value], is_verbose: bool) -> String {
    let signature: String = values.iter().map(Value::signature).collect();
    let mut text = String::new();
    if is_verbose {
        values.iter().for_each(|value| flat::write_verbose(&mut text, value));
        return text;
    }
    flat::write_row(&mut text, values);
    format!("{signature} {text}\n")
}

impl How {
    pub(crate) fn apply<'a>(&self, call: MethodCall<'a>) -> MethodCall<'a> {
        call.auto_start(!self.no_auto_start).interactive_authorization(self.interactive)
    }
}

impl<'w> Target<'w> {
    pub(crate) fn of(words: &'w [String], options: &Options) -> Result<Self> {
        let (destination, rest) = match (options.bus.is_peer(), words) {
            (true, rest) => (None, rest),
            (false, [name, rest @ ..]) => (Some(name.as_str()), rest),
            (false, []) => (None, words),
        };
        let [path, member, arguments @ ..] = rest else {
            return Err(expected("NAME PATH INTERFACE.METHOD [ARGUMENT]...", options));
        };
        if !path.starts_with('/') {
            let text = format!("{path:?} is no object path: one begins with a slash");
            return Err(Failure::usage(text).hint("`bus tree NAME` shows the objects of a service"));
        }
        let word = member;
        let (interface, member) = split_member(word);
        if member.is_empty() {
            let text = format!("{word:?} is no INTERFACE.METHOD: after the dot there is nothing");
            return Err(Failure::usage(text));
        }
        if interface.is_some_and(|name| InterfaceName::parse(name).is_err())
            && InterfaceName::parse(word).is_ok()
        {
            return Err(two_words(word, arguments));
        }
        Ok(Self { destination, path, interface, member, arguments })
    }

    pub(crate) fn call(&self) -> Result<MethodCall<'w>> {
        let (destination, path) = place(self.destination, self.path)?;
        let mut call = MethodCall::new(path, named("method", self.member, MemberName::parse)?)?;
        if let Some(name) = destination {
            call = call.destination(name)?;
        }
        if let Some(name) = self.interface {
            call = call.interface(named("interface", name, InterfaceName::parse)?)?;
        }
        Ok(call)
    }

    /// The one method of those that the object tells of, if there is any.
    fn only(
        &self,
        found: &[(&str, &bus_introspect::Method)],
        is_json: bool,
    ) -> Result<Option<Method>> {
        let Some((interface, _)) = found.first() else { return Ok(None) };
        let mut names: Vec<String> =
            found.iter().map(|(name, _)| self.of_interface(name)).collect();
        names.dedup();
        if names.len() > 1 {
            let text = format!("several interfaces have a method {}", self.member);
            return Err(Failure::usage(text).hint(format!("say which one: {}", names.join(", "))));
        }
        let mut forms: Vec<String> =
            found.iter().map(|(_, method)| method.input_signature()).collect();
        forms.dedup();
        // As many arguments as were typed tell which form is meant, since busctl's text may take more words than one.
        let fits = |form: &&String| types(form).len() == self.arguments.len();
        let fitting: Vec<&String> = forms.iter().filter(fits).collect();
        let signature = match (forms.as_slice(), fitting.as_slice()) {
            ([only], _) => only,
            (_, [only]) if !is_json => *only,
            _ => {
                let text = format!("the object has a method {} in several forms", self.member);
                let forms: Vec<String> =
                    forms.iter().map(|form| format!("-s {}", shell_word(&plain(form)))).collect();
                return Err(
                    Failure::usage(text).hint(format!("say which one: {}", forms.join(", ")))
                );
            }
        };
        // A name that is none is not sent: the method may be found without it.
        let interface = Some(*interface).filter(|name| InterfaceName::parse(name).is_ok());
        Ok(Some(Method {
            interface: interface.map(ToOwned::to_owned),
            signature: signature.clone(),
        }))
    }

    /// The method of another interface, as it can be typed.
    fn of_interface(&self, interface: &str) -> String {
        shell_word(&plain(&format!("{interface}.{}", self.member)))
    }

    fn no_such_method(&self, node: &Node) -> Failure {
        let what = self.interface.map_or_else(
            || self.member.to_owned(),
            |interface| format!("{interface}.{}", self.member),
        );
        let failure = Failure::refused(format!("the object tells of no method {}", plain(&what)));
        if let (true, Some(method)) = (node.interface(&what).is_some(), self.arguments.first())
            && MemberName::parse(method).is_ok()
        {
            return failure.hint(format!("interface and method are one word: {what}.{method}"));
        }
        let near = introspection::methods(node, None, self.member);
        match (near.first(), self.destination) {
            (Some((interface, _)), _) => {
                failure.hint(format!("there is {}", self.of_interface(interface)))
            }
            (None, Some(name)) => failure.hint(format!(
                "`bus introspect {} {}` shows what it has; with --signature it is called all the same",
                plain(name),
                self.path
            )),
            (None, None) => failure.hint("with --signature it is called all the same"),
        }
    }
}

/// An interface stands where interface and method are one word.
fn two_words(interface: &str, after: &[String]) -> Failure {
    let failure = Failure::usage(format!("{interface:?} is an interface, and no INTERFACE.METHOD"));
    match after.first().filter(|method| MemberName::parse(method).is_ok()) {
        Some(method) => {
            failure.hint(format!("interface and method are one word: {interface}.{method}"))
        }
        None => failure,
    }
}

/// Whether there is nobody who could be called.
fn is_nobody(error: &libbus::Error) -> bool {
    let libbus::Error::Method(error) = error else { return false };
    error.name().strip_prefix("org.freedesktop.DBus.Error.").is_some_and(|name| {
        matches!(name, "ServiceUnknown" | "NameHasNoOwner") || name.starts_with("Spawn.")
    })
}

/// A name, or which word is none and why.
pub(crate) fn named<'w, T>(
    what: &str,
    word: &'w str,
    parse: impl FnOnce(&'w str) -> std::result::Result<T, NameError>,
) -> Result<T> {
    parse(word).map_err(|error| Failure::usage(format!("{word:?} is no {what}: {error}")))
}

/// Too few words. With --peer there is no NAME.
pub(crate) fn expected(words: &str, options: &Options) -> Failure {
    let without = words.strip_prefix("NAME ").filter(|_| options.bus.is_peer());
    Failure::usage(format!("expected {}", without.unwrap_or(words)))
}

/// Who and which object, or which of the words is none.
pub(crate) fn place<'w>(
    destination: Option<&'w str>,
    path: &'w str,
) -> Result<(Option<BusName<'w>>, ObjectPath<'w>)> {
    let name = destination.map(|name| named("bus name", name, BusName::parse)).transpose()?;
    Ok((name, named("object path", path, ObjectPath::parse)?))
}

/// `INTERFACE.METHOD`, or `METHOD`, of which interface the object chooses.
pub(crate) fn split_member(word: &str) -> (Option<&str>, &str) {
    match word.rsplit_once('.') {
        Some((interface, member)) => (Some(interface), member),
        None => (None, word),
    }
}

/// An argument that does not fit, with a caret under it.
pub(crate) fn wrong_argument(error: &ArgumentError, words: &[String], signature: &str) -> Failure {
    let pointing = error.pointing("", words);
    let whole = if signature.is_empty() { "no arguments".to_owned() } else { signature.to_owned() };
    let failure = Failure::usage(format!("{error}\n{pointing}\n  the types are: {whole}"));
    let example = || example(signature).map(|words| format!("for example: {words}"));
    match error.hint.clone().or_else(example) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

const JSON_EXAMPLE: &str =
    "for example: [\"text\", 5, [1, 2], {\"key\": {\"type\": \"u\", \"data\": 1}}]";

fn read_json(file: &str, signature: &str) -> Result<Arguments> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().take(JSON_SIZE_MAX).read_to_string(&mut text),
        file => std::fs::File::open(file)
            .and_then(|file| file.take(JSON_SIZE_MAX).read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::usage(format!("cannot read the JSON: {error}")))?;
    let parsed = json_text::parse(&text).map_err(|error| {
        Failure::usage(format!("the JSON cannot be read: {error}")).hint(JSON_EXAMPLE)
    })?;
    json::arguments(signature, &parsed).map_err(|error| {
        let text = format!("the JSON does not fit {signature}: at {}: {}", error.place, error.what);
        let text = plain(&text);
        Failure::usage(text).hint(JSON_EXAMPLE)
    })
}
