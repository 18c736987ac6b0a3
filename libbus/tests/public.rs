//! What programs rely on of the types themselves: they may go to other threads and be used by several at once,
//! and can be printed for whoever looks for a mistake.
#![cfg(all(feature = "async", feature = "blocking"))]

use std::error::Error;
use std::fmt::Debug;

use libbus::address::{Address, AddressError};
use libbus::auth::{ClientAuth, ClientAuthError, ServerAuth, ServerAuthError};
use libbus::connection::{ConnectionError, ConnectionState, SendError};
use libbus::guid::{Guid, GuidError};
use libbus::match_rule::{MatchRule, MatchRuleError};
use libbus::message::Message;
use libbus::names::{BusName, NameError, ObjectPath};
use libbus::typed::TypeError;
use libbus::wire::{BodyReader, BodyWriter, Header, MessageError, Signature, SignatureError};
use libbus::{blocking, fdo};

fn is_shared<T: Debug + Send + Sync>() {}
fn is_error<T: Error + Send + Sync + 'static>() {}
fn is_future<T: Send>(_: &T) {}

/// Something that is served.
#[derive(Debug)]
struct Counter(u32);

#[libbus::interface(name = "org.example.Counter")]
impl Counter {
    fn add(&mut self, number: u32) -> u32 {
        self.0 += number;
        self.0
    }
}

#[derive(Debug)]
struct Plain(u32);

#[libbus::blocking::interface(name = "org.example.Counter")]
impl Plain {
    fn get(&self) -> u32 {
        self.0
    }
}

#[libbus::proxy(interface = "org.example.Counter", assume_defaults = true)]
trait Counting {
    fn add(&self, number: u32) -> libbus::Result<u32>;
    #[zbus(signal)]
    fn full(&self, number: u32) -> libbus::Result<()>;
}

#[libbus::blocking::proxy(interface = "org.example.Counter", assume_defaults = true)]
trait Blocking {
    fn get(&self) -> libbus::Result<u32>;
    #[zbus(signal)]
    fn gone(&self) -> libbus::Result<()>;
}

#[test]
fn connections_and_what_is_made_of_them_are_shared() {
    is_shared::<libbus::Connection>();
    is_shared::<libbus::Proxy>();
    is_shared::<libbus::PendingReply>();
    is_shared::<libbus::SignalStream>();
    is_shared::<libbus::ObjectServer>();
    is_shared::<libbus::SignalEmitter<'_>>();
    is_shared::<libbus::InterfaceRef<Counter>>();
    is_shared::<libbus::NameWatch>();
    is_shared::<libbus::OwnedName>();
    is_shared::<libbus::PropertyStream<String>>();
    is_shared::<libbus::PropertyChanged<String>>();
    is_shared::<libbus::ManagedObjects>();
    is_shared::<libbus::PeerSet>();
    is_shared::<libbus::Monitor>();
    is_shared::<libbus::Listener>();
    is_shared::<CountingProxy<'_>>();
    is_shared::<FullStream>();

    is_shared::<blocking::Connection>();
    is_shared::<blocking::Proxy>();
    is_shared::<blocking::PendingReply>();
    is_shared::<blocking::SignalStream>();
    is_shared::<blocking::ObjectServer>();
    is_shared::<blocking::SignalEmitter<'_>>();
    is_shared::<blocking::InterfaceRef<Plain>>();
    is_shared::<blocking::NameWatch>();
    is_shared::<blocking::OwnedName>();
    is_shared::<blocking::PropertyStream<String>>();
    is_shared::<blocking::PropertyChanged<String>>();
    is_shared::<blocking::ManagedObjects>();
    is_shared::<blocking::PeerSet>();
    is_shared::<blocking::Monitor>();
    is_shared::<blocking::Listener>();
    is_shared::<BlockingProxy<'_>>();
    is_shared::<GoneStream>();
}

/// What is made of parts in one task may be finished in another.
#[test]
fn builders_are_shared() {
    is_shared::<libbus::Builder>();
    is_shared::<libbus::ListenerBuilder>();
    is_shared::<libbus::ProxyBuilder<CountingProxy<'_>>>();
    is_shared::<blocking::Builder>();
    is_shared::<blocking::ListenerBuilder>();
    is_shared::<blocking::ProxyBuilder<BlockingProxy<'_>>>();
    is_shared::<libbus::Reconnect>();
}

#[test]
fn values_are_shared() {
    is_shared::<libbus::Credentials>();
    is_shared::<libbus::MethodCall<'_>>();
    is_shared::<libbus::TestBus>();
    is_shared::<Message>();
    is_shared::<MatchRule>();
    is_shared::<Address>();
    is_shared::<Guid>();
    is_shared::<(BusName<'_>, ObjectPath<'_>, Signature<'_>, Header<'_>)>();
    is_shared::<(BodyReader<'_>, BodyWriter<'_>)>();
    is_shared::<(ClientAuth, ServerAuth, ConnectionState)>();
}

#[test]
fn errors_can_be_boxed() {
    is_error::<libbus::Error>();
    is_error::<libbus::MethodError>();
    is_error::<fdo::Error>();
    is_error::<TypeError>();
    is_error::<AddressError>();
    is_error::<GuidError>();
    is_error::<MatchRuleError>();
    is_error::<NameError>();
    is_error::<MessageError>();
    is_error::<SignatureError>();
    is_error::<ConnectionError>();
    is_error::<SendError>();
    is_error::<ClientAuthError>();
    is_error::<ServerAuthError>();
}

#[test]
fn what_waits_may_wait_in_any_thread() {
    fn of(connection: &libbus::Connection, proxy: &CountingProxy<'_>, stream: &mut FullStream) {
        is_future(&connection.call_method(Some("a.b"), "/", Some("a.b"), "A", &1u32));
        is_future(&connection.request_name("a.b"));
        is_future(&proxy.add(1));
        is_future(&proxy.receive_full());
        is_future(&stream.next());
        is_future(&connection.watch_name("a.b"));
        is_future(&connection.managed_objects("a.b", "/"));
        is_future(&connection.closed());
    }
    fn of_others(
        builders: (libbus::Builder, libbus::Builder, libbus::ListenerBuilder),
        listener: &mut libbus::Listener,
        objects: &mut libbus::ManagedObjects,
        peers: &mut libbus::PeerSet,
        monitor: &mut libbus::Monitor,
    ) {
        is_future(&builders.0.build());
        is_future(&builders.1.monitor(&[], libbus::Watching::AsMonitor));
        is_future(&builders.2.listen());
        is_future(&listener.accept());
        is_future(&objects.next_event());
        is_future(&peers.next_gone());
        is_future(&monitor.next_message());
    }
    // That it compiles is what is tested.
    let _: fn(&libbus::Connection, &CountingProxy<'_>, &mut FullStream) = of;
    let _ = of_others;
}
