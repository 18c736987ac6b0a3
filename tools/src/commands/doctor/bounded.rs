//! Work that may hang.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// What `work` answers, if it does so in time. Else it is left to itself, and goes with the program.
pub(super) fn bounded<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = channel();
    let run = move || {
        // Nobody may wait any more.
        let _ = sender.send(work());
    };
    thread::Builder::new().spawn(run).ok()?;
    receiver.recv_timeout(patience).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::bounded;

    #[test]
    fn what_hangs_is_given_up() {
        assert_eq!(bounded(Duration::from_secs(60), || 5), Some(5));
        let (sender, receiver) = channel::<()>();
        assert_eq!(bounded(Duration::from_millis(1), move || receiver.recv().is_ok()), None);
        drop(sender);
    }
}
