//! The operating system, as far as the bus needs it.
//!
//! Everything here is a thin, honest wrapper: it makes the system call, says what went wrong, and
//! decides nothing about clients or messages. What waits, routes and refuses lives in the event
//! loop and in [`crate::bus`]. The order in which a daemon uses these parts when it starts matters:
//!
//! 1. [`daemonize::close_on_exec_beyond_stdio`], [`resource_limits::raise_fd_limit`];
//! 2. [`listener::listen`], while still privileged and before forking, so that a failure is seen;
//! 3. [`daemonize::fork_to_background`] and [`daemonize::PidFile::create`];
//! 4. [`privileged_launcher::PrivilegedLauncher::fork`], which keeps the privileges;
//! 5. [`resource_limits::drop_privileges`], before any client's bytes are read;
//! 6. [`signals::Signals::install`] and only then [`journal::Journal::start`]: the journal's thread
//!    must inherit the blocked signals, and no thread may exist when the process forks;
//! 7. [`daemonize::PrintFd::print_line`] and [`service_manager::tell`] when nothing is left that can
//!    fail: whoever waits for them may send signals and connect at once.

pub mod accounts;
pub mod apparmor;
mod audit;
pub mod client_socket;
pub mod config_files;
pub mod config_watch;
pub mod credentials;
pub mod daemonize;
pub mod file_stamps;
pub mod journal;
pub mod kernel_query;
pub mod keyring;
pub mod listener;
pub mod mediation;
pub mod privileged_launcher;
pub mod privileged_service;
pub mod resource_limits;
pub mod runtime_directory;
pub mod selinux;
pub mod service_directories;
pub mod service_launcher;
pub mod service_manager;
mod service_output;
pub mod signals;
mod supervisor;
mod system_call;
#[cfg(test)]
mod tests_support;
pub mod worker;

pub(crate) use libbus::host::{phrase, random_bytes};

/// Takes what only the start needs, which is most of the program, out of this process's memory. What is
/// needed again comes back at its first use, in pieces of 64 KiB.
pub fn unmap_unused_code() {
    system_call::unmap_unused_code();
}

/// Gives the system back what the allocator keeps for later. Costs a walk through the whole heap.
pub fn give_back_free_memory() {
    system_call::trim_heap();
}
