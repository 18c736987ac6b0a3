//! `bus capture`: what is said on the bus, in a file that other programs read (tools.md D004, D050).

use std::fs::OpenOptions;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use libbus::Error;

use super::monitor::wanted::Wanted;
use super::monitor::{MessageKind, begin};
use crate::capture::{Section, Writer};
use crate::failure::{Failure, Result};
use crate::options::Options;

/// Write messages to a file as they are sent, for `bus trace`, `bus replay`, Wireshark and others
///
/// What is written is whole after each message, so that the file can be read while it grows.
#[derive(Args, Debug)]
pub(crate) struct Capture {
    #[command(flatten)]
    wanted: Wanted,

    /// Where to; standard output without it, which is to be no terminal
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// As what
    #[arg(long, value_enum, default_value = "pcapng")]
    format: Format,

    /// Keep only so many bytes of each message
    #[arg(long, value_name = "BYTES")]
    size: Option<u32>,

    /// End after so many messages
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,
}

/// Formats of captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With times in nanoseconds and who wrote it
    Pcapng,
    /// Its predecessor, with microseconds
    Pcap,
    /// Messages in a row without times, as dbus-monitor --binary writes them
    Raw,
}

impl Capture {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("capture")?;
        let deadline = options.deadline();
        if self.output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::usage("a capture is no text for a terminal")
                .hint("write it to a file: bus capture -o FILE"));
        }
        let (mut watcher, mut calls) = begin(&self.wanted, &MessageKind::ALL, options)?;
        // What is in the file already is given up for a capture alone.
        let mut writer = self.begin()?;
        if !options.quiet {
            complain!("bus: capturing; end it with Ctrl-C");
        }
        let mut left = self.count;
        while left != Some(0) {
            let message = match watcher.next(deadline) {
                Ok(message) => message,
                Err(Error::TimedOut(_)) => break,
                // All that was seen is written by now.
                Err(Error::Closed) => return Err(Failure::closed()),
                Err(error) => return Err(error.into()),
            };
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let Some((message, ..)) = calls.see(now, message) else { continue };
            writer.write(now, message.bytes())?;
            writer.flush()?;
            left = left.map(|left| left - 1);
        }
        Ok(())
    }

    fn begin(&self) -> Result<Writer<BufWriter<Box<dyn Write>>>> {
        let out: Box<dyn Write> = match &self.output {
            Some(path) => {
                let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
                Box::new(file.map_err(|error| {
                    let why = libbus::host::phrase(&error);
                    Failure::refused(format!("cannot write {}: {why}", path.display()))
                })?)
            }
            None => Box::new(io::stdout()),
        };
        let out = BufWriter::new(out);
        let section = Section {
            system: Some("Linux"),
            application: Some(concat!("bus ", env!("CARGO_PKG_VERSION"))),
        };
        Ok(match self.format {
            Format::Pcapng => Writer::pcapng(out, section, self.size)?,
            Format::Pcap => Writer::pcap(out, self.size)?,
            Format::Raw => Writer::raw(out),
        })
    }
}
