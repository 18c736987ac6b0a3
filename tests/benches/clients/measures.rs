//! What is measured, and how.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bus_tests::harness::{Bus, Config, Daemon};

use crate::load::{Load, signals};
use crate::peers::{Peer, SERVICE};

const CALL_COUNT: u32 = 3_000;
const SIGNAL_COUNT: u32 = 20_000;
const SERVED_COUNT: usize = 64 * 300;
/// Of a short and of a long run, for what is counted as their difference.
const FEW: u32 = 100;
const MANY: u32 = 600;

/// One column of figures: nanoseconds for one operation, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Processor time of the calling program, waiting where it calls.
    Call,
    /// The same with futures or callbacks.
    CallAsync,
    /// Processor time of the serving program, and how long until it has answered, when many calls come.
    ServeCpu,
    ServeTime,
    /// The same of the receiving program.
    SignalCpu,
    SignalTime,
}

impl Measure {
    pub(crate) const ALL: [Self; 6] = [
        Self::Call,
        Self::CallAsync,
        Self::ServeCpu,
        Self::ServeTime,
        Self::SignalCpu,
        Self::SignalTime,
    ];
}

/// By measure and library: one figure a round, none for what a library cannot do.
pub(crate) type Results = BTreeMap<(Measure, &'static str), Vec<f64>>;

/// What a program printed of itself.
#[derive(Clone, Copy, Debug)]
struct Spent {
    cpu_ns: f64,
    wall_ns: f64,
    threads: u32,
}

impl Spent {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (cpu_ns, wall_ns) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { cpu_ns, wall_ns, threads: words.next()?.parse().ok()? })
    }
}

/// A program that ends when it is dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    /// Starts `command` on this bus and waits for its first line; nothing if it cannot do it.
    fn start(bus: &Bus, command: &mut Command) -> Option<(Self, Lines, String)> {
        command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = Lines(BufReader::new(child.stdout.take().expect("its output")));
        let program = Self(child);
        let first = lines.next()?;
        Some((program, lines, first))
    }
}

struct Lines(BufReader<std::process::ChildStdout>);

impl Lines {
    fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        let size = self.0.read_line(&mut line).expect("text");
        (size > 0).then_some(line)
    }
}

fn start_bus() -> Bus {
    let limits = &[("max_replies_per_connection", 50_000)];
    Bus::start(&Daemon::ours(), &Config { limits, ..Config::SESSION })
}

fn command(peer: &Peer, mode: &str, count: u32) -> Command {
    let mut command = Command::new(&peer.program);
    command.arg(mode).arg(count.to_string());
    command
}

fn service(peers: &[Peer]) -> &Peer {
    peers.iter().find(|peer| peer.label == SERVICE).expect("the service")
}

/// Each library does everything once.
pub(crate) fn take_round(peers: &[Peer], results: &mut Results) {
    let bus = start_bus();
    let serving = Program::start(&bus, &mut command(service(peers), "serve", 0));
    for (measure, mode) in [(Measure::Call, "call"), (Measure::CallAsync, "call-async")] {
        for peer in peers {
            if let Some(spent) = run(&bus, &mut command(peer, mode, CALL_COUNT)) {
                let figure = spent.cpu_ns / f64::from(CALL_COUNT);
                results.entry((measure, peer.label)).or_default().push(figure);
            }
        }
    }
    drop(serving);
    for peer in peers {
        if let Some((cpu_ns, wall_ns)) = serve(peer) {
            results.entry((Measure::ServeCpu, peer.label)).or_default().push(cpu_ns);
            results.entry((Measure::ServeTime, peer.label)).or_default().push(wall_ns);
        }
    }
    for peer in peers {
        if let Some(spent) = receive(peer) {
            let count = f64::from(SIGNAL_COUNT);
            let mut note = |measure, figure| {
                results.entry((measure, peer.label)).or_default().push(figure);
            };
            note(Measure::SignalCpu, spent.cpu_ns / count);
            note(Measure::SignalTime, spent.wall_ns / count);
        }
    }
}

fn run(bus: &Bus, command: &mut Command) -> Option<Spent> {
    let (_program, _, line) = Program::start(bus, command)?;
    Spent::parse(&line)
}

/// Processor time and time for each served call.
fn serve(peer: &Peer) -> Option<(f64, f64)> {
    let bus = start_bus();
    let (program, _lines, _) = Program::start(&bus, &mut command(peer, "serve", 0))?;
    let mut load = Load::connect(&bus);
    load.call(SERVED_COUNT / 10);
    let (cpu, begin) = (cpu_time(program.0.id()), Instant::now());
    load.call(SERVED_COUNT);
    let (cpu, wall) = (cpu_time(program.0.id()) - cpu, begin.elapsed());
    let each = |time: Duration| time.as_nanos() as f64 / SERVED_COUNT as f64;
    Some((each(cpu), each(wall)))
}

fn receive(peer: &Peer) -> Option<Spent> {
    let bus = start_bus();
    // All that is not to be measured is done before.
    let (mut load, signals) = (Load::connect(&bus), signals(SIGNAL_COUNT));
    let (_program, mut lines, _) =
        Program::start(&bus, &mut command(peer, "signals", SIGNAL_COUNT))?;
    load.emit(&signals);
    Spent::parse(&lines.next()?)
}

/// The time that all threads of a process have spent on a processor.
fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process that runs");
    let of_task = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let statistics = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        statistics.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(tasks.filter_map(of_task).sum())
}

/// What a call costs that can be counted; by mode, nothing where a library or the machine cannot do it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) blocking: Count,
    pub(crate) asynchronous: Count,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) system_calls: Option<f64>,
    pub(crate) allocations: Option<f64>,
    pub(crate) threads: Option<u32>,
}

impl Counts {
    pub(crate) fn of(peer: &Peer, peers: &[Peer]) -> Self {
        let of_mode = |mode| Count::of(peer, peers, mode);
        Self { blocking: of_mode("call"), asynchronous: of_mode("call-async") }
    }
}

impl Count {
    fn of(peer: &Peer, peers: &[Peer], mode: &str) -> Self {
        let bus = start_bus();
        let _serving = Program::start(&bus, &mut command(service(peers), "serve", 0));
        let threads = run(&bus, &mut command(peer, mode, FEW)).map(|spent| spent.threads);
        if threads.is_none() {
            return Self::default();
        }
        let file = bus.dir.join("counts");
        let file = file.to_str().expect("a path in UTF-8");
        let strace = ["strace", "-c", "-f", "-o", file];
        let memory = format!("--log-file={file}");
        let valgrind = ["valgrind", "--leak-check=no", &memory];
        let counted = |tool: &[&str], read: fn(&str) -> Option<f64>| {
            let of_run = |count| {
                run_under(&bus, tool, peer, mode, count)?;
                read(&fs::read_to_string(file).ok()?)
            };
            Some((of_run(MANY)? - of_run(FEW)?) / f64::from(MANY - FEW))
        };
        Self {
            system_calls: counted(&strace, total_of_strace),
            allocations: counted(&valgrind, total_of_valgrind),
            threads,
        }
    }
}

fn run_under(bus: &Bus, tool: &[&str], peer: &Peer, mode: &str, count: u32) -> Option<()> {
    let (name, arguments) = tool.split_first()?;
    let mut command = Command::new(name);
    command.args(arguments).arg(&peer.program).arg(mode).arg(count.to_string());
    command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    status.success().then_some(())
}

/// `100.00    0.012345           5      2469       817 total`
fn total_of_strace(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// `==1==   total heap usage: 1,234 allocs, 1,200 frees, 56,789 bytes allocated`
fn total_of_valgrind(report: &str) -> Option<f64> {
    let (_, usage) = report.split_once("total heap usage: ")?;
    usage.split_once(" allocs")?.0.replace(',', "").parse().ok()
}
