//! Standard output, or the pager that shows it.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

use crate::failure::Result;
use crate::options::{JsonForm, Options};
use crate::output::escape;

/// Where data goes.
pub(crate) struct Out {
    writer: BufWriter<Box<dyn Write>>,
    // INVARIANT: after the writer, which is dropped first then and by that tells the pager that this was all.
    pager: Option<Pager>,
}

/// Who shows it has the terminal until it was looked at, however the command ends.
struct Pager(Child);

impl Drop for Pager {
    fn drop(&mut self) {
        // Who cannot be waited for has gone.
        let _ = self.0.wait();
    }
}

impl Out {
    /// Standard output as it is.
    pub(crate) fn plain() -> Self {
        Self { writer: BufWriter::new(Box::new(io::stdout())), pager: None }
    }

    /// Through a pager, if a person is there to see it (`$BUS_PAGER`, `$PAGER`, else less).
    pub(crate) fn paged(options: &Options) -> Self {
        Self::paged_by("BUS_PAGER", options)
    }

    /// The same, where this variable says before `$PAGER` which pager it is.
    pub(crate) fn paged_by(variable: &str, options: &Options) -> Self {
        let is_wanted = !options.no_pager && options.json().is_none() && io::stdout().is_terminal();
        // A pager needs more of a terminal.
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        match (is_wanted && !is_dumb).then(|| start_pager(variable)).flatten() {
            Some((pager, input)) => Self { writer: BufWriter::new(input), pager: Some(pager) },
            None => Self::plain(),
        }
    }

    pub(crate) const fn has_pager(&self) -> bool {
        self.pager.is_some()
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.writer, "{line}").map_err(Into::into)
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())
    }

    /// What others wrote, over several lines: as it is for a file or a program, and harmless for a terminal.
    pub(crate) fn foreign_text(&mut self, text: &str) -> Result<()> {
        match io::stdout().is_terminal() {
            true => self.text(&escape::lines(text)),
            false => self.text(text),
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(Into::into)
    }

    /// One value, in the form that is wanted.
    pub(crate) fn json(&mut self, form: JsonForm, json: &Json) -> Result<()> {
        self.text(&json_text(form, json)?)
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(Into::into)
    }

    /// All is written, and was looked at.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush()
    }
}

/// One value as a text that ends with its line, and does nothing to a terminal.
pub(crate) fn json_text(form: JsonForm, json: &Json) -> Result<String> {
    let written = match form {
        JsonForm::Pretty => serde_json::to_string_pretty(json),
        _ => serde_json::to_string(json),
    };
    Ok(escape::json(&written.map_err(io::Error::from)?) + "\n")
}

fn start_pager(variable: &str) -> Option<(Pager, Box<dyn Write>)> {
    let chosen = [variable, "PAGER"].iter().find_map(std::env::var_os);
    let command =
        chosen.map_or_else(|| Some("less".to_owned()), |value| value.into_string().ok())?;
    let mut words = command.split_whitespace();
    let program = words.next().filter(|program| *program != "cat")?;
    let mut pager = Command::new(program);
    pager.args(words).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // Ends at once if all fits, keeps colours, does not wrap, leaves the text on the screen.
        pager.env("LESS", "FRSX");
    }
    let mut pager = pager.spawn().ok()?;
    let input = pager.stdin.take()?;
    Some((Pager(pager), Box::new(input)))
}
