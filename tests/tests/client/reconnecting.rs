//! A bus that goes away and comes back, and one that comes late.
//!
//! What programs do is written once for both styles, in `each_style.rs`: `wait!` waits as the style does.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bus_tests::harness::Bus;
use libbus::auth::Mechanism;
use libbus::guid::Guid;
use libbus::{CacheProperties, Error, LostCall, NameEvent, Reconnect, RequestNameFlags};

use crate::{address, on_each_bus};

const NAME: &str = "org.example.Name";
const PATH: &str = "/org/example";
const INTERFACE: &str = "org.example.Counter";

/// The bus ends and starts again at the same address.
fn replace(bus: &Bus) {
    bus.terminate();
    bus.restart();
}

/// The bus ends, and somebody else listens where it was.
pub(crate) fn take_place(bus: &Bus) -> UnixListener {
    bus.terminate();
    let path = bus.address_value(0, "path").unwrap();
    // A broker leaves its own.
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).unwrap()
}

/// Emits signals for who will hear them some time.
fn emit_until(bus: &Bus, is_over: &AtomicBool) {
    let builder = libbus::blocking::Builder::address(&path_of(bus)).unwrap();
    let emitter = builder.build().unwrap();
    while !is_over.load(Ordering::Relaxed) {
        emitter.emit_signal(None, PATH, INTERFACE, "Counted", &0_u32).unwrap();
        emitter.bus().call::<_, String>("GetId", &()).unwrap();
    }
}

mod blocking {
    use super::*;
    use crate::styles::serve_blocking as serve;
    use libbus::blocking::{Builder, Proxy, interface, proxy};

    include!("styles/blocking.rs");

    include!("reconnecting/each_style.rs");
}

mod asynchronous {
    use super::*;
    use futures_lite::StreamExt;
    use futures_lite::future::{block_on, poll_once};
    use libbus::{Builder, Connection, Proxy, interface, proxy};

    include!("styles/futures.rs");

    include!("reconnecting/each_style.rs");

    /// A thread of the connection does.
    fn serve(_: &Connection) {}

    /// One that has been tried already is tried again.
    #[test]
    fn a_bus_that_comes_later_is_waited_for() {
        on_each_bus(|bus| {
            bus.terminate();
            let builder = Builder::address(&path_of(bus)).unwrap();
            block_on(async {
                let mut build = Box::pin(builder.wait_for_bus(Duration::MAX).build());
                assert!(poll_once(&mut build).await.is_none());
                bus.restart();
                assert!(build.await.unwrap().unique_name().is_some());
            });
        });
    }

    /// A stream that is polled waits for nobody else: it connects again by itself.
    #[test]
    fn streams_that_are_polled_go_on() {
        on_each_bus(|bus| {
            block_on(async {
                let listener = connect!(bus, Reconnect::default());
                let rule = format!("sender='{NAME}',interface='{INTERFACE}'");
                let mut stream = listener.receive_signals(&rule).await.unwrap();
                let mut watch = listener.watch_name(NAME).await.unwrap();
                assert_eq!(StreamExt::next(&mut watch).await.unwrap().unwrap(), None);
                for _ in 0..2 {
                    assert!(poll_once(StreamExt::next(&mut stream)).await.is_none());
                    assert!(poll_once(StreamExt::next(&mut watch)).await.is_none());
                    bus.terminate();
                    let told = StreamExt::next(&mut stream).await.unwrap();
                    assert!(matches!(told, Err(Error::Interrupted)));
                    // It has tried by now, and will again.
                    assert!(poll_once(StreamExt::next(&mut stream)).await.is_none());
                    bus.restart();
                    let owner = Builder::address(&path_of(bus)).unwrap().build().await.unwrap();
                    owner.request_name(NAME).await.unwrap();
                    loop {
                        let told = StreamExt::next(&mut watch).await.unwrap().unwrap();
                        if told.as_deref() == owner.unique_name() {
                            break;
                        }
                        assert_eq!(told, None);
                    }
                    emit!(owner, 7_u32);
                    let signal = StreamExt::next(&mut stream).await.unwrap().unwrap();
                    assert_eq!(signal.deserialize::<u32>().unwrap(), 7);
                    owner.release_name(NAME).await.unwrap();
                    while StreamExt::next(&mut watch).await.unwrap().unwrap().is_some() {}
                }
            });
        });
    }

    /// So does one of a proxy.
    #[test]
    fn typed_streams_that_are_polled_go_on() {
        on_each_bus(|bus| {
            block_on(async {
                let listener = connect!(bus, Reconnect::default());
                let counting = CountingProxy::new(&listener).await.unwrap();
                let mut stream = counting.receive_counted().await.unwrap();
                for number in 0..2_u32 {
                    assert!(poll_once(StreamExt::next(&mut stream)).await.is_none());
                    bus.terminate();
                    settle_down(bus, &listener).await;
                    let owner = Builder::address(&path_of(bus)).unwrap().build().await.unwrap();
                    owner.request_name(NAME).await.unwrap();
                    emit!(owner, number);
                    let signal = StreamExt::next(&mut stream).await.unwrap();
                    assert_eq!(signal.args().unwrap().number, number);
                    assert!(stream.take_interrupted() && !stream.take_interrupted());
                }
                listener.close();
                assert!(StreamExt::next(&mut stream).await.is_none());
                assert!(StreamExt::next(&mut stream).await.is_none());
            });
        });
    }

    /// Who is dropped while it asks who has the name leaves that to the next one, however that waits.
    #[test]
    fn a_watch_that_is_dropped_while_it_asks_asks_again() {
        on_each_bus(|bus| {
            block_on(async {
                let listener = connect!(bus, Reconnect::default());
                let mut watch = listener.watch_name(NAME).await.unwrap();
                assert_eq!(watch.next_owner().await.unwrap(), None);
                for round in 0..4 {
                    bus.terminate();
                    let lost = listener.bus().call::<_, String>("GetId", &()).await.unwrap_err();
                    assert!(matches!(lost, Error::CallLost(_)), "{lost}");
                    for is_polled in [round % 2 == 0, round > 1] {
                        let is_told = match is_polled {
                            true => poll_once(StreamExt::next(&mut watch)).await.is_some(),
                            false => poll_once(watch.next_owner()).await.is_some(),
                        };
                        assert!(!is_told, "there is no bus");
                    }
                    bus.restart();
                    let owner = Builder::address(&path_of(bus)).unwrap().build().await.unwrap();
                    owner.request_name(NAME).await.unwrap();
                    settle!(listener);
                    let told = match round % 2 {
                        0 => watch.next_owner().await.unwrap(),
                        _ => StreamExt::next(&mut watch).await.unwrap().unwrap(),
                    };
                    assert_eq!(told.as_deref(), owner.unique_name(), "round {round}");
                    // What it is told of later comes as before.
                    owner.release_name(NAME).await.unwrap();
                    assert_eq!(watch.next_owner().await.unwrap(), None);
                }
            });
        });
    }

    /// The bus is there again, and the connection.
    async fn settle_down(bus: &Bus, connection: &Connection) {
        bus.restart();
        settle!(connection);
    }

    /// Who is dropped lets the next one try.
    #[test]
    fn a_future_that_is_dropped_leaves_the_trying_to_others() {
        on_each_bus(|bus| {
            block_on(async {
                let connection = connect!(bus, Reconnect::within(Duration::MAX));
                bus.terminate();
                let lost = connection.bus().call::<_, String>("GetId", &()).await.unwrap_err();
                assert!(matches!(lost, Error::CallLost(_)), "{lost}");
                let proxy = connection.bus();
                let mut first = Box::pin(proxy.call::<_, String>("GetId", &()));
                assert!(poll_once(&mut first).await.is_none());
                let mut second = Box::pin(proxy.call::<_, String>("GetId", &()));
                assert!(poll_once(&mut second).await.is_none());
                bus.restart();
                drop(first);
                second.await.unwrap();
            });
        });
    }
}

/// The address without the GUID, which another bus has not.
pub(crate) fn path_of(bus: &Bus) -> String {
    format!("unix:path={}", bus.address_value(0, "path").unwrap())
}

#[test]
fn a_bus_that_comes_later_is_waited_for_by_a_thread() {
    on_each_bus(|bus| {
        bus.terminate();
        let builder = libbus::blocking::Builder::address(&path_of(bus)).unwrap();
        thread::scope(|scope| {
            let build = scope.spawn(|| builder.wait_for_bus(Duration::MAX).build().unwrap());
            bus.restart();
            assert!(build.join().unwrap().unique_name().is_some());
        });
    });
}

/// One that ends, or has begun to listen and ends at once, is waited for like one that is not there.
#[test]
fn who_goes_before_it_has_said_anything_is_no_bus_yet() {
    on_each_bus(|bus| {
        let listener = take_place(bus);
        let builder = libbus::blocking::Builder::address(&path_of(bus)).unwrap();
        thread::scope(|scope| {
            let build = scope.spawn(|| builder.wait_for_bus(Duration::MAX).build().unwrap());
            for _ in 0..2 {
                drop(listener.accept().unwrap());
            }
            drop(listener);
            bus.restart();
            assert!(build.join().unwrap().unique_name().is_some());
        });
    });
}
