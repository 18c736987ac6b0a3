//! `bus activate`: start a service by its name.

use clap::Args;
use libbus::names::BusName;

use crate::commands::call::named;
use crate::failure::{Failure, Result};
use crate::options::Options;

/// Start the service that has a name, unless it runs
#[derive(Args, Debug)]
pub(crate) struct Activate {
    name: String,
}

impl Activate {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("activate")?;
        let name = named("bus name", &self.name, BusName::parse)?.as_str();
        let connection = options.connect()?;
        let bus =
            connection.bus().timeout(options.timeout.or(Some(std::time::Duration::from_secs(120))));
        let answer: u32 = bus.call("StartServiceByName", &(name, 0u32))?;
        if !options.quiet {
            print_line(match answer {
                1 => "started",
                2 => "runs already",
                _ => {
                    return Err(Failure::refused(format!(
                        "the bus answered {answer}, which means nothing"
                    )));
                }
            })?;
        }
        Ok(())
    }
}

fn print_line(text: &str) -> Result<()> {
    let mut out = crate::output::out::Out::plain();
    out.line(text)?;
    out.finish()
}
