//! Answers that leave together.
//!
//! Who is asked much answers many calls one after the other. If each answer were written by itself, the writing
//! would cost more than the rest, and wake the bus for each. So an answer is held while another call of the same
//! sender is there to be served, if that was quick when it was served last: what takes long holds up no answer,
//! and nobody's call that of another. Held answers leave before anybody waits, with whatever else is sent, and
//! when there are many or the first has waited for long.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::link::{Link, Style};
use super::proxy::PROPERTIES;
use crate::message::Message;

/// A method that took no longer is quick.
const QUICK_MAX: Duration = Duration::from_micros(50);
/// How long an answer is held, but for the method that is served when that is over.
const HELD_MAX: Duration = Duration::from_micros(500);
/// How many quick methods are remembered.
const REMEMBERED_MAX: usize = 16;

thread_local! {
    /// The address of the link for which this thread holds the answers that it gives, or none.
    static HELD_HERE: Cell<usize> = const { Cell::new(0) };
}

/// Whether an answer that this thread gives on this link is to wait for the next ones.
pub(crate) fn holds_here<S: Style>(link: &Link<S>) -> bool {
    HELD_HERE.get() == address(link)
}

fn address<S: Style>(link: &Link<S>) -> usize {
    std::ptr::from_ref(link).addr()
}

/// What one who serves knows about what it serves. When it ends nothing is held any more.
pub(crate) struct Holding<'l, S: Style> {
    link: &'l Link<S>,
    /// Interface and member of methods that were quick.
    quick: VecDeque<(Box<str>, Box<str>)>,
    /// When the first answer was given that is held.
    since: Option<Instant>,
    /// Whether something was answered so, and nothing else since.
    has_answered: bool,
    /// Who called then; nothing without a bus. Not the call: its body and its descriptors would be kept until the next.
    sender: String,
}

impl<'l, S: Style> Holding<'l, S> {
    pub(crate) const fn new(link: &'l Link<S>) -> Self {
        Self {
            link,
            quick: VecDeque::new(),
            since: None,
            has_answered: false,
            sender: String::new(),
        }
    }

    /// Serves this call by `answer`.
    pub(crate) fn serve<T>(&mut self, call: &Message, answer: impl FnOnce() -> T) -> T {
        let interface = call.interface().map_or("", |name| name.as_str());
        let member = call.member().map_or("", |name| name.as_str());
        let known =
            self.quick.iter().position(|known| *known.0 == *interface && *known.1 == *member);
        let sender = call.sender().map_or("", |name| name.as_str());
        let is_same_sender = self.has_answered && *self.sender == *sender;
        if known.is_none() || !is_same_sender {
            self.let_go();
        }
        let start = Instant::now();
        // Also that of a method which is not known to be quick: what its writing takes is not the method's time.
        let result = {
            let _here = Here::enter(self.link);
            answer()
        };
        let end = Instant::now();
        let is_quick = end - start <= QUICK_MAX;
        match known {
            Some(index) if !is_quick => drop(self.quick.remove(index)),
            // What a property costs is another thing for each.
            None if is_quick && interface != PROPERTIES => {
                self.quick.truncate(REMEMBERED_MAX - 1);
                self.quick.push_front((interface.into(), member.into()));
            }
            _ => {}
        }
        self.has_answered = true;
        self.sender.clear();
        self.sender.push_str(sender);
        if known.is_none() || end - *self.since.get_or_insert(start) > HELD_MAX {
            self.since = Some(start);
            self.let_go();
        }
        result
    }

    fn let_go(&mut self) {
        self.has_answered = false;
        if self.since.take().is_some() {
            // A copy of the process leaves it to the first one.
            if let Ok(mut shared) = self.link.lock_here() {
                self.link.write_some(&mut shared);
            }
        }
    }
}

impl<S: Style> Drop for Holding<'_, S> {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// While it is there, answers of this thread are held.
struct Here {
    before: usize,
}

impl Here {
    fn enter<S: Style>(link: &Link<S>) -> Self {
        Self { before: HELD_HERE.replace(address(link)) }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        HELD_HERE.set(self.before);
    }
}
