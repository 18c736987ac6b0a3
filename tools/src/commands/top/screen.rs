//! The picture on a terminal.
//!
//! One thread asks the bus, one reads keys, one waits for signals; the first one's caller draws. So keys are answered
//! while a bus that has much to do is not, and the terminal is given back whatever ends the program.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{Event as TerminalEvent, KeyEvent, read};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::detail::Detail;
use super::picture::Picture;
use super::sample::Sample;
use super::source::Source;
use super::state::{Action, State};
use super::view::{Looks, draw};
use crate::failure::Result;

/// Events that wait to be handled; who has more waits.
const EVENTS_MAX: usize = 16;

enum Event {
    Key(KeyEvent),
    Resized,
    Sampled(Result<Box<(Sample, Option<Detail>)>>),
    Looked(Result<Detail>),
    /// No more keys, or a signal.
    Ended,
}

/// The terminal as it was, when this goes.
struct Restoring;

impl Drop for Restoring {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows it until the person there has seen enough.
///
/// # Errors
/// The bus has gone, or the terminal.
pub(crate) fn run(source: Source, state: State, interval: Duration, looks: &Looks) -> Result<()> {
    let (events, inbox) = sync_channel(EVENTS_MAX);
    let (orders, received) = sync_channel(EVENTS_MAX);
    end_by_signals(events.clone())?;
    let mut terminal = ratatui::try_init()?;
    let _restoring = Restoring;
    let keys = events.clone();
    thread::spawn(move || read_keys(&keys));
    thread::spawn(move || sample_again(source, interval, &received, &events));
    let mut screen = Screen { state, shown: None, last: None, detail: None, orders };
    loop {
        let Screen { state, shown, detail, .. } = &mut screen;
        terminal.draw(|frame| draw(frame, state, shown.as_ref(), detail.as_ref(), looks))?;
        let Ok(event) = inbox.recv() else { return Ok(()) };
        if screen.handle(event)? == Action::Quit {
            return Ok(());
        }
    }
}

struct Screen {
    state: State,
    shown: Option<Picture>,
    /// The last sample, also while nothing new is shown.
    last: Option<Sample>,
    detail: Option<Detail>,
    /// Tells whose details are wanted.
    orders: SyncSender<Option<String>>,
}

impl Screen {
    fn handle(&mut self, event: Event) -> Result<Action> {
        match event {
            Event::Key(key) => {
                let action = self.state.handle_key(key, self.shown.as_ref());
                self.order();
                return Ok(action);
            }
            Event::Resized => {}
            Event::Sampled(sampled) => {
                let (sample, detail) = *sampled?;
                self.take(sample, detail);
            }
            Event::Looked(detail) => self.detail = Some(detail?),
            Event::Ended => return Ok(Action::Quit),
        }
        Ok(Action::Nothing)
    }

    fn take(&mut self, sample: Sample, detail: Option<Detail>) {
        if !self.state.is_paused || self.shown.is_none() {
            let picture = Picture::new(self.last.as_ref(), &sample);
            self.state.follow(&picture);
            self.shown = Some(picture);
            self.detail = detail.or(self.detail.take());
        }
        self.last = Some(sample);
        self.order();
    }

    /// Asks for the details that are looked at and not there. If the order finds no room it is given again with the
    /// next sample.
    fn order(&mut self) {
        let wanted = self.state.looked_at();
        let there = self.detail.as_ref().map(|detail| detail.unique.as_str());
        if wanted != there
            && self.orders.try_send(wanted.map(ToOwned::to_owned)).is_ok()
            && wanted.is_none()
        {
            self.detail = None;
        }
    }
}

fn end_by_signals(events: SyncSender<Event>) -> Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            // If nobody listens the end has come.
            let _ = events.send(Event::Ended);
        }
    });
    Ok(())
}

fn read_keys(events: &SyncSender<Event>) {
    loop {
        let event = match read() {
            Ok(TerminalEvent::Key(key)) => Event::Key(key),
            Ok(TerminalEvent::Resize(..)) => Event::Resized,
            Ok(_) => continue,
            Err(_) => Event::Ended,
        };
        let is_end = matches!(event, Event::Ended);
        if events.send(event).is_err() || is_end {
            return;
        }
    }
}

/// Asks the bus in each interval, and at once for details that are wanted.
fn sample_again(
    mut source: Source,
    interval: Duration,
    orders: &Receiver<Option<String>>,
    events: &SyncSender<Event>,
) {
    let mut looked_at: Option<String> = None;
    let mut due = Instant::now();
    loop {
        let sampled = sample(&mut source, looked_at.as_deref());
        let is_end = sampled.is_err();
        if events.send(Event::Sampled(sampled)).is_err() || is_end {
            return;
        }
        due = (due + interval).max(Instant::now());
        loop {
            let order = orders.recv_timeout(due.saturating_duration_since(Instant::now()));
            match order {
                Ok(wanted) => looked_at = wanted,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some(unique) = &looked_at
                && events.send(Event::Looked(source.detail(unique))).is_err()
            {
                return;
            }
        }
    }
}

fn sample(source: &mut Source, looked_at: Option<&str>) -> Result<Box<(Sample, Option<Detail>)>> {
    let sample = source.sample()?;
    let detail = looked_at.map(|unique| source.detail(unique)).transpose()?;
    Ok(Box::new((sample, detail)))
}
