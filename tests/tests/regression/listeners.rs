//! Sockets that clients come in through.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::{fs, io::BufRead as _, io::BufReader, path::Path, thread, time::Duration};

use bus_tests::harness::{Client, Daemon, Folder, RawClient};
use rustix::net::{Shutdown, shutdown};

const CONFIGURATION: &str = "<busconfig><listen>systemd:</listen><listen>unix:path={dir}/own</listen>\
    <policy context='default'><allow send_destination='*' eavesdrop='true'/>\
    <allow eavesdrop='true'/><allow own='*'/></policy></busconfig>";

/// A daemon that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts our daemon with one socket from outside and one of its own.
fn start(dir: &Path, inherited: &UnixListener) -> Running {
    let text = CONFIGURATION.replace("{dir}", dir.to_str().unwrap());
    fs::write(dir.join("bus.conf"), text).unwrap();
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --nofork --print-address --config-file=\"$1\" 3<&0 </dev/null";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(Daemon::ours().program)
        .arg(dir.join("bus.conf"))
        .stdin(inherited.as_fd().try_clone_to_owned().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    assert!(address.contains("unix:path="), "{address}");
    Running(child)
}

/// Time on the processor that a process used so far, in hundredths of a second.
fn processor_time(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn connect(path: &Path) -> Client {
    let mut raw = RawClient::new(UnixStream::connect(path).unwrap());
    raw.authenticate(true);
    Client::register(raw)
}

/// A socket that somebody shut down is reported by the epoll for ever, without any interest in it:
/// the bus spun. Its other sockets must not wait for it either.
#[test]
fn a_listener_out_of_order_costs_nothing_and_stops_no_other() {
    let dir = Folder::new();
    let inherited = UnixListener::bind(dir.join("inherited")).unwrap();
    let daemon = start(&dir, &inherited);
    connect(&dir.join("inherited"));
    shutdown(&inherited, Shutdown::Both).unwrap();
    connect(&dir.join("own"));
    let before = processor_time(daemon.0.id());
    // What is measured is how much a daemon with nothing to do works in a while.
    thread::sleep(Duration::from_secs(1));
    let used = processor_time(daemon.0.id()) - before;
    assert!(used < 20, "{used} hundredths of a second in one second");
    connect(&dir.join("own"));
}
