//! The system calls of a daemon, as `strace` reports them.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use bus_tests::harness::{Bus, Client, Config, Daemon, Folder, skip, skip_without};
use rustix::fs::{CWD, Mode, mkfifoat};

/// What `strace` is asked to print of a text: enough to find the name of a method in a message.
const TEXT_SIZE: &str = "400";

/// Our daemon under `strace`.
pub(crate) struct TracedBus {
    pub(crate) bus: Bus,
    trace: JoinHandle<String>,
    dir: Folder,
}

impl TracedBus {
    /// `None`, and a line on stderr: there is no `strace`, or it may not trace here.
    pub(crate) fn start() -> Option<Self> {
        if !may_trace() {
            return None;
        }
        let dir = Folder::new();
        let (fifo, program) = (dir.join("trace"), dir.join("traced-daemon"));
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        write_script(&program, &fifo);
        // Reading ends when strace has written everything and closes its end.
        let trace = std::thread::spawn(move || {
            let mut text = String::new();
            File::open(fifo).unwrap().read_to_string(&mut text).unwrap();
            text
        });
        let daemon = Daemon { label: "bus-daemon under strace", program };
        Some(Self { bus: Bus::start(&daemon, &Config::SESSION), trace, dir })
    }

    /// Marks a point in the trace: [`Self::finish`] cuts there.
    pub(crate) fn mark(&self, client: &mut Client) {
        client.call("GetId", &[]);
    }

    /// Ends the daemon; answers the names of its system calls between each two marks.
    pub(crate) fn finish(self) -> Vec<Vec<String>> {
        let pid = self.bus.pid().to_string();
        assert!(self.bus.terminate());
        let text = self.trace.join().unwrap();
        drop(self.dir);
        phases(&text, &pid)
    }
}

/// Starts the daemon under strace, in such a way that it is the daemon that the harness waits for.
fn write_script(program: &Path, fifo: &Path) {
    let script = format!(
        "#!/bin/sh\nexec strace -D -f -s {TEXT_SIZE} -o '{}' '{}' \"$@\"\n",
        fifo.display(),
        Daemon::ours().program.display()
    );
    fs::write(program, script).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o700)).unwrap();
}

/// Whether what programs ask of the system can be seen; says so if not.
pub(crate) fn may_trace() -> bool {
    let silent = Stdio::null;
    let mut strace = Command::new("strace");
    strace.args(["-D", "-o", "/dev/null", "true"]).stdout(silent()).stderr(silent());
    match strace.status() {
        Ok(status) if status.success() => return true,
        Ok(_) => skip("strace may not trace"),
        Err(_) => skip_without("strace"),
    }
    false
}

/// Cuts the trace of the process `pid` at each answered mark.
fn phases(trace: &str, pid: &str) -> Vec<Vec<String>> {
    let calls = trace.lines().filter_map(|line| {
        let (thread, call) = line.split_once(char::is_whitespace)?;
        (thread == pid).then(|| call.trim_start())
    });
    let mut phases = vec![Vec::new()];
    let mut in_mark = false;
    for call in calls.filter(|call| !call.starts_with("<...")) {
        let Some((name, _)) = call.split_once('(') else { continue };
        let name = if name.starts_with("epoll_pwait") { "epoll_wait" } else { name };
        let phase = phases.last_mut().unwrap();
        if name == "recvmsg" && call.contains("GetId") {
            // The wait before it is the mark's, too.
            assert_eq!(phase.pop().as_deref(), Some("epoll_wait"));
            in_mark = true;
        } else if in_mark {
            assert_eq!(name, "sendmsg", "the answer to a mark");
            phases.push(Vec::new());
            in_mark = false;
        } else {
            phase.push(name.to_owned());
        }
    }
    phases
}
