//! libbus, with futures; a program for each executor.

use crate::{
    Begin, INTERFACE, Mode, NAME, PATH, RULE_COUNT, TEXT, cannot, repeat_async, rule, say,
    serve_for_ever,
};
use libbus::{Builder, Connection, Proxy, interface};

struct Echo;

#[interface(name = "org.example.Echo")]
impl Echo {
    fn echo(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// Does what the arguments say.
pub async fn run() -> libbus::Result<()> {
    match Mode::of_arguments() {
        Mode::Call(_) => cannot(),
        Mode::CallAsync(count) => {
            let proxy = Proxy::new(&Connection::session().await?, NAME, PATH, INTERFACE)?;
            repeat_async(count, async || {
                let text: String = proxy.call("Echo", TEXT).await.expect("an answer");
                assert_eq!(text, TEXT);
            })
            .await;
        }
        Mode::Signals(count) => {
            let connection = Connection::session().await?;
            let mut streams = Vec::new();
            for index in 0..RULE_COUNT {
                streams.push(connection.receive_signals(&rule(index)).await?);
            }
            say("ready");
            let begin = Begin::now();
            for index in 0..count {
                let stream = &mut streams[(index % RULE_COUNT) as usize];
                let signal = stream.next_signal().await?;
                assert_eq!(signal.deserialize::<(&str, u32)>()?.1, index);
            }
            begin.print();
        }
        Mode::Serve => {
            let builder = Builder::session()?.serve_at(PATH, Echo)?.name(NAME)?;
            let _connection = builder.build().await?;
            serve_for_ever();
        }
    }
    Ok(())
}
