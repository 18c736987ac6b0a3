//! Policies: the same random policies and messages through our daemon and through the system's
//! `dbus-daemon`, with the same verdicts (config.md B047–B078).
//!
//! Each daemon runs once, with clients of several users; each policy comes by a reload. A mandatory
//! block at the end of every policy keeps open what the test itself needs. What is compared is who
//! got each message and whether its sender was refused. `POLICY_COUNT` sets how many policies there
//! are, `POLICY_SEED` which.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken expectation is a failed test"
)]

mod explain;
mod generate;
mod notices;
#[path = "../simulation/random.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses more of it")]
mod random;
mod reload;
mod script;
mod shipped;
mod user_limits;

use bus_tests::harness::Daemon;

use crate::generate::Trial;
use crate::random::Random;
use crate::script::Stage;

const POLICY_COUNT: usize = 120;
const TRIALS_PER_STAGE: u64 = 50;

fn number(variable: &str, default: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn random_policies_decide_as_the_reference_does() {
    if !rustix::process::getuid().is_root() {
        return println!("skipped: needs root, for clients of several users");
    }
    let Some(reference) = Daemon::reference() else {
        return println!("skipped: no dbus-daemon is installed");
    };
    let stages = || (Stage::new(&Daemon::ours()), Stage::new(&reference));
    let (mut our_stage, mut their_stage) = stages();
    let seed = number("POLICY_SEED", 1) as u64;
    let (mut verdicts, mut refusals) = (0, 0);
    for index in 0..number("POLICY_COUNT", POLICY_COUNT) as u64 {
        let trial = Trial::new(&mut Random::new(seed.wrapping_mul(1_000_003) + index));
        if index > 0 && index % TRIALS_PER_STAGE == 0 {
            // Calls that nobody answers pile up.
            (our_stage, their_stage) = stages();
        }
        let (ours, theirs) = (our_stage.run(&trial), their_stage.run(&trial));
        for (what, (ours, theirs)) in trial.questions().zip(ours.iter().zip(&theirs)) {
            assert_eq!(ours, theirs, "ours, theirs: {what}\nunder {}", trial.policies);
        }
        assert_eq!(ours.len(), theirs.len());
        verdicts += ours.len();
        refusals += ours.iter().filter(|answer| answer.contains("AccessDenied")).count();
    }
    println!("{verdicts} questions, {refusals} refused, all answered alike");
    assert!(refusals * 10 > verdicts && refusals * 10 < verdicts * 9, "{refusals} of {verdicts}");
}
