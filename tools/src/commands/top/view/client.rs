//! The details of one client, as lines.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::Looks;
use crate::commands::top::detail::{Detail, Limit};
use crate::commands::top::picture::{Picture, Row};
use crate::commands::top::state::State;
use crate::commands::top::units;
use crate::output::escape::plain;

/// Width of the bar that shows how full a limit is.
const BAR_WIDTH: usize = 20;

pub(super) fn lines(
    state: &State,
    picture: &Picture,
    detail: Option<&Detail>,
    looks: &Looks,
) -> Vec<Line<'static>> {
    let chosen = state.chosen.as_deref().unwrap_or_default();
    let Some(row) = picture.rows.iter().find(|row| row.client.unique == chosen) else {
        return vec![Line::from(format!("{} has gone", plain(chosen)))];
    };
    let detail = detail.filter(|detail| detail.unique == chosen);
    let mut lines = vec![title(row)];
    lines.extend(who(row, detail));
    lines.extend(traffic(row));
    let Some(detail) = detail else { return lines };
    if let Some(failure) = &detail.failure {
        lines.push(Line::from(plain(failure)));
    }
    section(&mut lines, "Calls that wait", detail.calls.iter().map(|call| indented(call)));
    section(&mut lines, "Limits and shares", detail.limits.iter().map(|one| limit(one, looks)));
    let others = detail.others.iter().map(|(key, value)| indented(&format!("{key}={value}")));
    section(&mut lines, "What else the bus tells", others);
    lines
}

fn section(
    lines: &mut Vec<Line<'static>>,
    title: &'static str,
    content: impl Iterator<Item = Line<'static>>,
) {
    let mut content = content.peekable();
    if content.peek().is_some() {
        lines.push(Line::default());
        lines.push(Line::styled(title, Modifier::BOLD));
        lines.extend(content);
    }
}

fn indented(text: &str) -> Line<'static> {
    Line::from(format!("  {text}"))
}

fn title(row: &Row) -> Line<'static> {
    let names = row.client.names.join("  ");
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let unique = Span::styled(plain(&row.client.unique), bold);
    Line::from(vec![unique, Span::raw(format!("  {}", plain(&names)))])
}

/// Its process, user and unit, and since when it is there.
fn who(row: &Row, detail: Option<&Detail>) -> Vec<Line<'static>> {
    let client = &row.client;
    let process = client.pid.map(|pid| {
        let command = detail.and_then(|detail| detail.command.clone());
        let name = command.or_else(|| client.process.clone()).unwrap_or_default();
        format!("{pid} {name}")
    });
    let user = client.uid.map(|uid| format!("{} ({uid})", client.user.clone().unwrap_or_default()));
    let unit = detail.and_then(|detail| detail.unit.clone());
    let since = client.usage.connected_ms.map(|ms| format!("for {}", units::time(ms)));
    let said = [("process", process), ("user", user), ("unit", unit), ("connected", since)];
    said.into_iter().filter_map(|(key, value)| Some(field(key, &value?))).collect()
}

fn field(key: &str, value: &str) -> Line<'static> {
    Line::from(format!("  {key:<12}{}", plain(value)))
}

/// What it sends and gets, what waits for it, and for what it waits.
fn traffic(row: &Row) -> Vec<Line<'static>> {
    let usage = &row.client.usage;
    let flow = |rate: Option<f64>, messages: Option<u64>, bytes: Option<u64>| {
        let (messages, bytes) = (messages?, bytes?);
        let now =
            rate.map_or_else(String::new, |rate| format!("{} messages/s; ", units::rate(rate)));
        let (messages, bytes) = (units::count(messages as f64), units::bytes(bytes as f64));
        Some(format!("{now}{messages} messages, {bytes} bytes in all"))
    };
    let queue = usage.queue.map(|queue| {
        let fds = usage.queue_fds.unwrap_or_default();
        format!("{} bytes, {fds} file descriptors wait for it", units::bytes(queue as f64))
    });
    let calls = |count: Option<u64>, oldest: Option<u64>| {
        let oldest = oldest.filter(|ms| *ms > 0).map(units::time);
        let oldest = oldest.map_or_else(String::new, |time| format!(", the oldest for {time}"));
        Some(format!("{}{oldest}", count?))
    };
    let said = [
        ("sent", flow(row.sent, usage.sent_messages, usage.sent_bytes)),
        ("got", flow(row.got, usage.got_messages, usage.got_bytes)),
        ("queue", queue),
        ("state", trouble(row)),
        ("match rules", usage.rules.map(|rules| rules.to_string())),
        ("waits for", calls(usage.awaited, usage.oldest_awaited_ms)),
        ("owes", calls(usage.owed, usage.oldest_owed_ms)),
    ];
    said.into_iter().filter_map(|(key, value)| Some(field(key, &value?))).collect()
}

fn trouble(row: &Row) -> Option<String> {
    let usage = &row.client.usage;
    let parts = [
        (usage.is_slow == Some(true))
            .then(|| "reads too slowly: who sends it more is paused".to_owned()),
        usage
            .left_out
            .filter(|count| *count > 0)
            .map(|count| format!("{count} broadcasts left it out")),
        usage.paused_for.as_ref().map(|name| format!("is paused, since {name} reads too slowly")),
        row.client.is_monitor.then(|| "a monitor".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn limit(limit: &Limit, looks: &Looks) -> Line<'static> {
    let per_mille = limit.per_mille();
    let number = |number: u64| match limit.is_in_bytes() {
        true => units::bytes(number as f64),
        false => units::count(number as f64),
    };
    let full = (per_mille.min(1000) as usize * BAR_WIDTH).div_ceil(1000);
    let (used, max) = (number(limit.used), number(limit.max));
    let bar = format!("{}{}", "█".repeat(full), "·".repeat(BAR_WIDTH.saturating_sub(full)));
    let color = if per_mille >= super::QUOTA_HIGH { Color::Red } else { Color::Green };
    let of_user = limit.of_user.map_or_else(String::new, |(used, max)| {
        format!("  its user {} of {}", number(used), number(max))
    });
    Line::from(vec![
        Span::raw(format!("  {:<32}", limit.what)),
        Span::styled(bar, looks.color(color)),
        Span::raw(format!(" {:>4}  {used} of {max}{of_user}", units::per_cent(per_mille))),
    ])
}
