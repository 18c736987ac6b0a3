//! libbus, waiting where it calls.

use client_peers::{
    Begin, INTERFACE, Mode, NAME, PATH, RULE_COUNT, TEXT, cannot, repeat, rule, say,
};
use libbus::blocking::{Builder, Connection, Proxy, interface};

struct Echo;

#[interface(name = "org.example.Echo")]
impl Echo {
    fn echo(&self, text: &str) -> String {
        text.to_owned()
    }
}

fn main() -> libbus::Result<()> {
    match Mode::of_arguments() {
        Mode::Call(count) => {
            let proxy = Proxy::new(&Connection::session()?, NAME, PATH, INTERFACE)?;
            repeat(count, || {
                let text: String = proxy.call("Echo", TEXT).expect("an answer");
                assert_eq!(text, TEXT);
            });
        }
        Mode::CallAsync(_) => cannot(),
        Mode::Signals(count) => {
            let connection = Connection::session()?;
            let mut streams = (0..RULE_COUNT)
                .map(|index| connection.receive_signals(&rule(index)))
                .collect::<libbus::Result<Vec<_>>>()?;
            say("ready");
            let begin = Begin::now();
            for index in 0..count {
                let stream = &mut streams[(index % RULE_COUNT) as usize];
                let signal = stream.next_signal()?;
                assert_eq!(signal.deserialize::<(&str, u32)>()?.1, index);
            }
            begin.print();
        }
        Mode::Serve => {
            let connection = Builder::session()?.serve_at(PATH, Echo)?.name(NAME)?.build()?;
            say("serving");
            connection.serve()?;
        }
    }
    Ok(())
}
