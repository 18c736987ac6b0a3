//! The same with futures, under several executors.

use std::time::Duration;

use bus_tests::harness::Bus;
use futures_lite::StreamExt as _;
use futures_lite::future::{block_on, poll_once, zip};
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
            assert_eq!(error.to_string(), "no reply within 20 ms");
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
