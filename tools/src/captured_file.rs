//! A capture that was named on the command line, and how its damages are told.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use crate::capture::{Damage, Reader};
use crate::failure::{Failure, Result};
use crate::output::escape::plain;
use crate::progress::Progress;

/// Damages that are told one by one.
const DAMAGES_TOLD_MAX: usize = 20;

/// An open capture.
pub(crate) struct CapturedFile {
    /// What it is called.
    pub(crate) title: String,
    pub(crate) reader: Reader<Box<dyn Read>>,
    /// Shown as long as this is there.
    _progress: Progress,
}

impl CapturedFile {
    /// Opens a capture; `-` is standard input. Where a person looks on, a bar named `work` tells how far it is read.
    ///
    /// # Errors
    /// It cannot be opened, or is no capture of D-Bus messages.
    pub(crate) fn open(path: &Path, work: &'static str, shows_progress: bool) -> Result<Self> {
        let is_stdin = path.as_os_str() == "-";
        if is_stdin && io::stdin().is_terminal() {
            return Err(Failure::usage("a capture is not typed: name a file, or pipe one in"));
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        let title =
            if is_stdin { "standard input".to_owned() } else { plain(&name.to_string_lossy()) };
        let failed = |error: &dyn std::fmt::Display| {
            Failure::refused(format!("{}: {error}", plain(&path.to_string_lossy())))
        };
        let (source, size): (Box<dyn Read>, _) = match is_stdin {
            true => (Box::new(io::stdin()), None),
            false => {
                let file =
                    File::open(path).map_err(|error| failed(&libbus::host::phrase(&error)))?;
                let size =
                    file.metadata().ok().filter(|file| file.is_file()).map(|file| file.len());
                (Box::new(file), size)
            }
        };
        let progress = Progress::of_bytes(work, size, shows_progress);
        let source: Box<dyn Read> = Box::new(progress.reading(source));
        let reader = Reader::open(source).map_err(|error| failed(&error))?;
        Ok(Self { title, reader, _progress: progress })
    }
}

/// What is wrong with a capture: the first places, and how many more.
#[derive(Debug, Default)]
pub(crate) struct Damages {
    told: Vec<Damage>,
    untold_count: u64,
}

impl Damages {
    pub(crate) fn handle(&mut self, damage: Damage) {
        match self.told.len() < DAMAGES_TOLD_MAX {
            true => self.told.push(damage),
            false => self.untold_count += 1,
        }
    }

    /// A sentence for each.
    pub(crate) fn notices(&self) -> Vec<String> {
        let mut notices: Vec<_> =
            self.told.iter().map(|damage| format!("The capture is damaged at {damage}.")).collect();
        if self.untold_count > 0 {
            notices.push(format!("{} more places are damaged.", self.untold_count));
        }
        notices
    }

    /// Tells them.
    ///
    /// # Errors
    /// There are some: all that is whole was taken, and yet something is missing.
    pub(crate) fn finish(&self, title: &str) -> Result<()> {
        if self.told.is_empty() {
            return Ok(());
        }
        self.notices().iter().for_each(|notice| complain!("bus: {title}: {notice}"));
        Err(Failure::refused(format!("{title} is damaged; all whole messages were taken")))
    }
}
