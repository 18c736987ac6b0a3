//! What all the programs here have in common: what they are asked for, and how they measure it.
//!
//! ```text
//! PROGRAM call COUNT        calls Echo so often, one call after the other, waiting where it calls
//! PROGRAM call-async COUNT  the same with futures or callbacks
//! PROGRAM signals COUNT     has RULE_COUNT match rules, prints "ready", and takes so many signals
//! PROGRAM serve             serves Echo under the name NAME, prints "serving", goes on until it is ended
//! ```
//!
//! What was measured is printed in one line: nanoseconds of processor time of the whole process, nanoseconds that
//! passed, and threads beside the first. What a library cannot do ends the program with code 2.

pub mod libbus_async;

use std::io::Write as _;
use std::time::Instant;

use nix::time::{ClockId, clock_gettime};

pub const NAME: &str = "org.example.Echo";
pub const PATH: &str = "/org/example/Echo";
pub const INTERFACE: &str = "org.example.Echo";
pub const TEXT: &str = "a string each way";
/// The signals' members are `M0` to `M19`, one after the other.
pub const RULE_COUNT: u32 = 20;
/// Calls before those that count.
pub const WARM_UP: u32 = 200;

/// What a program is asked for.
pub enum Mode {
    Call(u32),
    CallAsync(u32),
    Signals(u32),
    Serve,
}

impl Mode {
    /// What the arguments say.
    pub fn of_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let count = arguments.get(2).and_then(|count| count.parse().ok()).unwrap_or(0);
        match arguments.get(1).map(String::as_str) {
            Some("call") => Self::Call(count),
            Some("call-async") => Self::CallAsync(count),
            Some("signals") => Self::Signals(count),
            Some("serve") => Self::Serve,
            _ => cannot(),
        }
    }
}

/// The library cannot do it.
pub fn cannot() -> ! {
    std::process::exit(2)
}

/// Where the bus is.
pub fn address() -> String {
    std::env::var("DBUS_SESSION_BUS_ADDRESS").expect("the bus's address")
}

/// The match rule of one of the signals.
pub fn rule(index: u32) -> String {
    format!("type='signal',interface='{INTERFACE}',member='M{index}'")
}

/// A beginning.
pub struct Begin(u64, Instant);

impl Begin {
    pub fn now() -> Self {
        Self(cpu_ns(), Instant::now())
    }

    /// Prints what it took from then on.
    pub fn print(&self) {
        let (cpu, wall) = (cpu_ns() - self.0, self.1.elapsed().as_nanos());
        println!("{cpu} {wall} {}", thread_count() - 1);
    }
}

fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Says something to the benchmark.
pub fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().expect("somebody who reads");
}

/// Calls again and again.
pub fn repeat(count: u32, mut call: impl FnMut()) {
    (0..WARM_UP).for_each(|_| call());
    let begin = Begin::now();
    (0..count).for_each(|_| call());
    begin.print();
}

/// As [`repeat`], with futures.
pub async fn repeat_async(count: u32, mut call: impl AsyncFnMut()) {
    for _ in 0..WARM_UP {
        call().await;
    }
    let begin = Begin::now();
    for _ in 0..count {
        call().await;
    }
    begin.print();
}

/// Serves until it is ended.
pub fn serve_for_ever() -> ! {
    say("serving");
    loop {
        std::thread::park();
    }
}
