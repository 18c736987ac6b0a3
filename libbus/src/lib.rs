//! The D-Bus protocol, and a client for it.
//!
//! The protocol knows no operating system. Bytes and lines go in, messages and replies come out: it
//! parses and checks what the D-Bus specification defines and never opens a file, reads a clock or
//! waits. Each kind of name is parsed once and then trusted ([`names`]); a message is checked where
//! it lies in the reader's buffer, in one pass and without allocating ([`wire`]); the authentication
//! handshake is a state machine for each side ([`auth`]), and so is a whole connection as a program
//! at its end has it ([`connection`]); server addresses ([`address`]) and match rules
//! ([`match_rule`]) are plain values that print as they parse.
//!
//! The client comes in two styles with the same functions: those of `libbus::Connection` are futures,
//! for any executor; those of `libbus::blocking::Connection` wait where they are called.
#![cfg_attr(
    feature = "async",
    doc = r#"
```no_run
# async fn example() -> libbus::Result<()> {
let connection = libbus::Connection::session().await?;
let names: Vec<String> = connection.bus().call("ListNames", &()).await?;
# Ok(())
# }
```
"#
)]
//! Features, all default: `async` and `blocking`. Without any there is the protocol alone.
//!
//! What is public names no types but those of this crate, of the standard library, of serde (`Serialize` and
//! `Deserialize`), of `zbus::wire` (`wire_types`, where the client is) and, of a `SignalStream` with futures,
//! `futures_core::Stream`. Connections and all that is made of them are `Send` and `Sync`.
#![deny(unsafe_code)]

pub mod address;
pub mod auth;
#[cfg(feature = "client")]
pub mod client;
pub mod connection;
pub mod guid;
#[cfg(feature = "host")]
pub mod host;
pub mod limits;
pub mod match_rule;
pub mod message;
pub mod names;
#[cfg(feature = "client")]
pub mod server;
pub mod standard_error;
#[cfg(feature = "client")]
mod system_call;
#[cfg(feature = "client")]
mod transport;
#[cfg(feature = "client")]
pub mod typed;
pub mod wire;

#[cfg(feature = "blocking")]
pub use client::blocking;
/// An enum as errors of D-Bus.
///
/// `#[zbus(prefix = "…")]` begins their names, each variant's own name or `#[zbus(name = "…")]` ends it. A
/// variant has nothing but a text; one may be `#[zbus(error)] Other(libbus::Error)`, and then every error of a
/// call becomes one of them.
///
/// ```
/// #[derive(Debug, libbus::DBusError)]
/// #[zbus(prefix = "org.example.Error")]
/// enum Error {
///     #[zbus(error)]
///     Bus(libbus::Error),
///     NotFound(String),
/// }
/// let error = Error::NotFound("tea".to_owned());
/// assert_eq!(error.to_string(), "org.example.Error.NotFound: tea");
/// ```
#[cfg(feature = "client")]
pub use libbus_macros::DBusError;
/// The methods of a type as an interface of D-Bus that others call.
///
/// Each function of the `impl` with `&self` or `&mut self` is a method, in `PascalCase`, or what
/// `#[zbus(…)]` before it says:
///
/// * `name = "…"`: another name;
/// * `property`: a property, read by a function without an argument and set by `set_…` with one; with
///   `property(emits_changed_signal = "…")` its changes are told as `"true"` (with the value), `"invalidates"`
///   (without), `"const"` (there are none) or `"false"` (not at all);
/// * `signal`: a function without a body, whose first argument is a [`SignalEmitter`]; it emits the signal,
///   and so does the trait `…Signals` that is written for emitters;
/// * `out_args("…", …)`: names of what is returned;
/// * `proxy(…)`: what [`proxy`](macro@proxy) is told of this function, where a proxy is wanted, too: `object`,
///   `proxy_type_name`, `object_vec`, `no_reply`, `no_autostart`, `allow_interactive_auth`.
///
/// An argument is of the message, or what is said before it: `#[zbus(connection)]`, `#[zbus(object_server)]`,
/// `#[zbus(header)]` (of a property's function an `Option`) or `#[zbus(signal_emitter)]`. A function returns
/// what it answers (a tuple is several values) or a `Result` whose error is a [`DBusError`]. One that panics ends
/// nothing else, where the program is built to unwind: its caller is answered with
/// `org.freedesktop.DBus.Error.Failed`, and the value is served on as it was left.
///
/// The macro takes `name` of the interface; `spawn` lets a call begin before the sender's last one is
/// answered; `introspection_docs = false` keeps doc comments out of the introspection; `crate` is the path of
/// this crate if it has another name. With `proxy`, or `proxy(…)` with `default_service`, `default_path`,
/// `assume_defaults`, `async_name` and `visibility` (public, if nothing is said), the type `…Proxy` is written from
/// the same functions, for programs that call. A property whose function lends its value is read there as what the
/// caller says: `let name: String = proxy.name().await?`.
///
/// ```
/// use libbus::{SignalEmitter, fdo, interface};
///
/// struct Greeter;
///
/// /// Greets people.
/// #[interface(name = "org.example.Greeter")]
/// impl Greeter {
///     /// Says hello to one.
///     async fn greet(
///         &self,
///         name: &str,
///         #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
///     ) -> fdo::Result<String> {
///         emitter.greeted(name).await?;
///         Ok(format!("Hello, {name}!"))
///     }
///
///     #[zbus(property(emits_changed_signal = "const"))]
///     fn language(&self) -> &str {
///         "en"
///     }
///
///     #[zbus(signal)]
///     async fn greeted(emitter: &SignalEmitter<'_>, name: &str) -> libbus::Result<()>;
/// }
///
/// # async fn serve() -> libbus::Result<()> {
/// let builder = libbus::Builder::session()?.serve_at("/org/example/Greeter", Greeter)?;
/// let connection = builder.name("org.example.Greeter")?.build().await?;
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "async")]
pub use libbus_macros::interface;
/// The interface of another program's object, a trait, as a type `…Proxy`.
///
/// Each function is a method, in `PascalCase`, or what `#[zbus(…)]` before it says: `name`, `property` and
/// `signal` as for [`interface`](macro@interface); `no_reply`, `no_autostart` and `allow_interactive_auth`;
/// `object = "Other"` if it returns the path of an object, for which an `OtherProxy` is returned
/// (`proxy_type_name`, or `async_object`, names another type, `object_vec` says that there are several). A property
/// also has `receive_…_changed` and `cached_…`, a signal `receive_…`, a stream of a type of its own, and with
/// arguments `receive_…_with_args`, of those alone that have these strings.
///
/// The items of such a stream are signals, and `None` is its end. What was missed is no item: `take_missed` counts
/// what nobody read in time, and `take_interrupted` tells that the connection was lost and made again
/// ([`Builder::reconnect`](client::builder::Builder::reconnect)); `next_signal` returns that as an error, at once. How
/// many signals wait, and what becomes of more, says `stream_bound` of the proxy's builder. A stream of changes misses
/// none for good: where some may have been missed, one is told whose value is asked for.
///
/// The macro takes `interface`, `default_service` and `default_path` (what is missing `new` asks for;
/// `assume_defaults` derives both from the interface), `async_name` for the type, and `crate`.
///
/// ```no_run
/// use libbus::{Connection, Result, proxy};
///
/// #[proxy(
///     interface = "org.example.Greeter",
///     default_service = "org.example.Greeter",
///     default_path = "/org/example/Greeter"
/// )]
/// trait Greeter {
///     fn greet(&self, name: &str) -> Result<String>;
///     #[zbus(property(emits_changed_signal = "const"))]
///     fn language(&self) -> Result<String>;
///     #[zbus(signal)]
///     fn greeted(&self, name: &str) -> Result<()>;
/// }
///
/// # async fn example() -> Result<()> {
/// let connection = Connection::session().await?;
/// let greeter = GreeterProxy::new(&connection).await?;
/// let mut greeted = greeter.receive_greeted().await?;
/// println!("{}", greeter.greet("you").await?);
/// if let Some(signal) = greeted.next().await {
///     println!("{} was greeted", signal.args()?.name);
/// }
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "async")]
pub use libbus_macros::proxy;
/// Of values: what zbus has by these names, for programs that depend on this crate alone.
#[cfg(feature = "client")]
pub use libbus_macros::{DeserializeDict, OwnedVariant, SerializeDict, Type, Variant};
/// The types of values, which those of zbus are: [`ObjectPath`](wire_types::ObjectPath), variants, signatures.
#[cfg(feature = "client")]
pub use zbus::wire as wire_types;
/// The traits beside their derives.
#[cfg(feature = "client")]
mod traits {
    pub use crate::server::DBusError;
    pub use zbus::wire::{OwnedVariant, Type, Variant};
}
#[cfg(feature = "async")]
pub use client::block_on::block_on;
#[cfg(feature = "async")]
pub use client::nonblocking::{
    Async, Builder, Connection, InterfaceRef, Listener, ListenerBuilder, ManagedObjects, Monitor,
    NameWatch, ObjectServer, OwnedName, PeerSet, PendingReply, PropertyChanged, PropertyStream,
    Proxy, ProxyBuilder, SignalEmitter, SignalStream,
};
#[cfg(feature = "client")]
pub use client::{
    Blob, BlobError, BlobReader, BlobRef, CacheProperties, Credentials, NameEvent, ObjectEvent,
    Reconnect, TestBus, Watching,
    call::MethodCall,
    errno::SystemError,
    error::{Error, MethodError, Result},
    fdo,
    names::{ReleaseNameReply, RequestNameFlags, RequestNameReply},
};
#[cfg(feature = "client")]
pub use connection::LostCall;
/// What streams of the style with futures are: the trait of `futures_core`.
#[cfg(feature = "async")]
#[doc(no_inline)]
pub use futures_lite::stream::Stream;
#[cfg(feature = "client")]
pub use traits::*;
