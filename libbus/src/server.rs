//! Objects that a program serves (tools.md D082).
//!
//! ```text
//! calls → Connection::dispatch → Objects: path → Interface of a Rust type → its methods
//!                                   └→ what every object has: Introspectable, Properties, ObjectManager
//! ```
//!
//! An [`Interface`] is a Rust type with a table of what it offers and three functions, which
//! `#[interface]` writes. Methods that are plain functions are answered where they are called; those that
//! are `async` are tasks of the connection.
//!
//! **Order.** Calls of one sender are served one after the other; calls of others do not wait for it, nor
//! does what the program asks itself. An interface with methods of `&self` alone has no lock: whatever it calls
//! may call it back. One with methods of `&mut self` has one, and while such a method waits for somebody, who
//! calls it back waits for its end; in blocking style so it is with a method of `&self` of such an interface.
//!
//! **Panics.** A method, getter or setter that panics ends nothing but itself, where the program is built to
//! unwind: its caller is answered with `org.freedesktop.DBus.Error.Failed`, the panic's own words go to standard
//! error alone, and the value is served on as it was left.

mod call;
mod cells;
mod description;
mod emitter;
mod objects;
mod panics;
mod properties;
mod standard;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use self::call::{Call, DBusError};
#[cfg(feature = "async")]
pub use self::cells::Exclusive;
#[cfg(feature = "blocking")]
pub use self::cells::ExclusiveBlocking;
pub use self::cells::{Cell, Shared};
pub use self::description::{
    Argument, Description, EmitsChanged, MethodDescription, PropertyDescription, SignalDescription,
};
pub use self::emitter::SignalEmitter;
pub(crate) use self::objects::Objects;
pub use self::objects::{InterfaceRef, ObjectServer};
pub use self::properties::PropertyMap;
pub use self::standard::ObjectManager;
#[cfg(feature = "blocking")]
pub(crate) use self::standard::must_wait;
pub(crate) use self::standard::{OBJECT_MANAGER, dispatch};

use crate::client::link::Style;

/// What is done while others go on.
pub type Task<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What came of a call.
pub enum Dispatch {
    /// There is no such member.
    Unknown,
    /// It is answered.
    Done,
    /// It will be answered by this.
    Pending(Task<'static>),
}

/// A Rust type as an interface of an object. `#[interface]` implements it.
pub trait Interface<S: Style>: Sized + Send + Sync + 'static {
    /// What it offers.
    const DESCRIPTION: &'static Description;
    /// What keeps a value of it: [`Shared`] or one with a lock.
    type Cell: Cell<Self>;

    /// Answers a call of one of its methods.
    fn call(cell: &Arc<Self::Cell>, call: &Call<S>, member: &str) -> Dispatch;

    /// Answers with one of its properties.
    fn get(cell: &Arc<Self::Cell>, call: &Call<S>, property: &str) -> Dispatch;

    /// Sets one of its properties and answers.
    fn set(cell: &Arc<Self::Cell>, call: &Call<S>, property: &str) -> Dispatch;

    /// Adds all its properties that can be read.
    fn get_all<'a>(
        cell: &'a Self::Cell,
        emitter: &'a SignalEmitter<'static, S>,
        properties: &'a mut PropertyMap,
    ) -> Task<'a>;
}
