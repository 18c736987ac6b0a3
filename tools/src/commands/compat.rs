//! `bus compat`: another project's command, as it is where a link has its name.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

use crate::compat;
use crate::failure::{Failure, Result};

/// Be busctl, gdbus, dbus-send or another old name, with its options and its output
#[derive(Args, Debug)]
pub(crate) struct Compat {
    /// Which one, and its arguments
    // In one list: where only the arguments are one, options of ours that stand first in it are taken as ours.
    #[arg(value_names = ["NAME", "ARGUMENT"], required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Compat {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (name, arguments) = self.words.split_first().unzip();
        let name = name.map(|name| name.to_string_lossy()).unwrap_or_default();
        compat::run(&name, arguments.unwrap_or_default()).ok_or_else(|| {
            Failure::usage(format!("there is no command {name} to be"))
                .hint(format!("there are {}", compat::names().collect::<Vec<_>>().join(", ")))
        })
    }
}
