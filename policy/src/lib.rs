//! The bus configuration language, and what it allows.
//!
//! A bus is configured by XML files that include one another (dbus-daemon(1), "CONFIGURATION
//! FILE"). [`load`] reads them all into one [`BusConfig`]: addresses, limits, service directories
//! and the policy blocks in the order in which they apply. Everything that is wrong with them is
//! collected as a [`Problem`] that names file, line and column and says what to write instead.
//!
//! The crate opens no file and looks up no user: text arrives through [`ConfigFiles`], and names
//! of users and groups stay names. [`allow_all`] recognises the configurations whose policy lets
//! every message through.
#![forbid(unsafe_code)]

pub mod config;
pub mod policy_set;
pub mod rule;

pub use config::{
    AppArmorMode, BusConfig, ConfigFiles, Fault, FileError, Limits, Loaded, Location, Problem,
    Reload, ServiceDirectory, Severity, load, load_text, reload,
};
pub use policy_set::{AllowAll, NotAllowAll, PolicyBlock, PolicyContext, allow_all};
