//! Dictionaries of properties, written value by value.

use serde::Serialize;
use zbus::wire::{Signature, Type, as_variant};

use crate::client::connection::Connection;
use crate::client::link::Style;
use crate::typed::{Body, TypeError};
use crate::wire::{ArrayStart, BodyWriter, Endian};

/// A body that is written piece by piece: properties with their values, perhaps those of several
/// interfaces and objects.
#[derive(Debug, Default)]
pub struct PropertyMap {
    body: Box<Body>,
    failure: Option<TypeError>,
}

impl PropertyMap {
    /// For a message on this connection.
    pub(crate) fn of<S: Style>(connection: &Connection<S>) -> Self {
        let mut map = Self::default();
        map.body.has_blobs_inline = !connection.takes_fds();
        map
    }

    /// Adds a property. What cannot be written as a message makes the whole fail when it is sent.
    pub fn add<T>(&mut self, name: &str, value: &T)
    where
        T: Serialize + Type,
    {
        let before = self.body.bytes.len();
        let mut writer = self.writer();
        writer.begin_structure();
        writer.string(name);
        if let Err(error) = self.body.append(&as_variant::Serialize(value)) {
            self.body.bytes.truncate(before);
            self.failure.get_or_insert(error);
        }
    }

    /// Begins a dictionary; what is added until [`PropertyMap::end`] is in it.
    pub(crate) fn begin(&mut self) -> ArrayStart {
        self.writer().begin_array(8)
    }

    pub(crate) fn end(&mut self, start: ArrayStart) {
        self.writer().end_array(start);
    }

    /// The key of an entry whose value is a dictionary that follows.
    pub(crate) fn key(&mut self, key: &str) {
        let mut writer = self.writer();
        writer.begin_structure();
        writer.string(key);
    }

    /// A string that stands before a dictionary.
    pub(crate) fn text(&mut self, text: &str) {
        self.writer().string(text);
    }

    fn writer(&mut self) -> BodyWriter<'_> {
        BodyWriter::resume(&mut self.body.bytes, Endian::NATIVE)
    }

    /// What was written, as a body of this signature.
    ///
    /// # Errors
    /// A value could not be written.
    pub(crate) fn into_body(mut self, signature: &Signature) -> Result<Box<Body>, TypeError> {
        self.body.set_signature(signature)?;
        match self.failure {
            Some(error) => Err(error),
            None => Ok(self.body),
        }
    }
}
