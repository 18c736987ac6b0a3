//! What waits for something that cannot be watched, beside the tasks of an executor.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use event_listener::Event;

/// Where a thread leaves what it found.
struct Place<T> {
    found: Mutex<Option<thread::Result<T>>>,
    is_there: Event,
}

/// Does it in a thread of its own, which goes on if nobody waits any more.
///
/// # Errors
/// The system has no room for a thread.
pub(super) async fn unblock<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let place = Arc::new(Place { found: Mutex::new(None), is_there: Event::new() });
    let its_place = Arc::clone(&place);
    let leave = move || {
        let found = catch_unwind(AssertUnwindSafe(work));
        *its_place.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        its_place.is_there.notify(usize::MAX);
    };
    thread::Builder::new().name("libbus-wait".to_owned()).spawn(leave)?;
    loop {
        let is_there = place.is_there.listen();
        let found = place.found.lock().unwrap_or_else(PoisonError::into_inner).take();
        match found {
            Some(Ok(found)) => return Ok(found),
            Some(Err(panic)) => resume_unwind(panic),
            None => is_there.await,
        }
    }
}
