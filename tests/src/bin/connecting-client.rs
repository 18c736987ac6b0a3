//! What a test cannot do in its own process: be started with sockets, find programs elsewhere, have children of its
//! own, fork, and end. The first argument says what; see tests/client/peer_to_peer/handed_over.rs.

use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;

use futures_lite::future::block_on;
use libbus::address::Address;
use libbus::blocking::{Builder, Connection, ListenerBuilder, SignalEmitter, interface};
use libbus::guid::Guid;
use libbus::{CacheProperties, Error, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

#[allow(unsafe_code, reason = "no library makes a copy of a process without it")]
mod fork {
    unsafe extern "C" {
        /// `fork(2)`. The copy has this thread alone.
        pub(super) safe fn fork() -> i32;
    }
}

struct Peer;

#[interface(name = "org.example.Peer")]
impl Peer {
    fn echo(&self, text: &str) -> String {
        text.to_owned()
    }

    fn shout(
        &self,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        text: &str,
    ) -> libbus::fdo::Result<()> {
        Ok(emitter.shouted(text)?)
    }

    /// Somebody shouted.
    #[zbus(signal)]
    fn shouted(emitter: &SignalEmitter<'_>, text: &str) -> Result<()>;
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["listen", address] => ListenerBuilder::address(address).and_then(serve_one),
        ["listen-fd", name] => serve_one(ListenerBuilder::inherited(some(name))),
        ["connection-fd", name] => drop_connection(some(name)),
        ["peer", address] => peer(address).map(drop),
        ["ssh", host] => ask_by_ssh(host),
        ["children", program, address] => have_children(program, address),
        ["fork", address] => be_copied(address),
        ["fork-locked", address] => block_on(be_copied_while_locked(address)),
        ["fork-busy", address] => be_copied_while_busy(address),
        ["exit", address] => end_with(address),
        ["exit-async", address] => block_on(end_with_async(address)),
        _ => return ExitCode::from(2),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn some(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

/// Serves the first who comes until it goes.
fn serve_one(builder: ListenerBuilder) -> Result<()> {
    let mut listener = builder.serve_at("/org/example/Peer", || Peer)?.listen()?;
    match listener.accept()?.serve() {
        Err(error) if !error.is_disconnected() => Err(error),
        _ => Ok(()),
    }
}

fn drop_connection(name: Option<&str>) -> Result<()> {
    drop(Builder::inherited(name).server(Guid::from_bytes([1; 16])).build()?);
    loop {
        thread::park();
    }
}

fn peer(address: &str) -> Result<Connection> {
    Builder::address(address)?.p2p().build()
}

fn ask_by_ssh(host: &str) -> Result<()> {
    let bus = Builder::ssh(host)?.build()?.bus();
    println!("{}", bus.call::<_, String>("GetId", &())?);
    Ok(())
}

fn have_children(program: &str, address: &str) -> Result<()> {
    let argument = format!("-p{address}");
    let address =
        Address::new("unixexec").with("path", program).with("argv1", argument).to_string();
    let connect = || -> Result<Connection> {
        let connection = Builder::address(&address)?.build()?;
        assert_eq!(children().len(), 1);
        Ok(connection)
    };
    drop(connect()?);
    wait_for_no_child();
    println!("none after the connection");
    let connection = connect()?;
    for child in children() {
        kill_process(child, Signal::TERM).map_err(std::io::Error::from)?;
    }
    wait_for_no_child();
    println!("none after its own end");
    assert!(connection.closed().is_disconnected());
    Ok(())
}

fn wait_for_no_child() {
    while !children().is_empty() {
        thread::yield_now();
    }
}

/// Processes whose parent this one is, also those that have ended and that nobody has waited for.
fn children() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let is_child = |stat: &str| {
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(&own)
    };
    let pid = |entry: fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        is_child(&stat).then_some(pid)
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(pid).collect()
}

fn be_copied(address: &str) -> Result<()> {
    let connection = Builder::address(address)?.build()?;
    let with_futures = block_on(libbus::Builder::address(address)?.build())?;
    let stream = connection.receive_signals("interface='org.example.I'")?;
    let Some(child) = Pid::from_raw(fork::fork()) else {
        let call = connection.bus().call::<_, String>("GetId", &());
        let emitted = connection.emit_signal(None, "/a", "org.example.I", "Counted", &1_u32);
        let with_futures = block_on(with_futures.bus().call::<_, String>("GetId", &()));
        let errors = [call.err(), emitted.err(), Some(connection.closed()), with_futures.err()];
        errors.iter().flatten().for_each(|error| println!("{error}"));
        connection.close();
        drop(stream);
        drop(connection);
        std::process::exit(0);
    };
    waitpid(Some(child), WaitOptions::empty()).map_err(std::io::Error::from)?;
    connection.emit_signal(None, "/a", "org.example.I", "Counted", &2_u32)?;
    let mut stream = stream;
    assert_eq!(stream.next_signal()?.deserialize::<u32>()?, 2);
    block_on(with_futures.bus().call::<_, String>("GetId", &()))?;
    println!("the first process goes on");
    Ok(())
}

/// Forks when it is woken, which is done while the connection is locked: in the copy it stays so.
struct Forking {
    pending: Mutex<Option<libbus::PendingReply>>,
    kept: Mutex<Option<libbus::PendingReply>>,
    proxy: libbus::Proxy,
}

impl Wake for Forking {
    fn wake(self: Arc<Self>) {
        let Some(pending) = self.pending.lock().ok().and_then(|mut place| place.take()) else {
            return;
        };
        let Some(child) = Pid::from_raw(fork::fork()) else {
            let connection = self.proxy.connection();
            drop(pending);
            let flushed = block_on(connection.flush());
            let served =
                block_on(connection.object_server().at("/z", libbus::server::ObjectManager));
            let kept = self.proxy.cached_property::<Vec<String>>("Features");
            let stream = block_on(connection.receive_signals("interface='org.example.I'"));
            let errors = [flushed.err(), served.err(), kept.err(), stream.err()];
            errors.iter().flatten().for_each(|error| println!("{error}"));
            println!("{:?} {}", connection.server_guid(), connection.takes_fds());
            std::process::exit(0);
        };
        let ended = waitpid(Some(child), WaitOptions::empty());
        assert!(ended.is_ok_and(|ended| ended.is_some()));
        // To let go of it here would wait for the lock.
        if let Ok(mut place) = self.kept.lock() {
            *place = Some(pending);
        }
    }
}

async fn be_copied_while_locked(address: &str) -> Result<()> {
    let connection = libbus::Builder::address(address)?.build().await?;
    let bus = connection.bus().cache_properties(CacheProperties::Yes).await?;
    let pending = Mutex::new(Some(connection.send(&bus.method_call("GetId")?, &())?));
    let waker =
        Waker::from(Arc::new(Forking { pending, kept: Mutex::default(), proxy: bus.clone() }));
    let mut reading = Box::pin(connection.closed());
    let mut told = Box::pin(connection.closed());
    assert!(reading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(told.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    // Who reads for all goes, which is told to the other.
    drop(reading);
    drop(told);
    bus.call::<_, String>("GetId", &()).await?;
    println!("the first process goes on");
    Ok(())
}

/// As often as it takes for one of the threads to have the connection locked.
fn be_copied_while_busy(address: &str) -> Result<()> {
    let connection = Builder::address(address)?.build()?;
    let bus = connection.bus().cache_properties(CacheProperties::Yes)?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let _ = connection.emit_signal(None, "/a", "org.example.I", "Counted", &1_u32);
                }
            });
        }
        let result = (0..50).try_for_each(|_| {
            let pending = connection.send(&bus.method_call("GetId")?, &())?;
            let Some(child) = Pid::from_raw(fork::fork()) else {
                drop(pending);
                let flushed = connection.flush();
                let served = connection.object_server().at("/z", libbus::server::ObjectManager);
                let kept = bus.cached_property::<Vec<String>>("Features").err();
                let errors = [flushed.err(), served.err(), kept];
                let are_right = errors.iter().all(|error| matches!(error, Some(Error::Forked)));
                std::process::exit(i32::from(!are_right));
            };
            let ended = waitpid(Some(child), WaitOptions::empty()).map_err(std::io::Error::from)?;
            assert_eq!(ended.and_then(|(_, status)| status.exit_status()), Some(0));
            pending.wait().map(drop)
        });
        is_over.store(true, Ordering::Relaxed);
        result
    })?;
    println!("the first process goes on");
    Ok(())
}

fn end_with(address: &str) -> Result<()> {
    let connection = Builder::address(address)?.p2p().exit_on_disconnect(true).build()?;
    let error = connection.closed();
    eprintln!("{error}");
    Ok(())
}

async fn end_with_async(address: &str) -> Result<()> {
    let builder = libbus::Builder::address(address)?.p2p().exit_on_disconnect(true);
    let error = builder.build().await?.closed().await;
    eprintln!("{error}");
    Ok(())
}
