//! `bus trace`: a picture of what was said, from a capture or live (tools.md D062).

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use libbus::Error;

use super::monitor::wanted::Wanted;
use super::monitor::{MessageKind, begin};
use crate::capture::Reader;
use crate::captured_file::{CapturedFile, Damages};
use crate::clock::now;
use crate::duration::parse_duration;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::options::Options;
use crate::progress::Progress;
use crate::trace::{
    Limits, MESSAGES_DEFAULT, MESSAGES_MAX, Recorder, Trace as Picture, write_html, write_svg,
};

/// Messages of a still picture unless more are wanted.
const STILL_DEFAULT: usize = 500;
/// How soon a wish to end is noticed while nothing is said.
const PATIENCE: Duration = Duration::from_millis(200);

/// Draw what was said on a bus
///
/// One HTML file that needs nothing else: a sequence diagram, a timeline, who talks to whom, and all messages with
/// filters. Of a damaged capture all whole messages are drawn, the damage is named, and the exit code is 1.
#[derive(Args, Debug)]
pub(crate) struct Trace {
    /// A capture (pcap, pcapng, dbus-monitor --binary), - for standard input; without one the bus is watched until
    /// Ctrl-C
    #[arg(value_name = "CAPTURE")]
    capture: Option<PathBuf>,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What to write; without it the ending of the file's name says
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Form>,

    /// Draw at most so many messages: 200000 as HTML and 500 as SVG if nothing is said
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = parse_count)]
    count: Option<usize>,

    /// Watch only what matches this rule; of several, any
    #[arg(long = "match", value_name = "RULE", conflicts_with = "capture")]
    rules: Vec<String>,

    /// Watch for so long
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, conflicts_with = "capture")]
    duration: Option<Duration>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A page to look around in
    Html,
    /// A still picture of the first messages
    Svg,
}

impl Trace {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        let is_terminal = self.output.is_none() && io::stdout().is_terminal();
        if is_terminal {
            let failure = Failure::usage("a picture is nothing for a terminal");
            return Err(failure.hint("write it to a file: --output=trace.html"));
        }
        self.check_ending()?;
        match &self.capture {
            Some(capture) => self.of_capture(capture, options),
            None => self.live(options),
        }
    }

    /// The ending of the file's name.
    fn ending(&self) -> Option<String> {
        Some(self.output.as_ref()?.extension()?.to_string_lossy().to_ascii_lowercase())
    }

    /// Whoever names a picture of another kind would not find it.
    fn check_ending(&self) -> Result<()> {
        match self.ending().as_deref() {
            Some(ending) if self.format.is_none() && !["html", "htm", "svg"].contains(&ending) => {
                Err(Failure::usage(format!(
                    "by its ending {ending:?} the file is neither HTML nor SVG"
                ))
                .hint("which of them is meant: --format=html or --format=svg"))
            }
            _ => Ok(()),
        }
    }

    fn form(&self) -> Form {
        let by_name = || match self.ending().as_deref() {
            Some("svg") => Form::Svg,
            _ => Form::Html,
        };
        self.format.unwrap_or_else(by_name)
    }

    /// A still picture needs no more messages than it shows, but it says how many there are.
    fn recorder(&self) -> Recorder {
        let messages_max = match self.form() {
            Form::Html => self.count.unwrap_or(MESSAGES_DEFAULT),
            Form::Svg => MESSAGES_DEFAULT.max(self.count.unwrap_or_default()),
        };
        // Rules say which calls are told of; the bus tells of all replies then.
        Recorder::new(&Limits { messages_max, only_known_replies: !self.rules.is_empty() })
    }

    fn of_capture(&self, capture: &Path, options: &Options) -> Result<()> {
        let file = CapturedFile::open(capture, "reading", !options.quiet)?;
        let (title, mut reader) = (file.title, file.reader);
        let mut recorder = self.recorder();
        let mut damages = Damages::default();
        for item in reader.by_ref() {
            match item {
                Ok(captured) => recorder.handle_captured(&captured),
                Err(damage) => damages.handle(damage),
            }
        }
        damages.notices().into_iter().for_each(|notice| recorder.handle_notice(notice));
        if reader.foreign_count() > 0 {
            let count = reader.foreign_count();
            recorder.handle_notice(format!("{count} packets are of other protocols than D-Bus."));
        }
        let source = source_of(&reader);
        drop(reader);
        self.write(&recorder.finish(&title, &source), options)?;
        damages.finish(&title)
    }

    fn live(&self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("trace")?;
        let interrupt = Interrupt::watch()?;
        let wanted = Wanted { rules: self.rules.clone(), ..Wanted::default() };
        let (mut watcher, mut calls) = begin(&wanted, &MessageKind::ALL, options)?;
        let progress = Progress::of_messages("watching", None, !options.quiet);
        let mut recorder = self.recorder();
        let end = self.duration.and_then(|duration| Instant::now().checked_add(duration));
        let is_over = || end.is_some_and(|end| end <= Instant::now()) || interrupt.is_wanted();
        let mut ended = Ok(());
        while !recorder.is_full() && !is_over() {
            let soon = Instant::now().checked_add(PATIENCE);
            match watcher.next(end.into_iter().chain(soon).min()) {
                Ok(message) => {
                    let time = now();
                    if let Some((message, ..)) = calls.see(time, message) {
                        recorder.handle_message(time, &message);
                        progress.step();
                    }
                }
                Err(Error::TimedOut(_)) => {}
                Err(error) if recorder.is_empty() => return Err(error.into()),
                Err(error) => {
                    recorder.handle_notice(format!("The bus ended the watching: {error}"));
                    ended = Err(error.into());
                    break;
                }
            }
        }
        drop(progress);
        self.write(&recorder.finish("What the bus said", "live"), options)?;
        ended
    }

    fn write(&self, picture: &Picture, options: &Options) -> Result<()> {
        let Some(output) = &self.output else {
            return Ok(self.write_to(picture, io::stdout().lock())?);
        };
        let written = File::create(output).and_then(|file| self.write_to(picture, file));
        written.map_err(|error| {
            let text = libbus::host::phrase(&error);
            Failure::refused(format!("cannot write {}: {text}", output.display()))
        })?;
        if !options.quiet {
            complain!("bus: {} are in {}", self.extent(picture), output.display());
        }
        Ok(())
    }

    /// Which messages are drawn: a still picture has the first ones alone.
    fn extent(&self, picture: &Picture) -> String {
        let drawn = self.still_count().min(picture.len());
        match self.form() {
            Form::Svg if drawn < picture.len() => {
                format!("the first {drawn} of {} messages", picture.len())
            }
            _ => format!("{} messages", picture.len()),
        }
    }

    fn still_count(&self) -> usize {
        self.count.unwrap_or(STILL_DEFAULT)
    }

    fn write_to(&self, picture: &Picture, out: impl Write) -> io::Result<()> {
        let out = BufWriter::new(out);
        match self.form() {
            Form::Html => write_html(picture, out),
            Form::Svg => write_svg(picture, self.still_count(), out),
        }
    }
}

fn source_of(reader: &Reader<impl io::Read>) -> String {
    let size = match reader.position() {
        bytes @ ..1_000 => format!("{bytes} bytes"),
        bytes @ ..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        bytes => format!("{:.1} MB", bytes as f64 / 1e6),
    };
    format!("{}, {size}", reader.format())
}

fn parse_count(text: &str) -> std::result::Result<usize, String> {
    let count = text.parse().map_err(|_| "this is no number".to_owned())?;
    if (1..=MESSAGES_MAX).contains(&count) {
        Ok(count)
    } else {
        Err(format!("1 to {MESSAGES_MAX}"))
    }
}
