//! Ctrl-C as a wish to end something in good order, such as watching before what was seen is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libbus::host::phrase;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Result};

/// Whether somebody wants an end, from now on. Who wants it a second time ends the program.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    is_wanted: Arc<AtomicBool>,
}

impl Interrupt {
    /// # Errors
    /// The system lets nobody watch for signals.
    pub(crate) fn watch() -> Result<Self> {
        let is_wanted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal sets what makes the second one end the program.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_wanted))
                .and_then(|_| flag::register(signal, Arc::clone(&is_wanted)))
                .map_err(|error| {
                    Failure::refused(format!("cannot watch for signals: {}", phrase(&error)))
                })?;
        }
        Ok(Self { is_wanted })
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use signal_hook::consts::SIGTERM;
    use signal_hook::low_level::raise;

    use super::Interrupt;

    #[test]
    fn a_thread_that_was_there_before_gets_the_signal_in_good_order() {
        let (begin, begun) = channel();
        let before = thread::spawn(move || begun.recv().map(|()| raise(SIGTERM)));
        let interrupt = Interrupt::watch().unwrap();
        assert!(!interrupt.is_wanted());
        begin.send(()).unwrap();
        before.join().unwrap().unwrap().unwrap();
        assert!(interrupt.is_wanted());
    }
}
