//! Ctrl-C as a wish to end something in good order, such as watching before what was seen is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::failure::{Failure, Result};

/// Whether somebody wants an end, from now on. Who wants it a second time ends the program.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    is_wanted: Arc<AtomicBool>,
}

impl Interrupt {
    /// To be called before there are other threads, which would get the signals otherwise.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub(crate) fn watch() -> Result<Self> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        let failed = |error: String| Failure::refused(format!("cannot watch for signals: {error}"));
        signals.thread_block().map_err(|error| failed(error.to_string()))?;
        let is_wanted = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&is_wanted);
        let wait = move || {
            while let Ok(signal) = signals.wait() {
                if noted.swap(true, Ordering::Relaxed) {
                    std::process::exit(128 + signal as i32);
                }
            }
        };
        thread::Builder::new().spawn(wait).map_err(|error| failed(error.to_string()))?;
        Ok(Self { is_wanted })
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }
}
