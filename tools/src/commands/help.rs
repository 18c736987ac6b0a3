//! `bus help` (tools.md D012).

use clap::Args;

use crate::cli;
use crate::failure::{Failure, Result};
use crate::output::escape::plain;

/// Show the help of a verb, or of all
///
/// It is that which --help shows.
#[derive(Args, Debug)]
pub(crate) struct Help {
    /// The verb, with the verb of its own if it has such: list, policy explain
    #[arg(value_name = "VERB")]
    verb: Vec<String>,
}

impl Help {
    pub(crate) fn run(self) -> Result<()> {
        let mut command = cli::command();
        command.build();
        let mut verb = &mut command;
        for word in &self.verb {
            verb = verb.find_subcommand_mut(word).ok_or_else(|| {
                Failure::usage(format!("there is no verb {}", plain(&self.verb.join(" "))))
                    .hint("`bus help` shows all of them")
            })?;
        }
        Ok(verb.print_long_help()?)
    }
}
