//! `bus top`: who uses how much of the bus, as it goes on (needs.md E3).
//!
//! `source.rs` asks the bus and makes a [`Sample`](sample::Sample) of what it tells; two samples make a
//! [`Picture`](picture::Picture) with rates. On a terminal `screen.rs` shows one after the other: what keys do is
//! decided in `state.rs`, what is drawn in `view.rs`, and neither knows of a terminal or a bus. Elsewhere
//! `once.rs` prints tables or JSON.

mod column;
mod detail;
mod once;
mod picture;
mod sample;
mod screen;
mod source;
mod state;
mod units;
mod view;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::Args;

use crate::duration::parse_duration;
use crate::failure::Result;
use crate::options::Options;
use column::Column;

/// Shortest time between two samples: to ask is work for the bus.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Longest such time.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Who uses how much of the bus: messages, bytes, queues, calls that wait
///
/// On a terminal a picture that goes on, in which `?` tells the keys; elsewhere, or with -n or --json, tables.
#[derive(Args, Debug)]
pub(crate) struct Top {
    /// Print so many tables, one after each interval, and end
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,

    /// Look so often: seconds, or with a unit (500ms)
    #[arg(short, long, value_name = "TIME", default_value = "1", value_parser = parse_interval)]
    interval: Duration,

    /// What comes first: the most of this column, or the first in the alphabet
    #[arg(short, long, value_enum, value_name = "COLUMN", default_value_t = Column::Bytes)]
    sort: Column,

    /// Only clients with this text in their names, process or user
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    filter: String,
}

fn parse_interval(text: &str) -> std::result::Result<Duration, String> {
    let interval = parse_duration(text)?;
    match (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        true => Ok(interval),
        false => Err("expected 100ms to 1d".to_owned()),
    }
}

impl Top {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("top")?;
        let is_printed = self.count.is_some() || options.json().is_some() || !has_screen();
        let source = source::Source::new(options)?;
        let state = state::State::new(self.sort, self.filter);
        if is_printed {
            return once::run(source, &state, self.interval, self.count.unwrap_or(1), options);
        }
        let looks =
            view::Looks { title: source.title().to_owned(), has_colors: options.style().is_on() };
        screen::run(source, state, self.interval, &looks)
    }
}

/// Whether there is a terminal that can be drawn on and keys come from.
fn has_screen() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    !is_dumb && io::stdout().is_terminal() && io::stdin().is_terminal()
}
