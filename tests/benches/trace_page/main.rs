//! How smoothly the page of a large trace is scrolled, zoomed and filtered, in a real browser.
//!
//! `cargo bench -p bus-tests --bench trace_page` makes a capture of 100,000 messages, its page by `bus trace`, and opens
//! that in Chromium without a window. Each step of a workload changes what is seen and waits for the next frame; told
//! are the longest frame and the middle one, in milliseconds. It fails where a frame takes longer than
//! [`FRAME_MS_MAX`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot be made is given up"
)]

#[allow(dead_code, reason = "tests do more with it")]
#[path = "../../tests/captures/browser.rs"]
mod browser;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use bus_tests::traffic::desktop;
use bus_tools::capture::Writer;
use clap::Parser;

use crate::browser::{Browser, missing_browser};

/// What a person does not take for a jerk.
const FRAME_MS_MAX: f64 = 200.0;

/// A view, what is done in it before, and one step; `i` is its number.
type Workload = (&'static str, &'static str, &'static str);

const STEPS: u32 = 120;

const WORKLOADS: &[Workload] = &[
    (
        "sequence, from top to bottom",
        "setView(\"sequence\");",
        "sequenceScroller.box.scrollTop = (i / STEPS) * shown.length * ROW;",
    ),
    (
        "sequence, three rows a step",
        "setView(\"sequence\"); sequenceScroller.box.scrollTop = 1e6;",
        "sequenceScroller.box.scrollTop += 3 * ROW;",
    ),
    (
        "table, from top to bottom",
        "setView(\"table\");",
        "tableBox.scrollTop = (i / STEPS) * shown.length * TABLE_ROW;",
    ),
    ("timeline, all of it", "setView(\"timeline\");", "timelineScroller.box.scrollTop = i * 8;"),
    (
        "timeline, zoomed in and out",
        "setView(\"timeline\");",
        "zoomWindow(i < STEPS / 2 ? 0.9 : 1 / 0.9, 0.5);",
    ),
    ("next message, sequence", "setView(\"sequence\"); choose(50000);", "chooseBy(1);"),
    (
        "each letter of a search",
        "setView(\"sequence\"); choose(-1);",
        "state.text = \"not allowed\".slice(0, i % 12); applyFilters();",
    ),
];

/// Frames of the page of a large trace.
#[derive(Debug, Parser)]
struct Options {
    /// Messages of the trace
    #[arg(long, default_value_t = 100_000)]
    messages: usize,

    /// The program `bus`
    #[arg(long)]
    bus: Option<std::path::PathBuf>,

    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(missing) = missing_browser() {
        eprintln!("trace_page: {missing} is missing (tests/peers/install)");
        return ExitCode::FAILURE;
    }
    let folder = std::env::temp_dir().join(format!("trace-page-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let worst = measure(&options, &folder);
    fs::remove_dir_all(&folder).unwrap();
    if worst <= FRAME_MS_MAX {
        return ExitCode::SUCCESS;
    }
    eprintln!("trace_page: a frame took {worst:.1} ms, more than {FRAME_MS_MAX:.0}");
    ExitCode::FAILURE
}

/// The longest frame of all.
fn measure(options: &Options, folder: &Path) -> f64 {
    let page = make_page(options, folder);
    let browser = Browser::start(&folder.join("profile"), (1440, 900));
    let begin = Instant::now();
    browser.open(&page);
    browser.wait_for("return shown.length === count;");
    println!("{:<32} {:>9.0} ms", "opened", begin.elapsed().as_secs_f64() * 1000.0);
    println!("{:<32} {:>9} {:>9}", "", "longest", "middle");
    let frames = WORKLOADS.iter().map(|(name, before, step)| {
        let script = format!(
            "const STEPS = {STEPS}; {before}\
             for (let i = 0; i < 5; i++) await new Promise(requestAnimationFrame);\
             const took = [];\
             for (let i = 0; i < STEPS; i++) {{\
               const begin = performance.now(); {step}\
               await new Promise(requestAnimationFrame);\
               took.push(performance.now() - begin);\
             }}\
             clearFilters();\
             took.sort((one, other) => one - other);\
             return [took[took.length - 1], took[took.length >> 1]];"
        );
        let frames = browser.run(&script);
        let [longest, middle] = [0, 1].map(|index: usize| frames[index].as_f64().unwrap());
        println!("{name:<32} {longest:>6.1} ms {middle:>6.1} ms");
        longest
    });
    frames.fold(0.0, f64::max)
}

fn make_page(options: &Options, folder: &Path) -> std::path::PathBuf {
    let mut writer = Writer::pcap(Vec::new(), None).unwrap();
    for (time, bytes) in desktop(options.messages, 42) {
        writer.write(time, &bytes).unwrap();
    }
    let capture = folder.join("desktop.pcap");
    fs::write(&capture, writer.into_inner()).unwrap();
    let page = folder.join("desktop.html");
    let bus = options.bus.clone().unwrap_or_else(bus_tests::harness::bus_command);
    let begin = Instant::now();
    let status =
        Command::new(bus).arg("trace").arg(&capture).arg("-q").arg("-o").arg(&page).status();
    assert!(status.unwrap().success());
    let size = fs::metadata(&page).unwrap().len();
    println!(
        "{:<32} {:>9.0} ms, {size} bytes",
        "made by bus trace",
        begin.elapsed().as_secs_f64() * 1000.0
    );
    page
}
