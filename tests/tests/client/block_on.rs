//! The executor of `libbus`, which waits at the sockets by itself.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use event_listener::Event;
use futures_lite::future::{or, zip};
use libbus::{Connection, Error, MethodCall, block_on};

use crate::asynchronous::connect;
use crate::{connect as connect_blocking, on_each_bus};

async fn id(connection: &Connection) -> String {
    connection.bus().call("GetId", &()).await.unwrap()
}

#[test]
fn other_executors_run_within_it_and_it_within_them() {
    on_each_bus(|bus| {
        block_on(async {
            let connection = connect(bus).await;
            let expected = id(&connection).await;
            assert_eq!(futures_lite::future::block_on(id(&connection)), expected);
            assert_eq!(block_on(id(&connection)), expected);
            let executor = async_executor::Executor::new();
            assert_eq!(executor.run(id(&connection)).await, expected);
            let task = executor.spawn(async { expected });
            assert_eq!(executor.run(task).await, id(&connection).await);
        });
    });
}

#[test]
fn several_wait_at_once_and_others_wake_it() {
    on_each_bus(|bus| {
        block_on(async {
            let (one, other) = zip(connect(bus), connect(bus)).await;
            // Each waits at a socket of its own, and one with the other at its one.
            zip(zip(id(&one), id(&other)), zip(id(&other), id(&one))).await;
            let event = Arc::new(Event::new());
            let (listener, notifier) = (event.listen(), Arc::clone(&event));
            let thread = std::thread::spawn(move || notifier.notify(1));
            let rule = "interface='org.example.Never'";
            let mut never = one.receive_signals(rule).await.unwrap();
            let waits = async {
                never.next().await;
                false
            };
            let is_told = async {
                listener.await;
                true
            };
            assert!(or(waits, is_told).await);
            thread.join().unwrap();
            id(&one).await;
        });
    });
}

#[test]
fn a_reply_that_does_not_come_is_waited_for_no_longer_than_was_said() {
    on_each_bus(|bus| {
        let silent = connect_blocking(bus);
        block_on(async {
            let connection = connect(bus).await;
            let call = MethodCall::new("/a", "Silent").unwrap();
            let call = call.destination(silent.unique_name().unwrap()).unwrap();
            let call = call.timeout(Some(Duration::from_millis(20)));
            let error = connection.call(&call, &()).await.unwrap_err();
            assert!(matches!(error, Error::TimedOut(_)), "{error}");
            // Longer than any clock goes.
            let call = MethodCall::new("/org/freedesktop/DBus", "GetId").unwrap();
            let name = "org.freedesktop.DBus";
            let call = call.destination(name).unwrap().interface(name).unwrap();
            let call = call.timeout(Some(Duration::MAX));
            silent.call(&call, &()).unwrap();
            connection.call(&call, &()).await.unwrap();
            futures_lite::future::block_on(connection.call(&call, &())).unwrap();
        });
    });
}

/// A future that was asked once.
async fn asked_once<'f, T>(
    mut future: Pin<Box<dyn Future<Output = T> + Send + 'f>>,
) -> Pin<Box<dyn Future<Output = T> + Send + 'f>> {
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    future
}

#[test]
fn what_began_to_wait_here_goes_on_elsewhere() {
    on_each_bus(|bus| {
        let connection = block_on(connect(bus));
        let expected = block_on(id(&connection));
        // It was asked here, and this executor is gone.
        let waiting = block_on(asked_once(Box::pin(id(&connection))));
        assert_eq!(futures_lite::future::block_on(waiting), expected);
        // This executor goes on, and another thread waits for what waits here.
        block_on(async {
            let waiting = asked_once(Box::pin(id(&connection))).await;
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| futures_lite::future::block_on(waiting));
                assert_eq!(thread.join().unwrap(), expected);
            });
        });
    });
}
