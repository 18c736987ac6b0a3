//! `bus compat`: another project's command, as it is where a link has its name.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

use crate::compat;
use crate::failure::{Failure, Result};

/// Be busctl, gdbus, dbus-send or another old name, with its options and its output
#[derive(Args, Debug)]
pub(crate) struct Compat {
    /// Which one
    name: String,

    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Compat {
    pub(crate) fn run(self) -> Result<ExitCode> {
        compat::run(&self.name, &self.arguments).ok_or_else(|| {
            Failure::usage(format!("there is no command {} to be", self.name))
                .hint(format!("there are {}", compat::names().collect::<Vec<_>>().join(", ")))
        })
    }
}
