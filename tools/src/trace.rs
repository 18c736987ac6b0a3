//! `bus trace`: what was said on a bus, as a picture (tools.md D062).
//!
//! A [`Recorder`] takes messages, from a capture or as a monitor sees them, and makes a [`Trace`] of them: tables of
//! what the picture needs, where each text is held once. [`write_html`] makes one file of it that needs nothing else,
//! with everything that can be looked at and filtered; [`write_svg`] a still picture of the first messages.
//!
//! Nothing of a message becomes markup: in the page the data is JSON in a script block that is not run, with all that
//! could end the block escaped (`html`), and the page's own script puts it into text nodes only; in a picture it is
//! escaped text.
//!
//! Bounds: [`Limits`] say how many messages are kept; of one text `TEXT_SIZE_MAX` bytes, of one body
//! `BODY_SIZE_MAX`, of all together `TOTAL_SIZE_MAX`. What is left out is said on the page.

mod html;
mod strings;
mod svg;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};

use libbus::message::Message;
use libbus::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::MessageType;
use serde::Serialize;

pub use self::html::write_html;
use self::strings::{Strings, beginning};
pub use self::svg::write_svg;
use crate::capture::{Captured, Cut, Time};
use crate::conversation::Conversation;

/// How many messages a page has unless it is told otherwise.
pub const MESSAGES_DEFAULT: usize = 200_000;
/// The most that a page can be told to have.
pub const MESSAGES_MAX: usize = 1_000_000;
/// Bytes of one name or path; of more the beginning is shown.
const TEXT_SIZE_MAX: usize = 1024;
/// Bytes of one body in words.
const BODY_SIZE_MAX: usize = 4096;
/// Bytes of all texts.
const TOTAL_SIZE_MAX: usize = 256 << 20;
/// What stands at the end of a text that was cut.
const CUT_MARK: &str = "…";

/// What a trace is of.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Messages that are kept; of more it is said how many there were.
    pub messages_max: usize,
    /// Whether replies are left out whose calls were not seen.
    pub only_known_replies: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages_max: MESSAGES_DEFAULT, only_known_replies: false }
    }
}

/// Makes a trace of messages. Calling order: [`Recorder::handle_message`] for each in its order,
/// [`Recorder::handle_notice`] for what else is to be said, [`Recorder::finish`].
#[derive(Debug)]
pub struct Recorder {
    limits: Limits,
    conversation: Conversation,
    strings: Strings,
    rows: Vec<Row>,
    begin: Option<Time>,
    text_left: usize,
    left_out_count: u64,
    notices: Vec<String>,
}

/// A message as it is kept; texts are numbers of [`Strings`].
#[derive(Debug)]
struct Row {
    kind: Kind,
    flags: u8,
    /// Microseconds since the first message.
    time: i64,
    /// Who it really went to, as far as that is known.
    recipient: u32,
    sender: u32,
    destination: u32,
    path: u32,
    interface: u32,
    member: u32,
    error: u32,
    signature: u32,
    serial: u32,
    reply_serial: u32,
    call: Option<usize>,
    size: u64,
    fds: u32,
    body: String,
    kept: Option<u64>,
}

/// What a message is for, as the page numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Call,
    Reply,
    Error,
    Signal,
    Unknown,
}

impl Kind {
    const fn of(message_type: MessageType) -> Self {
        match message_type {
            MessageType::MethodCall => Self::Call,
            MessageType::MethodReturn => Self::Reply,
            MessageType::Error => Self::Error,
            MessageType::Signal => Self::Signal,
            MessageType::Unknown(_) => Self::Unknown,
        }
    }
}

impl Recorder {
    /// One that has no messages yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            conversation: Conversation::default(),
            strings: Strings::default(),
            rows: Vec::new(),
            begin: None,
            text_left: TOTAL_SIZE_MAX,
            left_out_count: 0,
            notices: Vec::new(),
        }
    }

    /// Takes in a message of a capture.
    pub fn handle_captured(&mut self, captured: &Captured) {
        self.add(captured.time, &captured.message, captured.size, captured.cut.as_ref());
    }

    /// Takes in a message that was just seen.
    pub fn handle_message(&mut self, time: Time, message: &Message) {
        self.add(Some(time), message, message.size() as u64, None);
    }

    /// Has the page say something, such as where a capture is damaged.
    pub fn handle_notice(&mut self, notice: String) {
        self.notices.push(notice);
    }

    /// Whether nothing was taken in.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether there is room for no more messages.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.rows.len() >= self.limits.messages_max
    }

    fn add(&mut self, time: Option<Time>, message: &Message, size: u64, cut: Option<&Cut>) {
        if self.is_full() {
            self.left_out_count += 1;
            return;
        }
        let number = self.rows.len();
        let pair = self.conversation.handle_message(number as u64, time, message);
        let is_answer = matches!(Kind::of(message.message_type()), Kind::Reply | Kind::Error);
        if self.limits.only_known_replies && is_answer && pair.is_none() {
            return;
        }
        let time = time.map_or(0, |time| self.since_begin(time));
        let row = self.row(message, cut.map(|cut| cut.signature.as_str()));
        let call = pair.and_then(|pair| usize::try_from(pair.call).ok());
        if let Some(call) = call.and_then(|call| self.rows.get_mut(call))
            && row.kind == Kind::Reply
        {
            call.recipient = row.sender;
        }
        self.rows.push(Row { time, call, size, kept: cut.map(|cut| cut.kept), ..row });
    }

    fn since_begin(&mut self, time: Time) -> i64 {
        let begin = *self.begin.get_or_insert(time);
        let micros = |time: Time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        micros(time.saturating_sub(begin)) - micros(begin.saturating_sub(time))
    }

    fn row(&mut self, message: &Message, signature: Option<&str>) -> Row {
        let header = message.header();
        let mut id = |text: Option<&str>| self.strings.id(text.unwrap_or_default());
        let destination = header.destination.map(BusName::as_str);
        let owner =
            destination.map(|name| self.conversation.names().owner_of(name).unwrap_or(name));
        Row {
            kind: Kind::of(header.message_type),
            flags: header.flags.bits(),
            time: 0,
            recipient: id(owner),
            sender: id(header.sender.map(BusName::as_str)),
            destination: id(destination),
            path: id(header.path.map(ObjectPath::as_str)),
            interface: id(header.interface.map(InterfaceName::as_str)),
            member: id(header.member.map(MemberName::as_str)),
            error: id(header.error_name.map(ErrorName::as_str)),
            signature: id(Some(signature.unwrap_or(header.signature.as_str()))),
            serial: header.serial.get(),
            reply_serial: header.reply_serial.map_or(0, |serial| serial.get()),
            call: None,
            size: 0,
            fds: header.unix_fds,
            body: self.body_text(message),
            kept: None,
        }
    }

    /// The arguments in words, one in a line.
    fn body_text(&mut self, message: &Message) -> String {
        let mut text = BodyText::new(BODY_SIZE_MAX.min(self.text_left));
        // It fails where the bound is reached.
        let _ = write!(text, "{message}");
        self.text_left = self.text_left.saturating_sub(text.text.len());
        text.text
    }

    /// All that was taken in. `title` and `source` are what it is called and where it comes from.
    #[must_use]
    pub fn finish(mut self, title: &str, source: &str) -> Trace {
        self.add_notices();
        let lanes = Lanes::of(&self.rows, &self.strings, &self.conversation);
        Trace {
            title: title.to_owned(),
            source: source.to_owned(),
            begin: self.begin.map(|begin| begin.as_micros() as f64),
            messages: Columns::of(self.rows, &lanes.of_name),
            unanswered: self.conversation.unanswered().collect(),
            lanes: lanes.lanes,
            notices: self.notices,
            strings: self.strings.into_texts(),
        }
    }

    fn add_notices(&mut self) {
        if self.left_out_count > 0 {
            let (count, kept) = (self.left_out_count, self.rows.len());
            self.notices.push(format!("{count} more messages follow the {kept} that are shown."));
        }
        let given_up = self.conversation.given_up_count();
        if given_up > 0 {
            self.notices.push(format!(
                "Too many calls waited at once: of {given_up} it is not known whether they were answered."
            ));
        }
        if self.text_left == 0 || self.strings.is_full() {
            self.notices.push("There was no room for all texts; some are missing.".to_owned());
        }
    }
}

/// Takes the lines of a message in words but the first, which is its header, as far as they fit.
struct BodyText {
    text: String,
    size_max: usize,
    is_past_header: bool,
}

impl BodyText {
    const fn new(size_max: usize) -> Self {
        Self { text: String::new(), size_max, is_past_header: false }
    }
}

impl fmt::Write for BodyText {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        if !self.is_past_header {
            let Some((_, rest)) = text.split_once('\n') else { return Ok(()) };
            self.is_past_header = true;
            text = rest;
        }
        let room = self.size_max - self.text.len();
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        self.text.push_str(beginning(text, room.saturating_sub(CUT_MARK.len())));
        self.text.push_str(CUT_MARK);
        self.size_max = self.text.len();
        Err(fmt::Error)
    }
}

/// A trace, ready to be written.
#[derive(Debug, Serialize)]
pub struct Trace {
    title: String,
    source: String,
    /// Microseconds since 1970 of the first message.
    begin: Option<f64>,
    notices: Vec<String>,
    strings: Vec<String>,
    lanes: Vec<Lane>,
    /// The numbers of the calls that nobody answered.
    unanswered: Vec<u64>,
    messages: Columns,
}

impl Trace {
    /// How many messages it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.messages.kind.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One that sends or gets messages.
#[derive(Debug, Serialize)]
struct Lane {
    name: String,
    /// What else it is known as.
    names: Vec<String>,
}

struct Lanes {
    lanes: Vec<Lane>,
    /// Lane by number of a name.
    of_name: HashMap<u32, usize>,
}

impl Lanes {
    /// In the order in which they are first seen. Who is known by a unique and a well-known name is one.
    fn of(rows: &[Row], strings: &Strings, conversation: &Conversation) -> Self {
        let mut lanes = Self { lanes: Vec::new(), of_name: HashMap::new() };
        let mut by_text = HashMap::new();
        for row in rows {
            for name in [Some(row.sender), (row.recipient != 0).then_some(row.recipient)] {
                let Some(name) = name else { continue };
                let Lanes { lanes, of_name } = &mut lanes;
                of_name.entry(name).or_insert_with(|| {
                    let text = strings.text(name);
                    let owner = conversation.names().owner_of(text).unwrap_or(text);
                    *by_text.entry(owner.to_owned()).or_insert_with(|| {
                        let names = conversation.names().names_of(owner).to_vec();
                        lanes.push(Lane { name: owner.to_owned(), names });
                        lanes.len() - 1
                    })
                });
            }
        }
        lanes
    }
}

/// The messages, each field in a list of its own, which is much shorter in JSON than a list of objects.
#[derive(Debug, Default, Serialize)]
struct Columns {
    kind: Vec<u8>,
    flags: Vec<u8>,
    time: Vec<i64>,
    from: Vec<usize>,
    /// -1 is everybody.
    to: Vec<i64>,
    sender: Vec<u32>,
    destination: Vec<u32>,
    path: Vec<u32>,
    interface: Vec<u32>,
    member: Vec<u32>,
    error: Vec<u32>,
    signature: Vec<u32>,
    serial: Vec<u32>,
    reply_serial: Vec<u32>,
    /// -1 is none.
    call: Vec<i64>,
    size: Vec<u64>,
    fds: Vec<u32>,
    body: Vec<String>,
    /// Bytes that were kept, of those messages that were cut.
    kept: BTreeMap<usize, u64>,
}

impl Columns {
    fn of(rows: Vec<Row>, lanes: &HashMap<u32, usize>) -> Self {
        let mut columns = Self::default();
        let lane = |name: u32| lanes.get(&name).copied().unwrap_or_default();
        for (number, row) in rows.into_iter().enumerate() {
            columns.kind.push(row.kind as u8);
            columns.flags.push(row.flags);
            columns.time.push(row.time);
            columns.from.push(lane(row.sender));
            columns.to.push(if row.recipient == 0 { -1 } else { lane(row.recipient) as i64 });
            columns.sender.push(row.sender);
            columns.destination.push(row.destination);
            columns.path.push(row.path);
            columns.interface.push(row.interface);
            columns.member.push(row.member);
            columns.error.push(row.error);
            columns.signature.push(row.signature);
            columns.serial.push(row.serial);
            columns.reply_serial.push(row.reply_serial);
            columns.call.push(row.call.map_or(-1, |call| call as i64));
            columns.size.push(row.size);
            columns.fds.push(row.fds);
            columns.body.push(row.body);
            columns.kept.extend(row.kept.map(|kept| (number, kept)));
        }
        columns
    }
}
