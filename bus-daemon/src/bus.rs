//! The bus without an operating system.

pub mod credentials;
pub mod id;
pub mod match_index;
pub mod name_registry;
pub mod pending_reply;
