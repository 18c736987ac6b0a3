//! The daemon's log: to standard error, to syslog, or both.
//!
//! Where systemd's journal listens, what is meant for syslog goes to it by its own protocol, with
//! the parts of a refusal as fields of their own (systemd.journal-fields(7)).
//!
//! What a security module says goes to the kernel's audit as well (`audit.rs`).
//!
//! The caller never waits. A record goes into a bounded queue; one thread writes. When the queue is
//! full the record is dropped and counted, and the next record that fits is preceded by a line with
//! the count. A record is one line: control characters in it are escaped, so that nothing a client
//! chose can look like a line of its own.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use super::audit::Audit;
use crate::bus::log::{LogRecord, Severity};

/// Records that may wait to be written.
pub const QUEUED_RECORDS_MAX: usize = 1024;
/// Longer records are cut, in bytes; a denial with two command lines stays well below.
pub const RECORD_SIZE_MAX: usize = 8 * 1024;
/// How long the end of the daemon waits for records not written yet.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one record waits for a syslog daemon that does not read.
const SYSLOG_TIMEOUT: Duration = Duration::from_secs(1);

/// Where records go, and what is written before each.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The base name the daemon was started by, such as `dbus-daemon`.
    pub program: String,
    /// From [`bus_prefix`]; empty or ending in a space.
    pub prefix: String,
    /// Whether records go to standard error.
    pub standard_error: bool,
    /// Whether records go to syslog.
    pub syslog: bool,
    /// Whether what a security module says also goes to the kernel's audit, if this process may write
    /// there.
    pub audit: bool,
}

/// The start of each line that says which bus speaks (config.md B008): `[system] `,
/// `[session uid=U pid=P] `, nothing for other types.
#[must_use]
pub fn bus_prefix(bus_type: Option<&str>, uid: u32, pid: u32) -> String {
    match bus_type {
        Some("system") => "[system] ".to_owned(),
        Some("session") => format!("[session uid={uid} pid={pid}] "),
        _ => String::new(),
    }
}

/// The base name of `argv[0]`, else of this program.
#[must_use]
pub fn program_name() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    name.map_or_else(|| env!("CARGO_PKG_NAME").to_owned(), std::borrow::Cow::into_owned)
}

/// One line of the log without its newline: `PROGRAM[PID]: PREFIXTEXT`. For what must be said before
/// or without a [`Journal`].
#[must_use]
pub fn format_line(program: &str, prefix: &str, text: &str) -> String {
    format!("{program}[{}]: {prefix}{}", std::process::id(), one_line(text))
}

/// The log. Dropping it waits a bounded time for the last records.
#[derive(Debug)]
pub struct Journal {
    /// `None` only while dropping.
    queue: Option<Sender<LogRecord>>,
    /// Records in the queue. A channel with a bound of its own would hold the memory for all of them
    /// from the start.
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
    finished: Receiver<()>,
}

impl Journal {
    /// Starts the writer's thread; see [`crate::host`] for when.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(config: JournalConfig) -> io::Result<Self> {
        Self::start_with(Output::new(config))
    }

    fn start_with(mut output: Output) -> io::Result<Self> {
        let (queue, records) = channel::<LogRecord>();
        let (finish, finished) = sync_channel(1);
        let (waiting, dropped) = (Arc::default(), Arc::default());
        let (left, count): (Arc<AtomicUsize>, Arc<AtomicU64>) =
            (Arc::clone(&waiting), Arc::clone(&dropped));
        thread::Builder::new().name("journal".to_owned()).spawn(move || {
            for record in &records {
                left.fetch_sub(1, Ordering::Relaxed);
                output.write_dropped(count.swap(0, Ordering::Relaxed));
                output.write(&record);
            }
            output.write_dropped(count.swap(0, Ordering::Relaxed));
            let _ = finish.send(());
        })?;
        Ok(Self { queue: Some(queue), waiting, dropped, finished })
    }

    /// Hands one record to the writer, or drops and counts it when too many wait.
    pub fn log(&self, severity: Severity, text: impl Into<String>) {
        self.log_record(LogRecord::of(severity, text.into()));
    }

    /// The same with fields.
    pub fn log_record(&self, record: LogRecord) {
        let Some(queue) = &self.queue else { return };
        let has_room = self.waiting.fetch_add(1, Ordering::Relaxed) < QUEUED_RECORDS_MAX;
        if !has_room || queue.send(record).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue = None;
        let _ = self.finished.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// The writer thread's side.
struct Output {
    config: JournalConfig,
    standard_error: Box<dyn io::Write + Send>,
    syslog: Syslog,
    /// Systemd's journal, asked before syslog.
    native: Syslog,
    audit: Option<Audit>,
}

impl Output {
    fn new(config: JournalConfig) -> Self {
        let syslog = Syslog::at("/dev/log");
        let native = Syslog::at("/run/systemd/journal/socket");
        let audit = if config.audit { Audit::open() } else { None };
        Self { config, standard_error: Box::new(io::stderr()), syslog, native, audit }
    }

    fn write_dropped(&mut self, count: u64) {
        if count > 0 {
            let text = format!("{count} log records were dropped, too many waited to be written");
            self.write(&LogRecord::of(Severity::Warning, text));
        }
    }

    /// A target that fails loses the record: there is nobody left to tell.
    fn write(&mut self, record: &LogRecord) {
        let config = &self.config;
        if let (Some(audit), Some(audit_type)) = (&self.audit, record.audit) {
            audit.write(audit_type, &one_line(&record.text));
        }
        let mut line = format_line(&config.program, &config.prefix, &record.text);
        if config.syslog && !self.native.send(native_datagram(config, record).as_bytes()) {
            self.syslog.send(format!("<{}>{line}", priority(record.severity)).as_bytes());
        }
        if config.standard_error {
            line.push('\n');
            let _ = self.standard_error.write_all(line.as_bytes());
        }
    }
}

/// RFC 3164 section 4.1.1: facility times eight plus severity; denials go to facility auth (4),
/// everything else to daemon (3).
const fn priority(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 3 * 8 + 6,
        Severity::Warning => 3 * 8 + 4,
        Severity::Security => 4 * 8 + 5,
        Severity::Error => 3 * 8 + 2,
    }
}

/// What systemd's journal takes: one `NAME=value` a line.
fn native_datagram(config: &JournalConfig, record: &LogRecord) -> String {
    let priority = priority(record.severity);
    let mut datagram = format!(
        "PRIORITY={}\nSYSLOG_FACILITY={}\nSYSLOG_IDENTIFIER={}\nMESSAGE={}{}\n",
        priority % 8,
        priority / 8,
        one_line(&config.program),
        config.prefix,
        one_line(&record.text)
    );
    for (field, value) in &record.fields {
        // INVARIANT: writing to a String cannot fail.
        let _ = writeln!(datagram, "{}={}", field.name(), one_line(value));
    }
    datagram
}

/// The local syslog daemon, connected when there is something to say.
struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn at(path: &str) -> Self {
        Self { path: PathBuf::from(path), socket: None }
    }

    /// Sends one datagram, once more on a new connection if the daemon was restarted meanwhile, and
    /// says whether it was taken. The time stamp of RFC 3164 is left to the receiver, which knows the
    /// local time zone.
    fn send(&mut self, datagram: &[u8]) -> bool {
        if self.try_send(datagram) {
            return true;
        }
        self.socket = None;
        self.try_send(datagram)
    }

    fn try_send(&mut self, datagram: &[u8]) -> bool {
        if self.socket.is_none() {
            self.socket = connect(&self.path).ok();
        }
        self.socket.as_ref().is_some_and(|socket| socket.send(datagram).is_ok())
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(SYSLOG_TIMEOUT))?;
    Ok(socket)
}

/// `text` cut to its bound and without control characters, which are shown escaped.
fn one_line(text: &str) -> String {
    let end = (0..=RECORD_SIZE_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    let (kept, cut) = text.split_at(end.unwrap_or_default());
    let mut line = String::with_capacity(kept.len());
    for character in kept.chars() {
        if character.is_control() {
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    if !cut.is_empty() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;
    use crate::bus::log::LogField;
    use crate::host::tests_support::TemporaryDirectory;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output(standard_error: impl io::Write + Send + 'static, syslog: Option<&Path>) -> Output {
        let config = JournalConfig {
            program: "dbus-daemon".to_owned(),
            prefix: "[system] ".to_owned(),
            standard_error: true,
            syslog: syslog.is_some(),
            audit: false,
        };
        let mut output = Output::new(config);
        output.standard_error = Box::new(standard_error);
        output.syslog.path = syslog.unwrap_or(Path::new("/nonexistent")).to_owned();
        output.native.path = PathBuf::from("/nonexistent");
        output
    }

    // config.md B008
    #[test]
    fn lines_say_which_bus_speaks() {
        for (bus_type, expected) in [
            (Some("system"), "[system] "),
            (Some("session"), "[session uid=7 pid=9] "),
            (Some("other"), ""),
            (None, ""),
        ] {
            assert_eq!(bus_prefix(bus_type, 7, 9), expected);
        }
        let line = format_line("dbus-daemon", "[system] ", "Reloaded configuration");
        let pid = std::process::id();
        assert_eq!(line, format!("dbus-daemon[{pid}]: [system] Reloaded configuration"));
    }

    #[test]
    fn a_record_is_one_line_of_bounded_length() {
        let check = |case: &str, text: &str, expected: &str| {
            assert_eq!(one_line(text), expected, "{case}");
        };
        check("plain", "a \"b\" ü", "a \"b\" ü");
        check("line ends and escapes", "a\r\nb\u{1b}[0m", "a\\r\\nb\\u{1b}[0m");
        let longest = "x".repeat(RECORD_SIZE_MAX);
        check("at the bound", &longest, &longest);
        check("one past", &format!("{longest}x"), &format!("{longest}…"));
        let wide = format!("{}ü", "x".repeat(RECORD_SIZE_MAX - 1));
        check("not inside a character", &wide, &format!("{}…", "x".repeat(RECORD_SIZE_MAX - 1)));
    }

    #[test]
    fn what_was_logged_is_written_before_the_end() {
        let written = Written::default();
        let journal = Journal::start_with(output(written.clone(), None)).unwrap();
        for number in 0..100 {
            journal.log(Severity::Info, format!("record {number}"));
        }
        drop(journal);
        let text = written.text();
        assert_eq!(text.lines().count(), 100);
        assert!(text.ends_with("]: [system] record 99\n"));
    }

    /// A writer that stands still until it is told to go on.
    struct Stalled(mpsc::Receiver<()>, Written);

    impl io::Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (go_on, wait) = mpsc::channel();
        let written = Written::default();
        let journal = Journal::start_with(output(Stalled(wait, written.clone()), None)).unwrap();
        let logged = QUEUED_RECORDS_MAX + 11;
        for number in 0..logged {
            journal.log(Severity::Warning, number.to_string());
        }
        drop(go_on);
        drop(journal);
        let text = written.text();
        let (counts, records): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.contains("dropped"));
        let dropped: usize =
            counts.iter().filter_map(|line| line.split(' ').nth(2)?.parse::<usize>().ok()).sum();
        assert_eq!(records.len() + dropped, logged);
        // The writer holds at most one record beside the queue.
        assert!((10..=11).contains(&dropped), "{text}");
    }

    // config.md B128
    #[test]
    fn syslog_gets_priorities_and_survives_a_restart_of_its_daemon() {
        let directory = TemporaryDirectory::new();
        let path = directory.path().join("log");
        let mut output = output(io::sink(), Some(&path));
        let mut say = |severity, text: &str| {
            output.write(&LogRecord::new(severity, &format_args!("{text}")));
        };
        say(Severity::Info, "nobody listens");
        let pid = std::process::id();
        for (severity, priority) in [
            (Severity::Info, 30),
            (Severity::Warning, 28),
            (Severity::Security, 37),
            (Severity::Error, 26),
        ] {
            let _ = std::fs::remove_file(&path);
            let daemon = UnixDatagram::bind(&path).unwrap();
            say(severity, "hello");
            let mut buffer = [0; 256];
            let size = daemon.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..size]).unwrap();
            assert_eq!(text, format!("<{priority}>dbus-daemon[{pid}]: [system] hello"));
            // Closing is not enough: a program that another test just starts holds a copy.
            daemon.shutdown(Shutdown::Both).unwrap();
        }
    }

    #[test]
    fn the_journal_of_systemd_gets_fields() {
        let directory = TemporaryDirectory::new();
        let (native, syslog) = (directory.path().join("native"), directory.path().join("log"));
        let mut output = output(io::sink(), Some(&syslog));
        output.native.path.clone_from(&native);
        let (journal, daemon) =
            (UnixDatagram::bind(&native).unwrap(), UnixDatagram::bind(&syslog).unwrap());
        let fields = vec![(LogField::Sender, ":1.5".into()), (LogField::Member, "A\nB=C".into())];
        let record = LogRecord::of(Severity::Security, "no".into());
        output.write(&LogRecord { fields, ..record });
        let mut buffer = [0; 512];
        let size = journal.recv(&mut buffer).unwrap();
        assert_eq!(
            std::str::from_utf8(&buffer[..size]).unwrap(),
            "PRIORITY=5\nSYSLOG_FACILITY=4\nSYSLOG_IDENTIFIER=dbus-daemon\nMESSAGE=[system] no\n\
             DBUS_SENDER=:1.5\nDBUS_MEMBER=A\\nB=C\n"
        );
        daemon.set_nonblocking(true).unwrap();
        assert!(daemon.recv(&mut buffer).is_err(), "syslog gets nothing then");
    }
}
