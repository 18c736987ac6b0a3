//! `bus completions`: scripts by which shells complete command lines of `bus`; and what they call (tools.md D040).

use clap::{Args, ValueEnum};

use crate::completion::{Candidate, candidates};
use crate::failure::Result;
use crate::output::escape::plain;
use crate::output::out::Out;

/// Print a script that lets a shell complete names, objects, members, verbs and options
///
/// What is on the bus is completed, too: on the bus that the options on the line mean.
///
///   bash: source <(bus completions bash), in ~/.bashrc
///
///   zsh: source <(bus completions zsh), in ~/.zshrc after compinit
///
///   fish: bus completions fish > ~/.config/fish/completions/bus.fish
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells that there is a script for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(crate) fn run(self) -> Result<()> {
        let script = match self.shell {
            Shell::Bash => include_str!("completions/bus.bash"),
            Shell::Zsh => include_str!("completions/bus.zsh"),
            Shell::Fish => include_str!("completions/bus.fish"),
        };
        let mut out = Out::plain();
        out.text(script)?;
        out.finish()
    }
}

/// What may stand in place of the last word: for the scripts of `bus completions`
///
/// Each line is a kind, a value and a help text, with tabs between them.
#[derive(Args, Debug)]
#[command(hide = true)]
pub(crate) struct CompleteWords {
    /// The words after `bus` up to the cursor, the last one perhaps empty
    #[arg(last = true)]
    words: Vec<String>,
}

impl CompleteWords {
    /// Whatever goes wrong, there is just nothing to complete.
    pub(crate) fn run(self) -> Result<()> {
        let mut out = Out::plain();
        for candidate in candidates(&self.words) {
            out.line(&match candidate {
                Candidate::Word { value, help } => {
                    format!("word\t{}\t{}", plain(&value), plain(&help))
                }
                Candidate::Part { value, help } => {
                    format!("part\t{}\t{}", plain(&value), plain(&help))
                }
                Candidate::Files => "files\t\t".to_owned(),
                Candidate::Command { first } => format!("command\t{first}\t"),
            })?;
        }
        out.finish()
    }
}
