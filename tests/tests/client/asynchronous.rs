//! The same with futures, under several executors.

use std::collections::HashMap;
use std::time::Duration;

use bus_tests::harness::Bus;
use futures_lite::StreamExt;
use futures_lite::future::{block_on, poll_once, zip};
use libbus::message::Message;
use libbus::{Builder, Connection, Error, Proxy};

use crate::{address, on_each_bus};

pub(crate) async fn connect(bus: &Bus) -> Connection {
    Builder::address(&address(bus)).unwrap().build().await.unwrap()
}

async fn settle(connection: &Connection) {
    connection.bus().call::<_, String>("GetId", &()).await.unwrap();
}

async fn emit(connection: &Connection, number: u32) {
    let sent = connection.emit_signal(None, "/a", "org.example.I", "Counted", &number);
    sent.await.unwrap();
}

/// What a program does, so that each executor has it to do.
async fn use_bus(address: String) {
    let builder = || Builder::address(&address).unwrap();
    let (one, other) = zip(builder().build(), builder().build()).await;
    let (one, other) = (one.unwrap(), other.unwrap());
    let mut stream = other.receive_signals("interface='org.example.I'").await.unwrap();
    emit(&one, 1).await;
    let name = other.unique_name().unwrap();
    let owner: String = one.bus().call("GetNameOwner", name).await.unwrap();
    assert_eq!(owner, name);
    let signal = stream.next().await.unwrap().unwrap();
    assert_eq!(signal.deserialize::<u32>().unwrap(), 1);
    let error = one.bus().call::<_, ()>("NoSuchMethod", &()).await.unwrap_err();
    assert!(matches!(error, Error::Method(_)), "{error}");
}

#[test]
fn it_works_under_each_executor() {
    on_each_bus(|bus| {
        block_on(use_bus(address(bus)));
        libbus::block_on(use_bus(address(bus)));
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio.block_on(use_bus(address(bus)));
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        let threads = threads.unwrap();
        let spawned: Vec<_> = (0..4).map(|_| threads.spawn(use_bus(address(bus)))).collect();
        spawned.into_iter().for_each(|task| threads.block_on(task).unwrap());
        let executor = async_executor::Executor::new();
        let task = executor.spawn(use_bus(address(bus)));
        block_on(executor.run(task));
    });
}

#[test]
fn tasks_share_a_connection() {
    on_each_bus(|bus| {
        let executor = async_executor::Executor::new();
        block_on(executor.run(async {
            let connection = connect(bus).await;
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let bus = connection.bus();
                    executor.spawn(async move {
                        for _ in 0..50 {
                            bus.call::<_, String>("GetId", &()).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
        }));
    });
}

/// One that reads for all and is dropped meanwhile lets the next one read.
#[test]
fn a_future_that_is_dropped_leaves_the_connection_whole() {
    on_each_bus(|bus| {
        let silent = bus.connect();
        block_on(async {
            let connection = connect(bus).await;
            let proxy = Proxy::new(&connection, &*silent.name, "/", "org.example.I").unwrap();
            let mut never = Box::pin(proxy.call_method("Never", &()));
            assert!(poll_once(&mut never).await.is_none(), "it reads");
            let bus = connection.bus();
            let mut other = Box::pin(bus.call::<_, String>("GetId", &()));
            assert!(poll_once(&mut other).await.is_none(), "it waits for the one who reads");
            drop(never);
            other.await.unwrap();
            settle(&connection).await;
        });
    });
}

#[test]
fn a_call_ends_when_its_time_is_over() {
    on_each_bus(|bus| {
        let silent = bus.connect();
        block_on(async {
            let connection = connect(bus).await;
            let proxy = Proxy::new(&connection, &*silent.name, "/", "org.example.I").unwrap();
            let proxy = proxy.timeout(Some(Duration::from_millis(20)));
            let error = proxy.call_method("Never", &()).await.unwrap_err();
            assert_eq!(error.to_string(), "not done within 20 ms");
            settle(&connection).await;
        });
    });
}

/// More than the sockets between hold.
#[test]
fn what_there_is_no_room_for_is_written_later() {
    on_each_bus(|bus| {
        block_on(async {
            let (listener, sender) = (connect(bus).await, connect(bus).await);
            let rule = "interface='org.example.Large'";
            let stream = listener.receive_signals(rule).await.unwrap();
            let text = "x".repeat(1 << 20);
            let send = async {
                for _ in 0..20 {
                    let sent = sender.emit_signal(None, "/a", "org.example.Large", "Said", &text);
                    sent.await.unwrap();
                }
            };
            let receive = stream
                .into_stream()
                .take(20)
                .fold(0, |sum, signal| sum + signal.unwrap().deserialize::<&str>().unwrap().len());
            assert_eq!(zip(send, receive).await.1, 20 << 20);
        });
    });
}

#[test]
fn the_end_of_the_bus_is_told() {
    on_each_bus(|bus| {
        block_on(async {
            let connection = connect(bus).await;
            let mut stream = connection.receive_signals("interface='org.example.I'").await.unwrap();
            bus.terminate();
            assert!(stream.next().await.unwrap().unwrap_err().is_disconnected());
            assert!(stream.next().await.is_none());
            let error = connection.bus().call::<_, String>("GetId", &()).await.unwrap_err();
            assert!(error.is_disconnected(), "{error}");
        });
    });
}

/// A stream that was polled and is not any more reads for nobody, and nobody waits for it.
#[test]
fn a_stream_in_a_drawer_holds_up_nobody() {
    on_each_bus(|bus| {
        block_on(async {
            let (one, other) = (connect(bus).await, connect(bus).await);
            let mut drawer = one.receive_signals("interface='org.example.I'").await.unwrap();
            assert!(poll_once(StreamExt::next(&mut drawer)).await.is_none());
            let mut watch = one.watch_name("org.example.Nobody").await.unwrap();
            assert_eq!(StreamExt::next(&mut watch).await.unwrap().unwrap(), None);
            assert!(poll_once(StreamExt::next(&mut watch)).await.is_none());
            settle(&one).await;
            emit(&other, 1).await;
            settle(&other).await;
            settle(&one).await;
            let signal = StreamExt::next(&mut drawer).await.unwrap().unwrap();
            assert_eq!(signal.deserialize::<u32>().unwrap(), 1);
            // And it may be asked in the other way in between.
            emit(&other, 2).await;
            let signal = drawer.next().await.unwrap().unwrap();
            assert_eq!(signal.deserialize::<u32>().unwrap(), 2);
            drop(drawer);
            settle(&one).await;
        });
    });
}

#[test]
fn all_streams_are_streams() {
    on_each_bus(|bus| {
        block_on(async {
            let (one, other) = (connect(bus).await, connect(bus).await);
            let signals = one.receive_signals("interface='org.example.I'").await.unwrap();
            let more = one.receive_signals("member='Counted'").await.unwrap();
            let names = one.watch_name("org.example.Name").await.unwrap();
            let name = "org.freedesktop.DBus.Properties";
            let proxy =
                Proxy::new(&one, other.unique_name().unwrap(), "/a", "org.example.P").unwrap();
            let property = proxy.receive_property_changed::<u32>("Count").await.unwrap();
            let send = async {
                emit(&other, 7).await;
                other.request_name("org.example.Name").await.unwrap();
                let changed = HashMap::from([("Count", zbus::wire::Variant::from(9u32))]);
                let arguments = ("org.example.P", changed, Vec::<String>::new());
                let sent = other.emit_signal(None, "/a", name, "PropertiesChanged", &arguments);
                sent.await.unwrap();
            };
            // In one task, where each wakes it.
            let number =
                |signal: libbus::Result<Message>| signal.unwrap().deserialize::<u32>().unwrap();
            let numbers = signals.map(number).or(more.map(number)).take(2).collect::<Vec<u32>>();
            let owners = names.map(Result::unwrap).take(2).collect::<Vec<_>>();
            let values = property.take(1).then(async |change| change.get().await.unwrap());
            let values = values.collect::<Vec<_>>();
            let ((numbers, owners), (values, ())) =
                zip(zip(numbers, owners), zip(values, send)).await;
            assert_eq!((numbers, values), (vec![7, 7], vec![9]));
            assert_eq!(owners, [None, other.unique_name().map(ToOwned::to_owned)]);
        });
    });
}

/// Tasks on several threads, each with a stream: whoever reads tells the others.
#[test]
fn streams_of_many_tasks_miss_nothing() {
    on_each_bus(|bus| {
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap();
        threads.block_on(async {
            let (one, other) = (connect(bus).await, connect(bus).await);
            let mut tasks = Vec::new();
            for task in 0..8 {
                let rule = "interface='org.example.I'";
                let mut signals = one.receive_signals(rule).await.unwrap();
                let connection = one.clone();
                tasks.push(threads.spawn(async move {
                    for number in 0..300u32 {
                        let signal = match task % 2 {
                            0 => StreamExt::next(&mut signals).await,
                            _ => signals.next().await,
                        };
                        assert_eq!(signal.unwrap().unwrap().deserialize::<u32>().unwrap(), number);
                        if number % 50 == task {
                            settle(&connection).await;
                        }
                    }
                }));
            }
            for number in 0..300 {
                emit(&other, number).await;
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}
