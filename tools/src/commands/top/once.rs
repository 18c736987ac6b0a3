//! Tables or JSON, one after each interval, for scripts.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::column::Column;
use super::picture::{Picture, Row};
use super::source::Source;
use super::state::State;
use super::view::{notice, totals};
use crate::failure::Result;
use crate::options::Options;
use crate::output::out::Out;
use crate::output::style::{Look, Style};
use crate::output::table::Table;

/// Prints `count` of them.
///
/// # Errors
/// The bus has gone, or the output cannot be written.
pub(crate) fn run(
    mut source: Source,
    state: &State,
    interval: Duration,
    count: u32,
    options: &Options,
) -> Result<()> {
    let mut out = Out::plain();
    let mut before = source.sample()?;
    for index in 0..count {
        sleep(interval);
        let now = source.sample()?;
        let picture = Picture::new(Some(&before), &now);
        before = now;
        match options.json() {
            Some(form) => out.json(form, &to_json(&picture, state))?,
            None => print(&mut out, &picture, state, index > 0, options)?,
        }
        out.flush()?;
    }
    out.finish()
}

fn print(
    out: &mut Out,
    picture: &Picture,
    state: &State,
    is_next: bool,
    options: &Options,
) -> Result<()> {
    if is_next {
        out.line("")?;
    }
    if let (false, Some(notice)) = (options.quiet, notice(picture)) {
        // What cannot be shown is no data.
        complain!("bus: {notice}");
    }
    let counts = format!("{} clients  {} names  ", picture.rows.len(), picture.names);
    out.line(options.style().paint(Look::Bold, &(counts + &totals(picture))).trim_end())?;
    for line in table(picture, state, options.style()) {
        out.line(&line)?;
    }
    Ok(())
}

fn table(picture: &Picture, state: &State, style: Style) -> Vec<String> {
    let mut table = Table::new(&Column::ALL.map(Column::title));
    for row in state.rows(picture) {
        let cells = Column::ALL.iter().map(|column| column.cell(row));
        table.push(cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }).collect());
    }
    table.lines(style, true)
}

/// What is not known is left out.
fn to_json(picture: &Picture, state: &State) -> Json {
    let mut bus = Map::new();
    put(&mut bus, "clients", Some(picture.rows.len()));
    put(&mut bus, "names", Some(picture.names));
    put(&mut bus, "messages_per_second", picture.messages);
    put(&mut bus, "bytes_per_second", picture.bytes);
    put(&mut bus, "messages", picture.totals.messages);
    put(&mut bus, "bytes", picture.totals.bytes);
    put(&mut bus, "queued_bytes", picture.queue);
    put(&mut bus, "calls_waiting", picture.awaited);
    put(&mut bus, "memory_bytes", picture.totals.memory);
    let clients: Vec<Json> = state.rows(picture).into_iter().map(client_to_json).collect();
    let seconds = picture.span.map(|span| span.as_secs_f64());
    json!({ "seconds": seconds, "bus": bus, "untold": picture.untold(), "clients": clients })
}

fn client_to_json(row: &Row) -> Json {
    let (client, usage) = (&row.client, &row.client.usage);
    let mut json = Map::new();
    put(&mut json, "unique_name", Some(client.unique.as_str()));
    put(&mut json, "names", Some(client.names.as_slice()));
    put(&mut json, "uid", client.uid);
    put(&mut json, "user", client.user.as_deref());
    put(&mut json, "pid", client.pid);
    put(&mut json, "process", client.process.as_deref());
    put(&mut json, "monitor", client.is_monitor.then_some(true));
    put(&mut json, "connected_ms", usage.connected_ms);
    put(&mut json, "sent_messages_per_second", row.sent);
    put(&mut json, "got_messages_per_second", row.got);
    put(&mut json, "bytes_per_second", row.bytes);
    put(&mut json, "sent_messages", usage.sent_messages);
    put(&mut json, "sent_bytes", usage.sent_bytes);
    put(&mut json, "got_messages", usage.got_messages);
    put(&mut json, "got_bytes", usage.got_bytes);
    put(&mut json, "queued_bytes", usage.queue);
    put(&mut json, "queued_fds", usage.queue_fds);
    put(&mut json, "match_rules", usage.rules);
    put(&mut json, "calls_waiting", usage.awaited);
    put(&mut json, "oldest_call_waiting_ms", usage.oldest_awaited_ms);
    put(&mut json, "calls_not_answered", usage.owed);
    put(&mut json, "oldest_call_not_answered_ms", usage.oldest_owed_ms);
    put(&mut json, "quota_per_mille", usage.quota);
    put(&mut json, "quota", usage.quota_of.as_deref());
    put(&mut json, "slow", usage.is_slow);
    put(&mut json, "broadcasts_missed", usage.left_out);
    put(&mut json, "paused_for", usage.paused_for.as_deref());
    Json::Object(json)
}

fn put(json: &mut Map<String, Json>, key: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        json.insert(key.to_owned(), value.into());
    }
}
