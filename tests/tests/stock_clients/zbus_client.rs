// zbus as service and as client, the same text for each of its versions: included by
// zbus5.rs and zbus6.rs, which bring `bus` (the crate) and `OwnedFd` into scope.

use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd as StdFd;

use bus::message::{Header, Type};
use bus::object_server::SignalEmitter;
use bus::{Connection, MessageStream, Proxy};
use futures_lite::StreamExt as _;
use serde_bytes::ByteBuf;

use crate::peer::{ERROR, INTERFACE, NAME, PATH, PAYLOAD_SIZE};

/// What a role can end with.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Plays `role`, with `count` connections where that matters.
pub(crate) fn play(role: &str, count: usize) {
    let outcome = bus::block_on(async {
        match role {
            "serve" => serve().await,
            "converse" => converse().await,
            "monitor" => monitor().await,
            "crowd" => crowd(count).await,
            _ => Err(format!("no role {role}").into()),
        }
    });
    outcome.expect(role);
}

/// The served object. A macro, since the attributes want the crate's name as a literal.
macro_rules! peer_service {
    ($bus:tt) => {
        #[derive(Debug, bus::DBusError)]
        #[zbus(prefix = "org.example.Error", crate = $bus)]
        enum PeerError {
            #[zbus(error)]
            ZBus(bus::Error),
            Refused(String),
        }

        struct Peer;

        #[bus::interface(name = "org.example.Peer", crate = $bus)]
        impl Peer {
            fn echo(&self, text: String) -> String {
                text
            }

            fn fail(&self) -> Result<(), PeerError> {
                Err(PeerError::Refused("refused on purpose".to_owned()))
            }

            fn echo_bytes(&self, data: ByteBuf) -> ByteBuf {
                data
            }

            /// A text of `size` bytes, for the clients that cannot send so much.
            fn pad(&self, size: u32) -> String {
                "x".repeat(size as usize)
            }

            fn read_fd(&self, fd: OwnedFd) -> String {
                read_all(fd)
            }

            fn open_fd(&self, text: &str) -> OwnedFd {
                memory_file(text).into()
            }

            async fn notify(
                &self,
                text: &str,
                #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
            ) -> Result<(), PeerError> {
                Ok(Self::noticed(&emitter, text).await?)
            }

            async fn notify_caller(
                &self,
                text: &str,
                #[zbus(header)] header: Header<'_>,
                #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
            ) -> Result<(), PeerError> {
                let caller = header.sender().expect("the bus names every sender").to_owned();
                Ok(Self::noticed(&emitter.set_destination(caller.into()), text).await?)
            }

            #[zbus(signal)]
            async fn noticed(emitter: &SignalEmitter<'_>, text: &str) -> bus::Result<()>;

            #[zbus(property)]
            fn colour(&self) -> &str {
                "blue"
            }
        }
    };
}

async fn serve() -> Outcome {
    let connection = Connection::session().await?;
    connection.object_server().at(PATH, Peer).await?;
    connection.request_name(NAME).await?;
    std::future::pending().await
}

async fn converse() -> Outcome {
    let connection = Connection::session().await?;
    let peer = Proxy::new(&connection, NAME, PATH, INTERFACE).await?;
    assert_eq!(peer.call::<_, _, String>("Echo", &"hello").await?, "hello");
    expect_refusal(&peer).await;
    pass_fds(&peer).await?;
    let payload: Vec<u8> = (0..=255).cycle().take(PAYLOAD_SIZE).collect();
    let sent = ByteBuf::from(payload);
    let echoed: ByteBuf = peer.call("EchoBytes", &(&sent,)).await?;
    assert!(echoed == sent, "8 MiB came back changed");
    assert_eq!(notices(&peer, "Notify", "to all").await?, "to all");
    assert_eq!(notices(&peer, "NotifyCaller", "to one").await?, "to one");
    assert!(peer.introspect().await?.contains("EchoBytes"));
    Ok(())
}

async fn expect_refusal(peer: &Proxy<'_>) {
    match peer.call::<_, _, ()>("Fail", &()).await {
        Err(bus::Error::MethodError(name, message, _)) => {
            assert_eq!(name.as_str(), ERROR);
            assert_eq!(message.as_deref(), Some("refused on purpose"));
        }
        other => panic!("Fail answered {other:?}"),
    }
}

async fn pass_fds(peer: &Proxy<'_>) -> Outcome {
    let there = OwnedFd::from(memory_file("there"));
    assert_eq!(peer.call::<_, _, String>("ReadFd", &(there,)).await?, "there");
    let back: OwnedFd = peer.call("OpenFd", &("and back",)).await?;
    assert_eq!(read_all(back), "and back");
    Ok(())
}

/// What the signal said that calling `member` causes.
async fn notices(peer: &Proxy<'_>, member: &str, text: &str) -> Outcome<String> {
    let mut signals = peer.receive_signal("Noticed").await?;
    peer.call::<_, _, ()>(member, &(text,)).await?;
    let signal = signals.next().await.ok_or("the connection ended")?;
    Ok(signal.body().deserialize()?)
}

async fn monitor() -> Outcome {
    let watching = Connection::session().await?;
    let mut messages = MessageStream::from(&watching);
    bus::fdo::MonitoringProxy::new(&watching).await?.become_monitor(&[], 0).await?;
    let calling = Connection::session().await?;
    let peer = Proxy::new(&calling, NAME, PATH, INTERFACE).await?;
    peer.call::<_, _, String>("Echo", &("watch me",)).await?;
    let mut call = None;
    while let Some(message) = messages.next().await {
        let message = message?;
        let header = message.header();
        match header.message_type() {
            Type::MethodCall if header.member().is_some_and(|member| *member == "Echo") => {
                call = Some(header.primary().serial_num());
            }
            Type::MethodReturn if call.is_some() && header.reply_serial() == call => return Ok(()),
            _ => {}
        }
    }
    Err("the connection ended".into())
}

async fn crowd(count: usize) -> Outcome {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(Connection::session().await?);
    }
    let calls = connections.iter().enumerate().map(|(index, connection)| async move {
        let peer = Proxy::new(connection, NAME, PATH, INTERFACE).await?;
        let echoed: String = peer.call("Echo", &(index.to_string(),)).await?;
        assert_eq!(echoed, index.to_string());
        Outcome::Ok(())
    });
    for outcome in crate::peer::all_at_once(calls).await {
        outcome?;
    }
    Ok(())
}

fn memory_file(text: &str) -> StdFd {
    let fd = rustix::fs::memfd_create("message", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd");
    let mut file = std::fs::File::from(fd);
    file.write_all(text.as_bytes()).expect("write");
    file.rewind().expect("rewind");
    file.into()
}

fn read_all(fd: OwnedFd) -> String {
    let mut text = String::new();
    std::fs::File::from(StdFd::from(fd)).read_to_string(&mut text).expect("read");
    text
}
