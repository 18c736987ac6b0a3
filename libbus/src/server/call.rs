//! A call of an object of this program.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use zbus::wire::{DynamicType, Signature, Type, as_variant};

use super::emitter::SignalEmitter;
use super::objects::ObjectServer;
use super::properties::PropertyMap;
use crate::client::connection::Connection;
use crate::client::error::{Error, Result};
use crate::client::fdo;
use crate::client::link::{Expects, Style};
use crate::connection::answer_to;
use crate::message::Message;
use crate::wire::{Flags, Header, MessageType};

/// What the other side of a call is told: an error of D-Bus.
pub trait DBusError {
    /// Which one: `org.freedesktop.DBus.Error.AccessDenied`.
    fn name(&self) -> Cow<'_, str>;

    /// What it says to people.
    fn description(&self) -> Cow<'_, str>;
}

/// A call of an object of this program. A copy of it is the same call.
pub struct Call<S: Style> {
    connection: Connection<S>,
    message: Message,
}

impl<S: Style> Call<S> {
    pub(crate) const fn new(connection: Connection<S>, message: Message) -> Self {
        Self { connection, message }
    }

    /// The connection on which it came.
    #[must_use]
    pub const fn connection(&self) -> &Connection<S> {
        &self.connection
    }

    /// The message.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// What the message says about itself.
    #[must_use]
    pub fn header(&self) -> Header<'_> {
        self.message.header()
    }

    /// The objects of this program.
    #[must_use]
    pub fn object_server(&self) -> ObjectServer<S> {
        self.connection.object_server()
    }

    /// Emits signals of the called object.
    #[must_use]
    pub fn signal_emitter(&self) -> SignalEmitter<'_, S> {
        SignalEmitter::of(&self.connection, Cow::Borrowed(self.path()))
    }

    /// The called object.
    #[must_use]
    pub fn path(&self) -> &str {
        self.message.path().map_or("/", |path| path.as_str())
    }

    /// Its arguments, as [`Message::deserialize`].
    ///
    /// # Errors
    /// They are of other types.
    pub fn arguments<'m, T>(&'m self) -> std::result::Result<T, fdo::Error>
    where
        T: Deserialize<'m> + Type,
    {
        self.message.deserialize().map_err(|error| fdo::Error::InvalidArgs(error.to_string()))
    }

    /// The value that a property is to have.
    ///
    /// # Errors
    /// It is of another type.
    pub fn new_value<'m, T>(&'m self) -> std::result::Result<T, fdo::Error>
    where
        T: Deserialize<'m> + Type + 'm,
    {
        let arguments = self.arguments::<(&str, &str, as_variant::Deserialize<'m, T>)>();
        arguments.map(|(_, _, value)| value.0)
    }

    /// Answers with a value: a tuple is several, `()` is none.
    pub fn reply<T>(&self, value: &T)
    where
        T: Serialize + DynamicType + ?Sized,
    {
        if !self.message.flags().contains(Flags::NO_REPLY_EXPECTED) {
            let header = answer_to(&self.message, MessageType::MethodReturn);
            self.check(self.connection.link().send(&header, value, Expects::NothingAsAnswer));
        }
    }

    /// Answers with the value of a property.
    pub fn reply_property<T>(&self, value: &T)
    where
        T: Serialize + Type,
    {
        self.reply(&as_variant::Serialize(value));
    }

    /// Answers with properties and more.
    pub(crate) fn reply_map(&self, map: PropertyMap, signature: &Signature) {
        if !self.message.flags().contains(Flags::NO_REPLY_EXPECTED) {
            let header = answer_to(&self.message, MessageType::MethodReturn);
            let send =
                |body| self.connection.link().send_body(&header, body, Expects::NothingAsAnswer);
            self.check(map.into_body(signature).map_err(Error::from).and_then(send));
        }
    }

    /// Answers with an error.
    pub fn refuse(&self, error: &dyn DBusError) {
        if self.message.flags().contains(Flags::NO_REPLY_EXPECTED) {
            return;
        }
        let (name, text) = (error.name(), error.description());
        let fallback = crate::standard_error::FAILED;
        let mut header = answer_to(&self.message, MessageType::Error);
        header.error_name = Some(crate::names::ErrorName::parse(&name).unwrap_or(fallback));
        // A NUL ends a string.
        let text = text.replace('\0', "\u{fffd}");
        let sent = self.connection.link().send(&header, &*text, Expects::NothingAsAnswer);
        // What else is wrong with the connection shows where it is waited for.
        drop(sent);
    }

    /// What cannot be sent is told instead.
    fn check(&self, sent: Result<std::num::NonZeroU32>) {
        match sent {
            Err(error) if !error.is_disconnected() => {
                self.refuse(&fdo::Error::Failed(format!("the answer cannot be sent: {error}")));
            }
            _ => {}
        }
    }
}

impl<S: Style> Clone for Call<S> {
    fn clone(&self) -> Self {
        Self { connection: self.connection.clone(), message: self.message.clone() }
    }
}

impl<S: Style> fmt::Debug for Call<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.message).finish()
    }
}
