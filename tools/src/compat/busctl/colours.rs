//! When systemd's commands use colours (tools.md D028), which ones, and how wide the terminal is.

use std::env::var_os;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;

use crate::value::flat::boolean;

/// How a part of the output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Highlight,
    Underlined,
    Grey,
    Green,
    BoldGreen,
    BoldBlue,
    BoldRed,
}

/// What ends each look.
pub(super) const NORMAL: &str = "\u{1b}[0m";

/// Which colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    None,
    Sixteen,
    Many,
}

impl Colours {
    /// What `$SYSTEMD_COLORS` says; without it they are for terminals that know them, and not where `$NO_COLOR` is.
    pub(super) fn wanted() -> Self {
        let said = std::env::var("SYSTEMD_COLORS").ok();
        match said.as_deref().map(|said| (said, boolean(said))) {
            Some(("16", _)) => Self::Sixteen,
            Some(("256", _) | (_, Some(true))) => Self::Many,
            Some((_, Some(false))) => Self::None,
            _ if var_os("NO_COLOR").is_none() && !is_dumb() => Self::Many,
            _ => Self::None,
        }
    }

    pub(super) const fn are_there(self) -> bool {
        !matches!(self, Self::None)
    }

    /// What begins this look.
    pub(super) const fn start(self, look: Look) -> &'static str {
        match (self, look) {
            (Self::None, _) => "",
            (_, Look::Highlight) => "\u{1b}[0;1;39m",
            (_, Look::Underlined) => "\u{1b}[0;4m",
            (Self::Sixteen, Look::Grey) => "\u{1b}[0;90m",
            (_, Look::Grey) => "\u{1b}[0;38;5;245m",
            (_, Look::Green) => "\u{1b}[0;32m",
            (_, Look::BoldGreen) => "\u{1b}[0;1;32m",
            (_, Look::BoldBlue) => "\u{1b}[0;1;34m",
            (_, Look::BoldRed) => "\u{1b}[0;1;31m",
        }
    }

    pub(super) const fn end(self) -> &'static str {
        if self.are_there() { NORMAL } else { "" }
    }

    pub(super) fn paint(self, look: Look, text: &str) -> String {
        [self.start(look), text, self.end()].concat()
    }
}

/// Whether nobody sees more than lines of text: on a terminal both output and errors are seen, and it says what it is.
pub(super) fn is_dumb() -> bool {
    let is_terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    !is_terminal || var_os("TERM").is_none_or(|term| term == "dumb")
}

/// How wide lines may be: as `$COLUMNS` says, as the terminal is, or 80.
pub(super) fn columns() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.trim_start().parse::<u16>().ok());
    let of_terminal = || {
        let size = rustix::termios::tcgetwinsize(std::io::stdout().as_fd());
        size.ok().map(|size| size.ws_col)
    };
    let width = said.filter(|width| *width > 0).or_else(of_terminal).filter(|width| *width > 0);
    width.unwrap_or(80).into()
}
