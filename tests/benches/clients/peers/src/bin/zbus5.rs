//! zbus 5, with the runtime that it has by default.

use client_peers::{
    Begin, INTERFACE, Mode, NAME, PATH, RULE_COUNT, TEXT, repeat, repeat_async, rule, say,
};
use futures_lite::StreamExt as _;
// The service attribute names `zbus` here and there, whatever crate it is told.
use ::zbus5 as zbus;
use zbus5::{Connection, MatchRule, MessageStream, Proxy};

struct Echo;

#[zbus5::interface(name = "org.example.Echo", crate = "zbus5")]
impl Echo {
    fn echo(&self, text: &str) -> String {
        text.to_owned()
    }
}

fn main() -> zbus5::Result<()> {
    match Mode::of_arguments() {
        Mode::Call(count) => {
            let connection = zbus5::blocking::Connection::session()?;
            let proxy = zbus5::blocking::Proxy::new(&connection, NAME, PATH, INTERFACE)?;
            repeat(count, || {
                let text: String = proxy.call("Echo", &(TEXT,)).expect("an answer");
                assert_eq!(text, TEXT);
            });
            Ok(())
        }
        Mode::CallAsync(count) => zbus5::block_on(async {
            let connection = Connection::session().await?;
            let proxy = Proxy::new(&connection, NAME, PATH, INTERFACE).await?;
            repeat_async(count, async || {
                let text: String = proxy.call("Echo", &(TEXT,)).await.expect("an answer");
                assert_eq!(text, TEXT);
            })
            .await;
            Ok(())
        }),
        Mode::Signals(count) => zbus5::block_on(async {
            let connection = Connection::session().await?;
            let mut streams = Vec::new();
            for index in 0..RULE_COUNT {
                let rule = rule(index);
                let rule = MatchRule::try_from(rule.as_str())?;
                streams.push(MessageStream::for_match_rule(rule, &connection, None).await?);
            }
            say("ready");
            let begin = Begin::now();
            for index in 0..count {
                let stream = &mut streams[(index % RULE_COUNT) as usize];
                let signal = stream.next().await.expect("a signal")?;
                assert_eq!(signal.body().deserialize::<(&str, u32)>()?.1, index);
            }
            begin.print();
            Ok(())
        }),
        Mode::Serve => zbus5::block_on(async {
            let connection = Connection::session().await?;
            connection.object_server().at(PATH, Echo).await?;
            connection.request_name(NAME).await?;
            say("serving");
            std::future::pending().await
        }),
    }
}
