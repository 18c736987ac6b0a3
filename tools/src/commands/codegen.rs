//! `bus codegen`: Rust and documentation of what objects describe, and what changed between two descriptions
//! (tools.md D041–D044).

use std::path::PathBuf;
use std::process::ExitCode;

use bus_introspect::{Change, CodegenError, CodegenFault, CodegenOptions, Impact, Node};
use clap::Args;
use serde_json::{Value as Json, json};

use self::source::Source;
use crate::failure::{Failure, Result};
use crate::options::Options;
use crate::output::escape::{plain, shell_word};
use crate::output::out::Out;
use crate::output::style::{Look, Style};

mod source;
mod tags;

/// Write Rust or documentation of interfaces, or compare two descriptions of them
///
/// The description is one or more files of introspection XML (`-`: standard input), or what an object of a running
/// service answers: NAME PATH, and perhaps those of its interfaces that are wanted.
#[derive(Args, Debug)]
#[command(override_usage = "bus codegen [OPTIONS] FILE...
       bus codegen [OPTIONS] NAME PATH [INTERFACE]...
       bus codegen [OPTIONS] --diff OLD NEW")]
pub(crate) struct Codegen {
    /// Files, or NAME PATH [INTERFACE…]; with --diff OLD and NEW, each a file, or NEW as NAME PATH
    #[arg(value_name = "WORD", num_args = 1.., required = true)]
    words: Vec<String>,

    #[command(flatten)]
    form: Form,

    #[command(flatten)]
    rust: Rust,

    /// Get over what breaks the rules of the format, and tell of each; else the first fault of a file ends it
    #[arg(long)]
    lenient: bool,

    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What is written.
#[derive(Args, Debug)]
#[group(multiple = false)]
struct Form {
    /// Rust: proxies, for programs that call the interfaces (the default)
    #[arg(long)]
    proxy: bool,

    /// Rust: types with all methods to fill in, for programs that offer the interfaces
    #[arg(long)]
    server: bool,

    /// Documentation, as Markdown
    #[arg(long)]
    markdown: bool,

    /// Documentation, as a page of HTML
    #[arg(long)]
    html: bool,

    /// The description itself, in one form whoever wrote it
    #[arg(long)]
    xml: bool,

    /// What changed from OLD to NEW: compatible, additive or breaking; exit code 1 if anything breaks
    #[arg(long)]
    diff: bool,
}

/// What Rust.
#[derive(Args, Debug)]
struct Rust {
    /// For libbus::blocking, without futures
    #[arg(long, conflicts_with_all = ["markdown", "html", "xml", "diff"])]
    blocking: bool,

    /// To be taken in by include!
    #[arg(long, conflicts_with_all = ["markdown", "html", "xml", "diff"])]
    include: bool,

    /// Leave out an interface, or one member: INTERFACE.MEMBER
    #[arg(long, value_name = "INTERFACE[.MEMBER]", conflicts_with_all = ["markdown", "html", "xml", "diff"])]
    without: Vec<String>,

    /// The service that proxies speak to unless told otherwise
    #[arg(long, value_name = "NAME", conflicts_with_all = ["server", "markdown", "html", "xml", "diff"])]
    service: Option<String>,

    /// The object that proxies speak to unless told otherwise
    #[arg(long, value_name = "PATH", conflicts_with_all = ["server", "markdown", "html", "xml", "diff"])]
    path: Option<String>,
}

impl Codegen {
    pub(crate) fn run(self, options: &Options) -> Result<ExitCode> {
        if self.form.diff {
            return self.diff(options);
        }
        if options.json().is_some() {
            return Err(Failure::usage("--json goes with --diff alone")
                .hint("`bus introspect --json` describes an object as JSON"));
        }
        let sources = Source::read_all(&self.words, self.lenient, options)?;
        self.write(&self.text(&sources)?, Out::foreign_text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self, sources: &[Source]) -> Result<String> {
        let node = merged(sources);
        Ok(match &self.form {
            Form { markdown: true, .. } => node.to_markdown(),
            Form { html: true, .. } => node.to_html(),
            Form { xml: true, .. } => node.to_xml(),
            Form { server: true, .. } => {
                let made = node.to_rust_servers(&self.rust.options(sources));
                made.map_err(|error| explain(&error, sources))?
            }
            _ => {
                let made = node.to_rust_proxies(&self.rust.options(sources));
                made.map_err(|error| explain(&error, sources))?
            }
        })
    }

    /// To the file, or as `print` does it.
    fn write(&self, text: &str, print: fn(&mut Out, &str) -> Result<()>) -> Result<()> {
        match &self.output {
            Some(file) => std::fs::write(file, text).map_err(|error| cannot_write(file, &error)),
            None => {
                let mut out = Out::plain();
                print(&mut out, text)?;
                out.finish()
            }
        }
    }

    fn diff(&self, options: &Options) -> Result<ExitCode> {
        let [old, new @ ..] = self.words.as_slice() else { return Err(two_wanted()) };
        let old = Source::read_file(old, self.lenient, options)?;
        let new = match Source::read_all(new, self.lenient, options)?.as_mut_slice() {
            [new] => new.take(),
            _ => return Err(two_wanted()),
        };
        let changes = old.node.diff(&new);
        let text = match options.json() {
            Some(form) => crate::output::out::json_text(form, &to_json(&changes))?,
            None => {
                let style = if self.output.is_some() { Style::off() } else { options.style() };
                changes.iter().map(|change| line(change, style)).collect()
            }
        };
        self.write(&text, Out::text)?;
        Ok(match Impact::worst(&changes) {
            Impact::Breaking => ExitCode::from(1),
            Impact::Additive | Impact::Compatible => ExitCode::SUCCESS,
        })
    }
}

impl Rust {
    fn options(&self, sources: &[Source]) -> CodegenOptions {
        let mut options = match sources {
            [Source { object: Some((Some(service), path)), .. }] => {
                CodegenOptions::of_object(service, path)
            }
            sources => {
                let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
                CodegenOptions::new().with_source(&names.join(", "))
            }
        };
        if let Some(service) = &self.service {
            options = options.with_default_service(service);
        }
        if let Some(path) = &self.path {
            options = options.with_default_path(path);
        }
        if self.blocking {
            options = options.blocking();
        }
        if self.include {
            options = options.for_include();
        }
        self.without.iter().fold(options, |options, name| options.without(name))
    }
}

/// All interfaces and objects of all descriptions, as one.
fn merged(sources: &[Source]) -> Node {
    if let [source] = sources {
        return source.node.clone();
    }
    let mut all = Node::new();
    for source in sources {
        all.interfaces.extend(source.node.interfaces.iter().cloned());
        all.children.extend(source.node.children.iter().cloned());
    }
    all
}

/// An error of what is described, at its line if it comes from a file.
fn explain(error: &CodegenError, sources: &[Source]) -> Failure {
    let member = || error.place.split(", ").collect::<Vec<_>>();
    let place = sources.iter().find_map(|source| source.find(&member()));
    let text = format!("{}: {}", error.place, error.fault);
    let text = plain(text.trim_start_matches(": "));
    let failure = Failure::refused(match place {
        Some(place) => format!("{place}: {text}"),
        None => text,
    });
    match (&error.fault, member().as_slice()) {
        (CodegenFault::DefaultService(_) | CodegenFault::DefaultPath(_), _) => {
            Failure::usage(failure.text)
        }
        (_, [interface, member, ..]) => {
            let (interface, member) = (last_word(interface), last_word(member));
            let name = shell_word(&format!("{interface}.{member}"));
            failure.hint(format!("--without={name} leaves it out"))
        }
        (_, [interface]) if !interface.is_empty() => {
            let name = shell_word(&last_word(interface));
            failure.hint(format!("--without={name} leaves it out"))
        }
        _ => failure,
    }
}

fn last_word(text: &str) -> String {
    plain(text.split_once(' ').map_or(text, |(_, name)| name))
}

fn two_wanted() -> Failure {
    Failure::usage("--diff takes two descriptions: OLD and NEW")
        .hint("bus codegen --diff old.xml new.xml, or: bus codegen --diff old.xml NAME PATH")
}

fn cannot_write(file: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::refused(plain(&format!(
        "cannot write {}: {}",
        file.display(),
        libbus::host::phrase(error)
    )))
}

fn line(change: &Change, style: Style) -> String {
    let look = match change.impact {
        Impact::Breaking => Look::Red,
        Impact::Additive => Look::Green,
        Impact::Compatible => Look::Dim,
    };
    let text = plain(&change.to_string());
    match text.split_once(':') {
        Some((impact, rest)) => format!("{}:{rest}\n", style.paint(look, impact)),
        None => format!("{text}\n"),
    }
}

fn to_json(changes: &[Change]) -> Json {
    let one = |change: &Change| {
        json!({
            "impact": change.impact.as_str(),
            "place": change.place,
            "change": change.kind.to_string(),
        })
    };
    json!({
        "impact": Impact::worst(changes).as_str(),
        "changes": changes.iter().map(one).collect::<Json>(),
    })
}
