//! What is drawn: a header with what the bus says of itself, and below it the clients, one client, or the keys.

mod client;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table};

use super::column::{Column, trouble};
use super::detail::Detail;
use super::picture::{Picture, Row};
use super::state::{State, View};
use super::units;
use crate::output::escape::plain;

/// Thousandths of a quota beyond which it is shown that little is left.
const QUOTA_HIGH: u64 = 800;

/// Cells that names get beside those that they need, before columns that are as dispensable as this.
const NAMES_EXTRA_WIDTH: u16 = 9;
/// See [`NAMES_EXTRA_WIDTH`].
const LESS_THAN_NAMES: u8 = 5;

/// What does not change.
#[derive(Clone, Debug)]
pub(crate) struct Looks {
    /// Which bus it is.
    pub(crate) title: String,
    pub(crate) has_colors: bool,
}

impl Looks {
    fn color(&self, color: Color) -> Style {
        if self.has_colors { Style::new().fg(color) } else { Style::new() }
    }
}

const HELP: [(&str, &str); 12] = [
    ("↑ ↓ PgUp PgDn Home End", "choose a client"),
    ("Enter", "its details: process, limits, calls that wait; Esc leads back"),
    ("← →", "sort by the column at the left or right"),
    ("1 … 9 0", "sort by the first to the tenth column; again: the other way round"),
    ("r", "sort the other way round"),
    ("/", "show only clients with a text in names, process or user; Esc ends that"),
    ("space", "pause, and go on"),
    ("?", "these keys"),
    ("q", "quit"),
    ("", ""),
    ("WAITS, OWES", "calls that it made and waits for, and those that it has not answered"),
    ("QUOTA", "how full the fullest of its limits and shares is"),
];

/// Draws all of it. `detail` is of the client that is looked at, once the bus has told.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    state: &mut State,
    picture: Option<&Picture>,
    detail: Option<&Detail>,
    looks: &Looks,
) {
    let area = frame.area();
    let parts =
        Layout::vertical([Constraint::Length(3), Constraint::Min(1), Constraint::Length(1)]);
    let [head, body, foot] = parts.areas(area);
    frame.render_widget(Paragraph::new(header(state, picture, looks)), head);
    match (state.view, picture) {
        (View::Help, _) => frame.render_widget(Paragraph::new(help()), body),
        (View::Detail, Some(picture)) => {
            let lines = client::lines(state, picture, detail, looks);
            let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
            state.scroll = state.scroll.min(height.saturating_sub(body.height));
            frame.render_widget(Paragraph::new(lines).scroll((state.scroll, 0)), body);
        }
        (_, Some(picture)) => draw_clients(frame, body, state, picture, looks),
        (_, None) => {}
    }
    frame.render_widget(Paragraph::new(footer(state)), foot);
}

fn header(state: &State, picture: Option<&Picture>, looks: &Looks) -> Vec<Line<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut first = vec![Span::styled(plain(&looks.title), bold)];
    if state.is_paused {
        first.push(Span::styled("  paused", bold.patch(looks.color(Color::Yellow))));
    }
    let Some(picture) = picture else { return vec![Line::from(first), Line::from("asking …")] };
    first.insert(1, Span::raw(format!("  {}", counts(picture))));
    let third = match (notice(picture), &state.filter) {
        (_, filter) if !filter.is_empty() && state.former_filter.is_none() => {
            let shown = state.rows(picture).len();
            format!("only with \"{}\": {shown} of {}", plain(filter), picture.rows.len())
        }
        (notice, _) => notice.unwrap_or_default(),
    };
    let third = Span::styled(third, looks.color(Color::Yellow));
    vec![Line::from(first), Line::from(totals(picture)), Line::from(third)]
}

fn counts(picture: &Picture) -> String {
    format!("{} clients  {} names", picture.rows.len(), picture.names)
}

/// What the bus does altogether; what it does not tell is left out.
pub(crate) fn totals(picture: &Picture) -> String {
    let parts = [
        picture.messages.map(|rate| format!("{} messages/s", units::rate(rate))),
        picture.bytes.map(|rate| format!("{}B/s", spaced(&units::bytes(rate)))),
        picture.queue.map(|queue| format!("{}B queued", spaced(&units::bytes(queue as f64)))),
        picture.awaited.map(|calls| format!("{calls} calls wait")),
        picture
            .totals
            .memory
            .map(|size| format!("{}B of memory", spaced(&units::bytes(size as f64)))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// `12K` as `12 Ki`, and `12` as `12 `, before a unit.
fn spaced(number: &str) -> String {
    match number.strip_suffix(|c: char| c.is_ascii_alphabetic()) {
        Some(digits) => format!("{digits} {}i", number.get(digits.len()..).unwrap_or_default()),
        None => format!("{number} "),
    }
}

/// What is not there to be seen.
pub(crate) fn notice(picture: &Picture) -> Option<String> {
    let untold = picture.untold();
    match (picture.is_denied, untold.is_empty()) {
        (true, _) => {
            Some("the bus's policy keeps its statistics from you; try it as root".to_owned())
        }
        (false, false) => Some(format!("this bus does not tell: {}", untold.join(", "))),
        (false, true) => None,
    }
}

fn footer(state: &State) -> Line<'static> {
    if state.former_filter.is_some() {
        return Line::from(format!("/{}_", plain(&state.filter)));
    }
    Line::from(match state.view {
        View::Clients => {
            "? keys  / filter  Enter details  ← → sort  r reverse  space pause  q quit"
        }
        View::Detail => "Esc back  ↑ ↓ scroll  space pause  q quit",
        View::Help => "any key leads back",
    })
}

fn help() -> Vec<Line<'static>> {
    HELP.iter().map(|(keys, what)| Line::from(format!("  {keys:<24}{what}"))).collect()
}

/// The columns that have room in so many cells. Names get more than they need before columns that matter less.
fn columns(width: u16) -> Vec<Column> {
    let mut columns = Column::ALL.to_vec();
    loop {
        let places = columns.iter().enumerate();
        let least = places.max_by_key(|(_, column)| column.dispensability());
        let Some((place, importance)) = least.map(|(place, it)| (place, it.dispensability()))
        else {
            return columns;
        };
        let extra = if importance >= LESS_THAN_NAMES { NAMES_EXTRA_WIDTH } else { 0 };
        let needed: u16 = columns.iter().map(|column| column.width() + 1).sum();
        if importance == 0 || needed + extra <= width.saturating_add(1) {
            return columns;
        }
        columns.remove(place);
    }
}

fn draw_clients(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &mut State,
    picture: &Picture,
    looks: &Looks,
) {
    let columns = columns(area.width);
    let widths = columns.iter().map(|column| match column {
        Column::Name => Constraint::Min(column.width()),
        column => Constraint::Length(column.width()),
    });
    let title = |column: &Column| {
        let style = Style::new().add_modifier(Modifier::REVERSED);
        let is_sort = *column == state.sort;
        let style = if is_sort { style.add_modifier(Modifier::BOLD) } else { style };
        let mark = match (is_sort, state.is_reversed) {
            (false, _) => "",
            (true, false) => "↓",
            (true, true) => "↑",
        };
        cell(*column, format!("{}{mark}", column.title())).style(style)
    };
    let rows = state.rows(picture);
    let table = Table::new(rows.iter().map(|row| table_row(row, &columns, looks)), widths)
        .header(TableRow::new(columns.iter().map(title)).style(Modifier::REVERSED))
        .row_highlight_style(Modifier::REVERSED);
    frame.render_stateful_widget(table, area, &mut state.table);
}

fn table_row<'a>(row: &Row, columns: &[Column], looks: &Looks) -> TableRow<'a> {
    let cells = columns.iter().map(|column| {
        let is_alarming = match column {
            Column::Quota => row.client.usage.quota >= Some(QUOTA_HIGH),
            Column::State => trouble(row) > 0.0,
            _ => false,
        };
        let text = cell(*column, column.cell(row));
        if is_alarming { text.style(looks.color(Color::Red)) } else { text }
    });
    TableRow::new(cells)
}

fn cell<'a>(column: Column, text: String) -> Cell<'a> {
    let is_right = column.is_number();
    let alignment = if is_right { Alignment::Right } else { Alignment::Left };
    Cell::new(Line::from(text).alignment(alignment))
}

#[cfg(test)]
mod tests;
