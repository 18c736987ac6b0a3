//! Starting the daemon.

use std::process::{Command, Stdio};

use bus_tests::harness::Daemon;

/// A descriptor that nobody handed over was one of the daemon's own by the time it was printed to:
/// it closed its own socket and aborted.
#[test]
fn printing_to_a_descriptor_that_is_not_open_is_one_line_and_exit_code_1() {
    for fd in 3..12 {
        let output = Command::new(Daemon::ours().program)
            .args(["--session", "--nofork", "--address=unix:tmpdir=/tmp"])
            .arg(format!("--print-address={fd}"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{fd}");
        let text = String::from_utf8(output.stderr).unwrap();
        let expected = format!("Cannot print to descriptor {fd}: ");
        assert!(text.contains(&expected) && text.lines().count() == 1, "{text}");
    }
}
