//! `busctl` and `gdbus`: the originals and ours run with the same words on the same bus, and say the same.
//!
//! What must differ is made alike by rules (`transcript.rs`): serials, unique names, times, process ids. Where ours
//! says something else on purpose it stands in a table with the reason, and is looked for.

mod busctl;
mod busctl_bus;
mod busctl_monitor;
mod gdbus;
mod service;
mod transcript;
