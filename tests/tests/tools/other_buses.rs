//! Buses that are not ours, and what they do not tell.

use std::process::Command;

use bus_tests::harness::{Bus, Config, Daemon, bus_command, run, skip_without};

/// needs.md E9: what is not known is no answer.
#[test]
fn variables_that_a_bus_does_not_tell_are_no_success() {
    let Some(daemon) = Daemon::reference() else {
        return skip_without("dbus-daemon");
    };
    let bus = Bus::start(&daemon, &Config::SESSION);
    let env = |words: &[&str]| {
        let mut command = Command::new(bus_command());
        run(command.args(["--address", &bus.address, "env"]).args(words), b"")
    };
    let said = "bus: this bus does not tell which variables it has\n\
                hint: they can be set all the same: bus env VAR=VALUE\n";
    for (words, shown) in
        [(&[][..], ""), (&["-q"], ""), (&["--json"], "{\"bus\":null,\"systemd\":null}\n")]
    {
        let ended = env(words);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), shown), "{words:?}");
        assert_eq!(ended.stderr, said, "{words:?}");
    }
    assert_eq!(env(&["A_1=one"]).code, Some(0));
}
