//! Colours, where they are wanted: on a terminal, unless `NO_COLOR` is set; always or never by `--color`.

use std::io::IsTerminal as _;

use clap::ValueEnum;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// How a part of the output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Names, headers.
    Bold,
    /// What is secondary.
    Dim,
    /// Errors.
    Red,
    Green,
    Yellow,
    Blue,
}

/// Whether text gets a look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    is_on: bool,
}

impl Style {
    /// Plain text, for files.
    pub(crate) const fn off() -> Self {
        Self { is_on: false }
    }

    /// For standard output.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let is_on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let is_forbidden =
                    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                std::io::stdout().is_terminal() && !is_forbidden && !is_dumb
            }
        };
        Self { is_on }
    }

    pub(crate) const fn is_on(self) -> bool {
        self.is_on
    }

    pub(crate) fn paint(self, look: Look, text: &str) -> String {
        if !self.is_on || text.is_empty() {
            return text.to_owned();
        }
        let code = match look {
            Look::Bold => "1",
            Look::Dim => "2",
            Look::Red => "31",
            Look::Green => "32",
            Look::Yellow => "33",
            Look::Blue => "34",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
