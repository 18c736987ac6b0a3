//! How far something is that takes long: a bar on standard error, and only where a person looks at it.

use std::io::{self, IsTerminal as _, Read};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar, or nothing where standard error is no terminal or nobody wants it. It is taken away when it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of bytes; how many there are is not always known. `work` is what is done, in a word or two.
    pub(crate) fn of_bytes(work: &'static str, size: Option<u64>, is_wanted: bool) -> Self {
        let known = "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left";
        let unknown = "{msg} {spinner} {bytes} in {elapsed}";
        Self::new(work, size, if size.is_some() { known } else { unknown }, is_wanted)
    }

    /// Of messages.
    pub(crate) fn of_messages(work: &'static str, count: Option<u64>, is_wanted: bool) -> Self {
        let known = "{msg} {wide_bar} {human_pos} of {human_len} messages, {eta} left";
        let unknown = "{msg} {spinner} {human_pos} messages in {elapsed}";
        Self::new(work, count, if count.is_some() { known } else { unknown }, is_wanted)
    }

    fn new(work: &'static str, size: Option<u64>, template: &str, is_wanted: bool) -> Self {
        let target = match is_wanted && io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(size, target).with_message(work);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// One more is done.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// What is read through it counts as done.
    pub(crate) fn reading<R: Read>(&self, source: R) -> impl Read + use<R> {
        self.bar.wrap_read(source)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
