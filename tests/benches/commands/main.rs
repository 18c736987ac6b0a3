//! Compares `bus list` and `bus tree` with busctl's on a bus with many names:
//! `cargo bench -p bus-tests --bench commands`.
//!
//! Both take turns, round after round; what is reported are medians of the ratios within a round, and their range.
//! Beside the time of all it is the time until the first line is there.

#![allow(clippy::expect_used, reason = "a measuring program: what it expects of itself may end it")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use bus_tests::harness::{Bus, Config, Daemon, bus_command};
use bus_tests::spread::Spread;
use clap::Parser;
use libbus::blocking::{Builder, Connection, interface};

/// Compares `bus list` and `bus tree` with busctl's.
#[derive(Debug, Parser)]
struct Options {
    /// How many times each takes its turn
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Well-known names on the bus
    #[arg(long, default_value_t = 1000)]
    names: usize,
    /// What `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Programs that have the names.
const SERVICES: usize = 20;

struct Object;

#[interface(name = "org.example.Object")]
impl Object {
    fn nothing(&self) {}
}

/// How long a command took, to its first line and in all.
#[derive(Clone, Copy)]
struct Times {
    first_line: Duration,
    all: Duration,
}

fn main() {
    let options = Options::parse();
    let busctl = PathBuf::from("/usr/bin/busctl");
    if !busctl.is_file() {
        println!("busctl is not installed: there is nothing to compare with");
        return;
    }
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let address = bus.addresses().next().expect("an address").to_owned();
    let services: Vec<Connection> =
        (0..SERVICES).map(|number| service(&address, number, options.names / SERVICES)).collect();
    let ours = bus_command();
    println!(
        "{} names, {} rounds; ratio to busctl: median (range)\n",
        options.names, options.rounds
    );
    println!("| | first line | all | first line, ms | all, ms |\n|---|--:|--:|--:|--:|");
    for verb in ["list", "tree"] {
        let rounds: Vec<(Times, Times)> = (0..options.rounds)
            .map(|_| (run(&ours, &address, verb), run(&busctl, &address, verb)))
            .collect();
        report(verb, &rounds);
    }
    services.iter().for_each(Connection::close);
}

/// One that has some of the names and an object.
fn service(address: &str, number: usize, names: usize) -> Connection {
    let builder = Builder::address(address).expect("the bus's address");
    let builder =
        builder.serve_at(format!("/org/example/N{number}").as_str(), Object).expect("a path");
    let connection = builder.build().expect("the bus takes it");
    let names = (0..names).map(|name| format!("org.example.N{number}.N{name}"));
    names.for_each(|name| connection.request_name(&name).expect("the name is free"));
    let serving = connection.clone();
    thread::spawn(move || drop(serving.serve()));
    connection
}

fn run(program: &Path, address: &str, verb: &str) -> Times {
    let start = std::time::Instant::now();
    let mut child = Command::new(program)
        .args([&format!("--address={address}"), "--no-pager", verb])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    let first_line = start.elapsed();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).expect("its output");
    assert!(child.wait().expect("it ends").success(), "{} {verb} failed", program.display());
    assert!(rest.len() > 10_000, "{} {verb} has shown too little", program.display());
    Times { first_line, all: start.elapsed() }
}

fn report(verb: &str, rounds: &[(Times, Times)]) {
    let ratio = |of: fn(&Times) -> Duration| {
        spread(rounds.iter().map(|(ours, its)| of(ours).as_secs_f64() / of(its).as_secs_f64()))
    };
    let of_ours = |of: fn(&Times) -> Duration| {
        spread(rounds.iter().map(|(ours, _)| of(ours).as_secs_f64() * 1e3))
    };
    println!(
        "| bus {verb} | {} | {} | {} | {} |",
        ratio(|times| times.first_line),
        ratio(|times| times.all),
        of_ours(|times| times.first_line),
        of_ours(|times| times.all),
    );
}

fn spread(values: impl Iterator<Item = f64>) -> String {
    Spread::of(values).expect("a round").to_string()
}
