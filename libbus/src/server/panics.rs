//! A handler that panics answers all the same, and is the only one that ends.
//!
//! Who serves others must not end with the mistake of one method: the panic is caught here, where the build
//! unwinds, and whoever called is told that there was one. What it said is for standard error, where Rust's own
//! hook puts it, and not for strangers. A value that was being changed is served on as it was left, with its
//! lock let go; who cannot go on with that ends the program itself, by `panic = "abort"` or a hook.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Task;
use super::call::Call;
use crate::client::fdo;
use crate::client::link::Style;

/// What `handler` returns, unless it panics, which the caller is told then.
pub(super) fn guarded<S: Style, T>(call: &Call<S>, handler: impl FnOnce() -> T) -> Option<T> {
    // What it has left half done is the program's, and no lock of ours is held while it runs.
    let result = catch_unwind(AssertUnwindSafe(handler));
    if result.is_err() {
        let message = call.message();
        let interface = message.interface().map_or("", |name| name.as_str());
        let member = message.member().map_or("", |name| name.as_str());
        let dot = if interface.is_empty() { "" } else { "." };
        let text = format!("the handler of {interface}{dot}{member} panicked");
        call.refuse(&fdo::Error::Failed(text));
    }
    result.ok()
}

/// What answers a call later. It panics no more.
pub(crate) struct Answering<S: Style> {
    call: Call<S>,
    task: Task<'static>,
    /// Whether the sender's next call need not wait for it; only futures can run beside each other.
    #[cfg_attr(not(feature = "async"), expect(dead_code, reason = "there are none"))]
    pub(crate) is_concurrent: bool,
}

impl<S: Style> Answering<S> {
    pub(super) const fn new(call: Call<S>, task: Task<'static>, is_concurrent: bool) -> Self {
        Self { call, task, is_concurrent }
    }
}

impl<S: Style> Future for Answering<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { call, task, .. } = self.get_mut();
        // One that panicked is over, and is not polled again.
        guarded(call, || task.as_mut().poll(context)).unwrap_or(Poll::Ready(()))
    }
}
