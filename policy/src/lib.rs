//! The bus configuration language, and what it allows.
//!
//! A bus is configured by XML files that include one another (dbus-daemon(1), "CONFIGURATION
//! FILE"). [`load`] reads them all into one [`BusConfig`]: addresses, limits, service directories
//! and the policy blocks in the order in which they apply. Everything that is wrong with them is
//! collected as a [`Problem`] that names file, line and column and says what to write instead.
//!
//! What the policy blocks permit is decided by [`PolicySet`] and [`UserPolicy`]: a question
//! ([`Message`], a name, a user who connects) gets a [`Verdict`] with the rule that decided, and
//! [`Explanation`] tells how it came about.
//!
//! The crate opens no file and looks up no user: text arrives through [`ConfigFiles`], the numbers
//! of users and groups through [`AccountNames`].
#![forbid(unsafe_code)]

pub mod config;
pub mod explain;
pub mod inquiry;
pub mod lint;
pub mod policy_set;
pub mod question;
pub mod rule;
pub mod shown;
pub mod subject;
pub mod user_policy;
pub mod verdict;

mod symbols;
mod table;
#[cfg(test)]
mod tests;

pub use config::{
    AppArmorMode, BusConfig, ConfigFiles, Fault, FileError, Limits, Loaded, Location, Problem,
    Reload, ServiceDirectory, Severity, load, load_text, reload,
};
pub use explain::Explanation;
pub use inquiry::{Anonymous, Answer, Door, Inquiry, InquiryError};
pub use lint::{Finding, lint};
pub use policy_set::{Audience, MatchedPatterns, PolicyBlock, PolicyContext, PolicySet, RuleId};
pub use question::{Circumstances, Message};
pub use shown::ShownPath;
pub use subject::{AccountNames, Subject};
pub use symbols::Question;
pub use user_policy::UserPolicy;
pub use verdict::Verdict;
