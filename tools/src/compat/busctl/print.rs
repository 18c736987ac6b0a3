//! Values as busctl prints them (tools.md D031, D032), and where they go.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::os::fd::AsRawFd as _;

use libbus::message::Message;

use super::Result;
use super::colours::{Colours, Look, is_dumb};
use super::json::Json;
use super::options::{JsonMode, Options};
use crate::options::{JsonForm, Options as Shared};
use crate::output::escape;
use crate::output::out::Out;
use crate::value::Value;
use crate::value::flat::{self, Form};

/// How far a level is moved to the right.
pub(super) const STEP: &str = "        ";

/// What can be typed again; all but ASCII is escaped byte by byte.
pub(super) const TERSE: Form = Form { quoted: c_quoted, double, step: STEP, paint: ("", "") };
/// Texts as they are, for who reads them from a pipe.
const RAW: Form =
    Form { quoted: |text| format!("\"{text}\""), double, step: STEP, paint: ("", "") };
const SAFE: Form = Form {
    quoted: |text| format!("\"{}\"", escape::plain(text)),
    double,
    step: STEP,
    paint: ("", ""),
};

fn double(number: f64) -> String {
    flat::general(number, 6)
}

fn c_quoted(text: &str) -> String {
    let mut out = String::from('"');
    for byte in text.bytes() {
        // Writing to a string does not fail.
        let _ = match byte {
            7 => write!(out, "\\a"),
            8 => write!(out, "\\b"),
            b'\t' => write!(out, "\\t"),
            b'\n' => write!(out, "\\n"),
            11 => write!(out, "\\v"),
            12 => write!(out, "\\f"),
            b'\r' => write!(out, "\\r"),
            b'\\' | b'"' | b'\'' => write!(out, "\\{}", char::from(byte)),
            b' '..=b'~' => write!(out, "{}", char::from(byte)),
            byte => write!(out, "\\{byte:03o}"),
        };
    }
    out.push('"');
    out
}

/// Values over several lines.
pub(super) fn verbose() -> Form {
    let form = if std::io::stdout().is_terminal() { SAFE } else { RAW };
    let colours = Colours::wanted();
    Form { paint: (colours.start(Look::Highlight), colours.end()), ..form }
}

/// The arguments of a message. Descriptors are those of this process.
pub(super) fn values_of(message: &Message) -> Vec<Value> {
    let mut values = Value::of_message(message);
    if !message.fds().is_empty() {
        values.iter_mut().for_each(|value| number_fds(value, message));
    }
    values
}

fn number_fds(value: &mut Value, message: &Message) {
    match value {
        Value::UnixFd(index) => {
            let fd = message.fds().get(*index as usize);
            *index = fd.and_then(|fd| fd.as_raw_fd().try_into().ok()).unwrap_or(u32::MAX);
        }
        Value::Array { elements: values, .. } | Value::Struct(values) => {
            values.iter_mut().for_each(|value| number_fds(value, message));
        }
        Value::Dict { entries, .. } => entries.iter_mut().for_each(|(key, value)| {
            number_fds(key, message);
            number_fds(value, message);
        }),
        Value::Variant(inner) => number_fds(inner, message),
        _ => {}
    }
}

/// What a reply or a signal carries, if it carries anything.
///
/// # Errors
/// It cannot be written.
pub(super) fn body(options: &Options, message: &Message) -> Result<()> {
    let values = values_of(message);
    if values.is_empty() || options.is_quiet {
        return Ok(());
    }
    let signature = message.signature();
    let text = match options.json {
        Some(mode) => json_text(mode, &Json::body(message, &values)),
        None if options.is_verbose => format!("{}\n", verbose_body(message, &values, "")),
        None => {
            let mut text = format!("{} ", signature.as_str());
            TERSE.write_row(&mut text, &values);
            text.push('\n');
            text
        }
    };
    output(options, &text)
}

/// One value.
///
/// # Errors
/// It cannot be written.
pub(super) fn value(options: &Options, value: &Value) -> Result<()> {
    let signature = value.signature();
    let mut text = String::new();
    match options.json {
        Some(mode) => text = json_text(mode, &Json::typed(&signature, Json::of(value))),
        None if options.is_verbose => verbose().write_verbose(&mut text, value, ""),
        None => {
            text = format!("{signature} ");
            TERSE.write(&mut text, value);
            text.push('\n');
        }
    }
    output(options, &text)
}

/// `MESSAGE "su" { … };`, each line after `indent`.
pub(super) fn verbose_body(message: &Message, values: &[Value], indent: &str) -> String {
    let mut text = format!("{indent}MESSAGE \"{}\" {{\n", message.signature().as_str());
    let inner = format!("{indent}{STEP}");
    let form = verbose();
    values.iter().for_each(|value| form.write_verbose(&mut text, value, &inner));
    text + indent + "};\n"
}

pub(super) fn json_text(mode: JsonMode, json: &Json) -> String {
    let is_terminal = std::io::stdout().is_terminal();
    let is_pretty = match mode {
        JsonMode::Short => false,
        JsonMode::Pretty => true,
        JsonMode::Auto => is_terminal,
    };
    // On one line it is for programs, unless that is what suits where it goes.
    let colours = match mode {
        JsonMode::Short => Colours::None,
        JsonMode::Pretty | JsonMode::Auto => Colours::wanted(),
    };
    json.to_text(is_pretty, is_terminal, colours)
}

/// Prints a text, by way of a pager if somebody sits there.
///
/// # Errors
/// It cannot be written.
pub(super) fn output(options: &Options, text: &str) -> Result<()> {
    let mut out = open(options);
    out.text(text)?;
    Ok(out.finish()?)
}

/// Where a long output goes.
pub(super) fn open(options: &Options) -> Out {
    Out::paged_by("SYSTEMD_PAGER", &shared(options))
}

/// The same wishes in the words of `bus`.
pub(super) fn shared(options: &Options) -> Shared {
    // On one line JSON is for programs.
    let json = matches!(options.json, Some(JsonMode::Short)).then_some(JsonForm::Short);
    Shared { json, no_pager: !options.has_pager || is_dumb(), ..Shared::default() }
}
