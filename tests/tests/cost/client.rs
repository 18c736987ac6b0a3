//! What a call costs the program that makes it with `libbus::blocking`.

use std::fs;
use std::process::Command;

use bus_tests::harness::{Bus, Config, Daemon};
use libbus::blocking::{Builder, Connection, Proxy};

use crate::counting_allocator::allocations_of;
use crate::trace::may_trace;

const CALL_COUNT: u64 = 100;

fn call_repeatedly(bus: &Proxy) {
    for _ in 0..CALL_COUNT {
        let owner: String = bus.call("GetNameOwner", "org.freedesktop.DBus").unwrap();
        assert_eq!(owner, "org.freedesktop.DBus");
    }
}

fn connect(address: &str) -> Connection {
    Builder::address(address).unwrap().build().unwrap()
}

#[test]
fn a_call_with_a_string_each_way_allocates_three_times() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let proxy = connect(bus.addresses().next().unwrap()).bus();
    call_repeatedly(&proxy);
    // The reply's bytes, the reply, and the string that is asked for.
    assert_eq!(allocations_of(|| call_repeatedly(&proxy)), 3 * CALL_COUNT);
}

/// What the program of [`call_repeatedly`] asks of the system: while it connects and while it calls. Nothing
/// where that cannot be seen.
fn traced(style: &[&str]) -> Option<[String; 2]> {
    if !may_trace() {
        return None;
    }
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let trace = bus.dir.join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(&trace).arg(env!("CARGO_BIN_EXE_calling-client"));
    command.arg(bus.addresses().next().unwrap()).arg(CALL_COUNT.to_string()).args(style);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&trace).unwrap();
    let parts: Vec<&str> = text.split("getppid(").collect();
    let [before, of_connecting, of_calls, _] = parts.as_slice() else {
        panic!("{} marks", parts.len())
    };
    let caller = before.split_whitespace().next_back().unwrap();
    Some([(*of_connecting).to_owned(), of_thread(of_calls, caller)])
}

/// The system calls that one thread began: when another one starts is its own matter.
fn of_thread(trace: &str, thread: &str) -> String {
    let is_its =
        |line: &&str| line.starts_with(&format!("{thread} ")) && !line.contains(" resumed>");
    trace.lines().filter(is_its).map(|line| format!("{line}\n")).collect()
}

/// Of a service that has been asked the same before, so that it knows that it is quick.
#[test]
fn answers_to_quick_calls_leave_together() {
    if !may_trace() {
        return;
    }
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let trace = bus.dir.join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(&trace).arg(env!("CARGO_BIN_EXE_answering-service"));
    let mut service = command.arg(bus.addresses().next().unwrap()).spawn().unwrap();
    let name = "org.example.Answers";
    let client = connect(bus.addresses().next().unwrap());
    assert!(client.watch_name(name).unwrap().any(|owner| owner.unwrap().is_some()));
    let answers = Proxy::new(&client, name, "/", name).unwrap();
    let echo = answers.method_call("Echo").unwrap();
    for _ in 0..3 {
        client.call(&echo, "warm").unwrap();
    }
    answers.call::<_, ()>("Mark", &()).unwrap();
    let asked: Vec<_> = (0..CALL_COUNT).map(|_| client.send(&echo, "quick").unwrap()).collect();
    for answer in asked {
        assert_eq!(answer.wait().unwrap().deserialize::<&str>().unwrap(), "quick");
    }
    answers.call::<_, ()>("Mark", &()).unwrap();
    client.call_no_reply(&answers.method_call("End").unwrap(), &()).unwrap();
    assert!(service.wait().unwrap().success());
    let text = fs::read_to_string(&trace).unwrap();
    let parts: Vec<&str> = text.split("getppid(").collect();
    let [_, between, _] = parts.as_slice() else { panic!("{} marks", parts.len()) };
    // How many are there at once is the bus's and the machine's matter, and so is how often a quick method is held up.
    assert!(count(between, "sendmsg") < CALL_COUNT, "{between}");
}

fn count(trace: &str, name: &str) -> u64 {
    trace.matches(&format!(" {name}(")).count() as u64
}

fn count_all(trace: &str) -> u64 {
    trace.lines().filter(|line| line.contains('(')).count() as u64
}

#[test]
fn a_call_is_one_write_and_one_read_and_no_thread_is_started() {
    let Some([of_connecting, of_calls]) = traced(&[]) else { return };
    let sent_and_received = (count(&of_calls, "sendmsg"), count(&of_calls, "recvmsg"));
    assert_eq!(sent_and_received, (CALL_COUNT, CALL_COUNT));
    assert_eq!(count_all(&of_calls), 2 * CALL_COUNT, "{of_calls}");
    for part in [of_connecting, of_calls] {
        assert_eq!((count(&part, "clone"), count(&part, "clone3")), (0, 0));
    }
}

#[test]
fn an_awaited_call_is_one_write_one_wait_and_one_read() {
    let Some([_, of_calls]) = traced(&["async"]) else { return };
    let count = |name| count(&of_calls, name);
    assert_eq!((count("sendmsg"), count("recvmsg")), (CALL_COUNT, CALL_COUNT));
    assert_eq!(count("poll") + count("ppoll"), CALL_COUNT);
    assert_eq!(count_all(&of_calls), 3 * CALL_COUNT, "{of_calls}");
}
