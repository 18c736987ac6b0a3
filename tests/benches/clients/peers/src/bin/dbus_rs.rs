//! dbus, which is libdbus.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use client_peers::{
    Begin, INTERFACE, Mode, NAME, PATH, RULE_COUNT, TEXT, cannot, repeat, rule, say,
};
use dbus::blocking::LocalConnection;
use dbus::message::MatchRule;

const TIMEOUT: Duration = Duration::from_secs(25);

fn main() -> Result<(), dbus::Error> {
    let connection = LocalConnection::new_session()?;
    match Mode::of_arguments() {
        Mode::Call(count) => {
            let proxy = connection.with_proxy(NAME, PATH, TIMEOUT);
            repeat(count, || {
                let reply: Result<(String,), _> = proxy.method_call(INTERFACE, "Echo", (TEXT,));
                assert_eq!(reply.expect("an answer").0, TEXT);
            });
        }
        Mode::Signals(count) => {
            let seen = Rc::new(Cell::new(0));
            for index in 0..RULE_COUNT {
                let seen = Rc::clone(&seen);
                let rule = rule(index);
                let rule = MatchRule::parse(&rule).expect("a match rule").static_clone();
                connection.add_match(rule, move |(_, number): (String, u32), _, _| {
                    assert_eq!(number, seen.get());
                    seen.set(seen.get() + 1);
                    true
                })?;
            }
            say("ready");
            let begin = Begin::now();
            while seen.get() < count {
                connection.process(TIMEOUT)?;
            }
            begin.print();
        }
        Mode::CallAsync(_) | Mode::Serve => cannot(),
    }
    Ok(())
}
