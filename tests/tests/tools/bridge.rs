//! `bus stdio-bridge` (tools.md D015) at pipes, as sshd has them: who reads does not read and write at the same time.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use bus_tests::harness::{
    BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Config, Daemon, Message, bus_command, limited,
    own_identity,
};

#[test]
fn who_reads_a_pipe_is_not_held_up_until_the_bus_speaks_again() {
    let bus = Bus::start(&Daemon::ours(), &Config::SESSION);
    let mut command = Command::new(bus_command());
    command.args(["--address", bus.addresses().next().unwrap(), "stdio-bridge"]);
    let mut bridge =
        limited(&command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (bridge.stdin.take().unwrap(), bridge.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut read_until = |marker: &[u8]| {
        let mut buffer = [0; 4096];
        while !seen.windows(marker.len()).any(|part| part == marker) {
            let size = output.read(&mut buffer).unwrap();
            assert!(size > 0, "it ended without {:?}", String::from_utf8_lossy(marker));
            seen.extend_from_slice(&buffer[..size]);
        }
        seen.clear();
    };
    write!(input, "\0AUTH EXTERNAL {}\r\n", own_identity()).unwrap();
    read_until(b"OK ");
    let call = |member: &str| Message::method_call(BUS_PATH, BUS_INTERFACE, member).to(BUS_NAME);
    input.write_all(b"BEGIN\r\n").unwrap();
    input.write_all(&call("Hello").serial(1).encode()).unwrap();
    read_until(b"NameAcquired");
    for serial in 2..50 {
        let call = call("NameHasOwner").arg("a.b").serial(serial);
        input.write_all(&call.encode()).unwrap();
        // The answer, which has nothing behind it.
        read_until(b"b\0");
    }
    drop(input);
    assert!(bridge.wait().unwrap().success());
}
