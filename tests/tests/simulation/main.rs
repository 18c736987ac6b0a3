//! The bus core under thousands of clients, without a socket and without a clock.
//!
//! A run is decided by its seed alone. Clients of all tempers come, speak, are read from and written
//! to in pieces of any size, and go at any moment; the kernel refuses descriptors, configurations
//! are reloaded, time passes. What the bus must make of it is told by a second, naive bus (`model`),
//! which lists for each client every message that it must receive and the order. In particular:
//!
//! * each client sees a part of the one total order, in that order (protocol.md A144): by the
//!   model, and by a witness that monitors everything;
//! * each call gets exactly one reply or error (A145–A148);
//! * NameOwnerChanged tells exactly what ListNames and GetNameOwner report (A124, A133–A136);
//! * nobody gets what neither an address nor a rule brings to it (A137–A141, A154–A171);
//! * descriptors arrive with their message, the same ones, and none is left open;
//! * a client that keeps to the protocol is never disconnected, whatever the others do;
//! * when all are gone, nothing is left.
//!
//! `SIMULATION_SEED=7 cargo test -p bus-tests --test simulation` repeats the runs of seed 7;
//! `SIMULATION_RUNS=1000` makes more of them than usual.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code: a broken expectation is a failed test"
)]
#![forbid(unsafe_code)]

mod activation;
mod actor;
mod departures;
mod desk;
mod limits;
mod mail;
mod mediation;
mod message;
mod model;
mod own_limits;
mod passing;
mod random;
mod reader;
mod repaired;
mod scenario;
mod shares;
mod slow_receivers;
mod stream;
mod turns;
mod watch;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use scenario::Scenario;
use world::World;

/// Held by whoever counts descriptors or opens many.
static DESCRIPTORS: Mutex<()> = Mutex::new(());

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Makes the runs of some seeds, and says which one failed.
fn run(default_count: u64, scenario: fn(u64) -> Scenario) {
    let _guard = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = number_from_environment("SIMULATION_RUNS").unwrap_or(default_count);
    let seeds = match number_from_environment("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..count + 1,
    };
    for seed in seeds {
        let open_before = open_descriptors();
        let mut world = World::new(scenario(seed));
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            eprintln!("repeat it with SIMULATION_SEED={seed} ({})", world.position());
            resume_unwind(failure);
        }
        drop(world);
        assert_eq!(open_descriptors(), open_before, "SIMULATION_SEED={seed}: descriptors leak");
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_small_bus_does_what_its_model_does() {
    run(20, Scenario::small);
}

#[test]
fn a_bus_with_thousands_of_clients_does_what_its_model_does() {
    run(1, Scenario::large);
}
