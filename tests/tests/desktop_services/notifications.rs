//! Notifications: dunst, which needs a display.

use std::process::{Child, Stdio};

use bus_tests::harness::{Client, Ended, Message, kind, limited, words};

use crate::Case;
use crate::session::Session;

pub(crate) const NOTIFICATIONS: &str = "org.freedesktop.Notifications";
/// What to monitor for [`wait_until_shown`].
pub(crate) const SHOWING: &[&str] =
    &["type='method_call',member='Notify'", "type='method_return'", "type='error'"];
const PROGRAMS: &[&str] = &["/usr/bin/notify-send", "/usr/bin/dunst", "/usr/bin/Xvfb"];
/// More take dunst seconds to draw.
const CROWD: usize = 8;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "notify-send hears that its notification is closed",
        programs: PROGRAMS,
        run: closed,
    },
    Case { name: "a crowd of notify-send starts one service", programs: PROGRAMS, run: crowd },
    Case { name: "no service without a display, one with it", programs: PROGRAMS, run: display },
];

/// Waits until a notification is shown, and answers the call that asked for it.
pub(crate) fn wait_until_shown(monitor: &mut Client) -> Message {
    let mut next = |is_it: &dyn Fn(&Message) -> bool| loop {
        let message = monitor.next();
        if is_it(&message) {
            return message;
        }
    };
    let call = next(&|message| message.kind == kind::METHOD_CALL);
    let answer = next(&|message| {
        message.reply_serial() == call.serial && message.destination() == call.sender()
    });
    assert_eq!(answer.kind, kind::METHOD_RETURN, "{}", answer.describe());
    call
}

fn closed() {
    let session = Session::with_display();
    let mut monitor = session.monitor(SHOWING);
    let mut waiting = session.leave_running("notify-send --expire-time=0 --wait Hello");
    wait_until_shown(&mut monitor);
    session.started(NOTIFICATIONS);
    session.run("dunstctl count displayed").prints(&["1\n"]);
    session.run("dunstctl close-all").succeeds();
    assert!(waiting.wait().success());
    session.run("dunstctl count displayed").prints(&["0\n"]);
}

fn crowd() {
    let session = Session::with_display();
    let command = limited(&words("notify-send --print-id Hello"));
    let start = || {
        let mut command = session.on_this_bus(limited(&words("notify-send --print-id Hello")));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let all: Vec<Child> = (0..CROWD).map(|_| start()).collect();
    let ends = all.into_iter().map(|child| child.wait_with_output().unwrap());
    let mut ids: Vec<String> =
        ends.map(|output| Ended::new(&command, &output).succeeds()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CROWD, "each has a notification of its own: {ids:?}");
    let service = session.started(NOTIFICATIONS);
    let log = session.end_with(&[service]);
    let starting = format!("Activating service name='{NOTIFICATIONS}'");
    let starts = log.iter().filter(|line| line.contains(&starting)).count();
    assert_eq!(starts, 1, "{log:?}");
}

fn display() {
    let mut session = Session::start();
    let ended = session.run("notify-send Hello");
    ended.fails_with(&[&format!("Process {NOTIFICATIONS} received signal 5")]);
    session.show_display();
    session.run("notify-send Hello").succeeds();
    session.started(NOTIFICATIONS);
}
