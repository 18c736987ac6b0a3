//! A still sequence diagram of the first messages, as SVG: for documents, where the page is too much.
//!
//! Every text goes through [`Text`], which leaves nothing that XML takes for markup or does not allow.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use super::{Kind, Trace};

const ROW: usize = 34;
const HEAD: usize = 96;
const GUTTER: usize = 96;
const LANE: usize = 190;
const MARGIN: usize = 16;
/// Characters that fit where they are to stand; letters differ, so that this is an estimate.
const LANE_CHARACTERS: usize = 24;
const STYLE: &str = "\
svg{--g:#fff;--r:#f6f8fb;--l:#d5dce6;--t:#18202c;--m:#637083;--c:#2c68d8;--y:#12906a;--e:#d3312a;--s:#8448cf}\
@media(prefers-color-scheme:dark){svg{--g:#151b24;--r:#1b222d;--l:#303c4d;--t:#e5eaf2;--m:#93a0b4;--c:#6da5ff;--y:#46cf9e;--e:#ff6f66;--s:#c596ff}}\
text{font:12px system-ui,'Noto Sans','DejaVu Sans',sans-serif;fill:var(--t)}\
.b{font-weight:600}.h{font-size:16px;font-weight:650}.m{fill:var(--m);font-size:11px}\
.w{fill:var(--g)}.r{fill:var(--r);stroke:var(--l)}.l{stroke:var(--l);stroke-dasharray:3 4}\
.a path{fill:none;stroke-width:1.4}.d path{stroke-dasharray:5 3}\
.c{--k:var(--c)}.y{--k:var(--y)}.e{--k:var(--e)}.s{--k:var(--s)}.u{--k:var(--m)}\
.a path{stroke:var(--k)}.a polygon,.a circle{fill:var(--k)}.e .b,.y .b{fill:var(--k)}";

/// Writes the picture of at most `messages_max` messages; of more it is said how many follow.
///
/// # Errors
/// `out` does not take it.
pub fn write_svg(trace: &Trace, messages_max: usize, mut out: impl Write) -> io::Result<()> {
    let picture = Picture::of(trace, messages_max);
    let mut text = String::new();
    // A string takes everything.
    let _ = picture.write_frame(&mut text);
    out.write_all(text.as_bytes())?;
    for number in 0..picture.count {
        text.clear();
        let _ = picture.write_message(&mut text, number);
        out.write_all(text.as_bytes())?;
    }
    out.write_all(b"</svg>\n")?;
    out.flush()
}

struct Picture<'t> {
    trace: &'t Trace,
    /// Messages that are shown.
    count: usize,
    /// Lanes that take part, in their order, and the place of each.
    lanes: Vec<usize>,
    places: Vec<Option<usize>>,
}

impl<'t> Picture<'t> {
    fn of(trace: &'t Trace, messages_max: usize) -> Self {
        let count = trace.len().min(messages_max);
        let mut picture =
            Self { trace, count, lanes: Vec::new(), places: vec![None; trace.lanes.len()] };
        for number in 0..count {
            let from = trace.messages.from.get(number).copied();
            let to = trace.messages.to.get(number).and_then(|lane| usize::try_from(*lane).ok());
            [from, to].into_iter().flatten().for_each(|lane| picture.add_lane(lane));
        }
        picture
    }

    fn add_lane(&mut self, lane: usize) {
        if let Some(place @ None) = self.places.get_mut(lane) {
            *place = Some(self.lanes.len());
            self.lanes.push(lane);
        }
    }

    fn width(&self) -> usize {
        GUTTER + self.lanes.len().max(2) * LANE + MARGIN
    }

    fn height(&self) -> usize {
        HEAD + self.count * ROW + 2 * MARGIN
    }

    fn lane_x(&self, lane: usize) -> usize {
        let place = self.places.get(lane).copied().flatten().unwrap_or_default();
        GUTTER + place * LANE + LANE / 2
    }

    /// Background, title, and the lanes with their names.
    fn write_frame(&self, out: &mut String) -> fmt::Result {
        let (width, height) = (self.width(), self.height());
        write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\
             <style>{STYLE}</style><rect class=\"w\" width=\"{width}\" height=\"{height}\"/>\
             <text class=\"h\" x=\"{MARGIN}\" y=\"27\">{}</text><text class=\"m\" x=\"{}\" y=\"27\" text-anchor=\"end\">{}</text>",
            Text(&self.trace.title),
            width - MARGIN,
            Text(&self.summary())
        )?;
        self.lanes.iter().try_for_each(|lane| self.write_lane(out, *lane))
    }

    fn summary(&self) -> String {
        let all = self.trace.len();
        let shown = match all - self.count {
            0 => format!("{all} messages"),
            rest => format!("the first {} of {all} messages; {rest} follow", self.count),
        };
        let notices = self.trace.notices.iter().map(|notice| format!(" · {notice}"));
        std::iter::once(shown).chain(notices).collect()
    }

    fn write_lane(&self, out: &mut String, lane: usize) -> fmt::Result {
        let Some(client) = self.trace.lanes.get(lane) else { return Ok(()) };
        let x = self.lane_x(lane);
        let (title, rest) = match client.names.first() {
            Some(name) => (name.as_str(), client.name.as_str()),
            None if client.name.is_empty() => ("no name", ""),
            None => (client.name.as_str(), ""),
        };
        let (left, end) = (x - LANE / 2 + 6, self.height() - MARGIN);
        let box_width = LANE - 12;
        write!(
            out,
            "<path class=\"l\" d=\"M{x} {HEAD}V{end}\"/>\
             <rect class=\"r\" x=\"{left}\" y=\"42\" width=\"{box_width}\" height=\"44\" rx=\"8\"/>"
        )?;
        let title_y = if rest.is_empty() { 68 } else { 60 };
        let title = Text(&short_name(title, LANE_CHARACTERS)).to_string();
        write!(
            out,
            "<text class=\"b\" x=\"{x}\" y=\"{title_y}\" text-anchor=\"middle\">{title}</text>"
        )?;
        write!(
            out,
            "<text class=\"m\" x=\"{x}\" y=\"77\" text-anchor=\"middle\">{}</text>",
            Text(rest)
        )
    }

    fn write_message(&self, out: &mut String, number: usize) -> fmt::Result {
        let messages = &self.trace.messages;
        let y = HEAD + number * ROW + ROW - 8;
        let start = self.lane_x(messages.from.get(number).copied().unwrap_or_default());
        let to = messages.to.get(number).and_then(|lane| usize::try_from(*lane).ok());
        let end = to.map(|lane| self.lane_x(lane)).filter(|end| *end != start);
        let is_answer = messages.call.get(number).is_some_and(|call| *call >= 0);
        let dashed = if is_answer { " d" } else { "" };
        write!(out, "<g class=\"a {}{dashed}\">", self.class(number))?;
        self.write_time(out, number, y)?;
        match (end, to) {
            (Some(end), _) => write_arrow(out, start, end, y)?,
            (None, Some(_)) => write!(out, "<path d=\"M{start} {}h40v8h-34\"/>", y - 8)?,
            (None, None) => write!(
                out,
                "<path d=\"M{start} {y}h44m6 -5a7 7 0 0 1 0 10m5 -13a11 11 0 0 1 0 16\"/>"
            )?,
        }
        write!(out, "<circle cx=\"{start}\" cy=\"{y}\" r=\"2.6\"/>")?;
        let (x, anchor, room) = match end {
            Some(end) => ((start + end) / 2, "middle", start.abs_diff(end).max(LANE) / 7),
            None => (start + 10, "start", LANE_CHARACTERS),
        };
        let label = self.label(number, room);
        write!(
            out,
            "<text class=\"b\" x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text></g>",
            y - 6,
            Text(&label)
        )
    }

    fn write_time(&self, out: &mut String, number: usize, y: usize) -> fmt::Result {
        let micros = self.trace.messages.time.get(number).copied().unwrap_or_default();
        let x = GUTTER - 12;
        write!(out, "<text class=\"m\" x=\"{x}\" y=\"{}\" text-anchor=\"end\">", y + 3)?;
        match self.trace.begin {
            Some(_) => write!(out, "{:.6}</text>", micros as f64 / 1e6),
            None => write!(out, "#{}</text>", number + 1),
        }
    }

    fn class(&self, number: usize) -> &'static str {
        match self.kind(number) {
            Some(Kind::Call) => "c",
            Some(Kind::Reply) => "y",
            Some(Kind::Error) => "e",
            Some(Kind::Signal) => "s",
            _ => "u",
        }
    }

    fn kind(&self, number: usize) -> Option<Kind> {
        let code = self.trace.messages.kind.get(number)?;
        let kinds = [Kind::Call, Kind::Reply, Kind::Error, Kind::Signal, Kind::Unknown];
        kinds.into_iter().find(|kind| *kind as u8 == *code)
    }

    /// What stands on an arrow, in so many characters: of a call its member, of an answer how long it took.
    fn label(&self, number: usize, room: usize) -> String {
        let messages = &self.trace.messages;
        let text = |column: &[u32]| {
            let id = column.get(number).copied().unwrap_or_default();
            self.trace.strings.get(id as usize).map_or("", String::as_str)
        };
        match self.kind(number) {
            Some(Kind::Reply) => format!("↩ {}", self.latency(number)),
            Some(Kind::Error) => {
                let latency = self.latency(number);
                let room = room.saturating_sub(latency.len() + 3);
                format!("✕ {} {latency}", short_name(text(&messages.error), room))
            }
            _ => match text(&messages.interface) {
                "" => short_name(text(&messages.member), room),
                interface => short_name(&format!("{interface}.{}", text(&messages.member)), room),
            },
        }
    }

    fn latency(&self, number: usize) -> String {
        let time = |number: usize| self.trace.messages.time.get(number).copied();
        let call =
            self.trace.messages.call.get(number).and_then(|call| usize::try_from(*call).ok());
        match (call.and_then(time), time(number), self.trace.begin) {
            (Some(begin), Some(end), Some(_)) => {
                format!("{:.3} ms", end.saturating_sub(begin) as f64 / 1000.0)
            }
            _ => String::new(),
        }
    }
}

fn write_arrow(out: &mut String, start: usize, end: usize, y: usize) -> fmt::Result {
    let (stop, tip, back) = match start < end {
        true => (end - 9, end - 3, end - 11),
        false => (end + 9, end + 3, end + 11),
    };
    let (above, below) = (y - 4, y + 4);
    write!(
        out,
        "<path d=\"M{start} {y}H{stop}\"/><polygon points=\"{tip},{y} {back},{above} {back},{below}\"/>"
    )
}

/// A name in so many characters: without its first parts, since it is the last ones that tell names apart, and cut
/// only where the last one alone is too long.
fn short_name(name: &str, characters_max: usize) -> String {
    let mut short = name;
    while short.chars().count() > characters_max
        && let Some((_, rest)) = short.split_once('.')
    {
        short = rest;
    }
    if short.chars().count() <= characters_max {
        return short.to_owned();
    }
    short.chars().take(characters_max.saturating_sub(1)).chain(['…']).collect()
}

/// A text as it stands in XML.
struct Text<'t>(&'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            // XML has no way to write these.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}'),
            // Nor may one text turn around those beside it.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_char('\u{fffd}'),
            other => f.write_char(other),
        })
    }
}
