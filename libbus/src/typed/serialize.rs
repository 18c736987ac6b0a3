//! From values to bytes.

use std::os::fd::OwnedFd;

use serde::ser::{self, Serialize};
use zbus::wire::{Signature, as_variant};

use super::{TypeError, parse_signature};
use crate::client::blob::{self, Blob};
use crate::limits::ARRAY_SIZE_MAX;
use crate::system_call::duplicate;
use crate::wire::{ArrayStart, BodyWriter};

/// Where values go.
pub(super) struct Sink<'b> {
    pub(super) body: BodyWriter<'b>,
    pub(super) fds: &'b mut Vec<OwnedFd>,
    pub(super) has_blobs_inline: bool,
}

/// Writes one value of the type `signature`.
pub(super) struct Serializer<'s, 'b> {
    pub(super) sink: &'s mut Sink<'b>,
    pub(super) signature: &'s Signature,
}

impl<'s, 'b> Serializer<'s, 'b> {
    fn expect(&self, signature: &Signature, actual: &'static str) -> Result<(), TypeError> {
        match self.signature == signature {
            true => Ok(()),
            false => Err(TypeError::mismatch(self.signature, actual)),
        }
    }

    /// Begins a value that is written part by part, as the signature says.
    fn begin(self, actual: &'static str) -> Result<Compound<'s, 'b>, TypeError> {
        let Self { sink, signature } = self;
        let kind = match signature {
            Signature::Structure(_) => {
                sink.body.begin_structure();
                Kind::Fields(0)
            }
            Signature::Array(child) => {
                Kind::Elements(sink.body.begin_array(child.alignment_dbus()), child.signature())
            }
            Signature::Dict { key, value } => Kind::Entries {
                start: sink.body.begin_array(8),
                key: key.signature(),
                value: value.signature(),
            },
            Signature::Variant => Kind::Variant(None),
            // A structure without fields is a byte.
            Signature::U8 => {
                sink.body.byte(0);
                Kind::Nothing
            }
            Signature::Unit => Kind::Nothing,
            _ => return Err(TypeError::mismatch(signature, actual)),
        };
        Ok(Compound { sink, signature, kind })
    }

    /// An enum with fields is a structure of its number and the fields. Answers what the first of them is.
    fn begin_enum(&mut self, index: u32) -> Result<&'s Signature, TypeError> {
        let signature = self.signature;
        let wrong = || TypeError::mismatch(signature, "an enum with fields");
        let Signature::Structure(fields) = signature else { return Err(wrong()) };
        let (number, field) = fields.get(0).zip(fields.get(1)).ok_or_else(wrong)?;
        self.sink.body.begin_structure();
        index.serialize(Serializer { sink: &mut *self.sink, signature: number })?;
        Ok(field)
    }

    /// A blob is a variant. If it turns out to be a file the file's content is written in its place.
    fn blob_inline<T: Serialize + ?Sized>(self, blob: &T) -> Result<(), TypeError> {
        let Self { sink, signature } = self;
        let (start, fd_count) = (sink.body.position(), sink.fds.len());
        blob.serialize(Serializer { sink, signature })?;
        if sink.fds.len() == fd_count {
            return Ok(());
        }
        let file = Blob::of_file(sink.fds.pop().ok_or_else(|| no_room("it is gone"))?);
        sink.body.take_back(start);
        let bytes = file.into_bytes(ARRAY_SIZE_MAX.into()).map_err(no_room)?;
        as_variant::Serialize(&blob::Bytes(&bytes)).serialize(Serializer { sink, signature })
    }

    /// Several fields are a structure of their own.
    fn begin_variant(mut self, index: u32) -> Result<Compound<'s, 'b>, TypeError> {
        let field = self.begin_enum(index)?;
        let Self { sink, signature } = self;
        if let Signature::Structure(_) = field {
            sink.body.begin_structure();
            return Ok(Compound { sink, signature: field, kind: Kind::Fields(0) });
        }
        Ok(Compound { sink, signature, kind: Kind::Fields(1) })
    }
}

fn no_room(why: impl std::fmt::Display) -> TypeError {
    let text = "the connection passes no file descriptors, and in the message there is no place";
    TypeError::Custom(format!("{text}: {why}"))
}

macro_rules! number {
    ($name:ident, $type:ty, $signature:ident, $write:ident, $actual:literal) => {
        fn $name(self, value: $type) -> Result<(), TypeError> {
            self.expect(&Signature::$signature, $actual)?;
            self.sink.body.$write(value.into());
            Ok(())
        }
    };
}

impl<'s, 'b> ser::Serializer for Serializer<'s, 'b> {
    type Ok = ();
    type Error = TypeError;
    type SerializeSeq = Compound<'s, 'b>;
    type SerializeTuple = Compound<'s, 'b>;
    type SerializeTupleStruct = Compound<'s, 'b>;
    type SerializeTupleVariant = Compound<'s, 'b>;
    type SerializeMap = Compound<'s, 'b>;
    type SerializeStruct = Compound<'s, 'b>;
    type SerializeStructVariant = Compound<'s, 'b>;

    number!(serialize_bool, bool, Bool, boolean, "a bool");
    number!(serialize_i8, i8, I16, int16, "an i8");
    number!(serialize_i16, i16, I16, int16, "an i16");
    number!(serialize_i64, i64, I64, int64, "an i64");
    number!(serialize_u8, u8, U8, byte, "a u8");
    number!(serialize_u16, u16, U16, uint16, "a u16");
    number!(serialize_u32, u32, U32, uint32, "a u32");
    number!(serialize_u64, u64, U64, uint64, "a u64");
    number!(serialize_f32, f32, F64, double, "an f32");
    number!(serialize_f64, f64, F64, double, "an f64");

    /// A descriptor comes as its number.
    fn serialize_i32(self, value: i32) -> Result<(), TypeError> {
        if self.signature != &Signature::Fd {
            self.expect(&Signature::I32, "an i32")?;
            self.sink.body.int32(value);
            return Ok(());
        }
        let index = self.sink.fds.len();
        self.sink.fds.push(duplicate(value).map_err(TypeError::Fd)?);
        // More than 2^32 are in no table.
        self.sink.body.unix_fd(index as u32);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), TypeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), TypeError> {
        match self.signature {
            Signature::Str | Signature::ObjectPath => self.sink.body.string(text),
            Signature::Signature => {
                let signature = crate::wire::Signature::parse(text);
                self.sink.body.signature(signature.map_err(TypeError::InvalidSignature)?);
            }
            other => return Err(TypeError::mismatch(other, "a string")),
        }
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), TypeError> {
        match self.signature {
            Signature::Array(child) if child.signature() == &Signature::U8 => {
                self.sink.body.bytes(bytes);
                Ok(())
            }
            other => Err(TypeError::mismatch(other, "bytes")),
        }
    }

    fn serialize_none(self) -> Result<(), TypeError> {
        Err(TypeError::mismatch(self.signature, "an Option, which D-Bus does not have"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), TypeError> {
        self.serialize_none()
    }

    fn serialize_unit(self) -> Result<(), TypeError> {
        self.begin("nothing").map(drop)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), TypeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
    ) -> Result<(), TypeError> {
        match self.signature {
            Signature::Str => self.serialize_str(name),
            _ => self.serialize_u32(index),
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), TypeError> {
        if name == blob::TOKEN && self.sink.has_blobs_inline {
            return self.blob_inline(value);
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), TypeError> {
        let signature = self.begin_enum(index)?;
        value.serialize(Serializer { sink: self.sink, signature })
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'s, 'b>, TypeError> {
        self.begin("a sequence")
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'s, 'b>, TypeError> {
        self.begin("a tuple")
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Compound<'s, 'b>, TypeError> {
        self.begin("a tuple")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Compound<'s, 'b>, TypeError> {
        self.begin_variant(index)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'s, 'b>, TypeError> {
        match self.signature {
            Signature::Dict { .. } => self.begin("a map"),
            other => Err(TypeError::mismatch(other, "a map")),
        }
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'s, 'b>, TypeError> {
        self.begin("a structure")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Compound<'s, 'b>, TypeError> {
        self.begin_variant(index)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A value that is written part by part.
pub(super) struct Compound<'s, 'b> {
    sink: &'s mut Sink<'b>,
    /// Of all of it.
    signature: &'s Signature,
    kind: Kind<'s>,
}

enum Kind<'s> {
    /// Which field is next.
    Fields(usize),
    Elements(ArrayStart, &'s Signature),
    Entries {
        start: ArrayStart,
        key: &'s Signature,
        value: &'s Signature,
    },
    /// What the value is, once that is written.
    Variant(Option<Signature>),
    Nothing,
}

impl Compound<'_, '_> {
    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        let Self { sink, signature, kind } = self;
        match kind {
            Kind::Fields(index) => {
                let Signature::Structure(fields) = signature else { return Ok(()) };
                let field = fields.get(*index);
                let field = field.ok_or_else(|| TypeError::mismatch(signature, "longer"))?;
                *index += 1;
                value.serialize(Serializer { sink, signature: field })
            }
            Kind::Elements(_, element) => value.serialize(Serializer { sink, signature: element }),
            Kind::Entries { .. } => Err(TypeError::mismatch(signature, "a sequence")),
            Kind::Variant(None) => {
                // It says of itself what it is.
                let start = sink.body.position();
                value.serialize(Serializer { sink, signature: &Signature::Signature })?;
                let text = sink.body.written_since(start + 1);
                let text = text.split_last().map(|(_, text)| text).unwrap_or_default();
                *kind =
                    Kind::Variant(Some(parse_signature(std::str::from_utf8(text).unwrap_or(""))?));
                Ok(())
            }
            Kind::Variant(Some(inner)) => value.serialize(Serializer { sink, signature: inner }),
            Kind::Nothing => Err(TypeError::mismatch(signature, "longer")),
        }
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), TypeError> {
        let Self { sink, kind: Kind::Entries { key: of_key, .. }, .. } = self else {
            return Err(TypeError::mismatch(self.signature, "a map"));
        };
        sink.body.begin_structure();
        key.serialize(Serializer { sink, signature: of_key })
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        let Self { sink, kind: Kind::Entries { value: of_value, .. }, .. } = self else {
            return Err(TypeError::mismatch(self.signature, "a map"));
        };
        value.serialize(Serializer { sink, signature: of_value })
    }

    /// A structure may be told to travel as a dictionary.
    fn field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), TypeError> {
        if matches!(self.kind, Kind::Entries { .. }) {
            self.key(name)?;
            return self.value(value);
        }
        self.next(value)
    }

    fn finish(self) -> Result<(), TypeError> {
        let Self { sink, signature, kind } = self;
        match kind {
            Kind::Fields(index) => match signature {
                Signature::Structure(fields) if fields.len() != index => {
                    Err(TypeError::mismatch(signature, "shorter"))
                }
                _ => Ok(()),
            },
            Kind::Elements(start, _) | Kind::Entries { start, .. } => {
                sink.body.end_array(start);
                Ok(())
            }
            Kind::Variant(_) | Kind::Nothing => Ok(()),
        }
    }
}

macro_rules! sequence {
    ($($trait:ident $method:ident,)*) => { $(
        impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = TypeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
                self.next(value)
            }

            fn end(self) -> Result<(), TypeError> {
                self.finish()
            }
        }
    )* };
}

sequence! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! structure {
    ($($trait:ident,)*) => { $(
        impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = TypeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), TypeError> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), TypeError> {
                self.finish()
            }
        }
    )* };
}

structure! { SerializeStruct, SerializeStructVariant, }

impl ser::SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = TypeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), TypeError> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        self.value(value)
    }

    fn end(self) -> Result<(), TypeError> {
        self.finish()
    }
}
