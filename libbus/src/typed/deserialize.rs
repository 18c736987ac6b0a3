//! From bytes to values.
//!
//! The bytes are those of a checked body: all that can be wrong is that a type wants something else.

use std::os::fd::{AsRawFd as _, OwnedFd};

use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use zbus::wire::Signature;

use super::{TypeError, parse_signature};
use crate::wire::{BodyReader, MessageError};

/// Reads one value of the type `signature`.
pub(super) struct Deserializer<'r, 'de, 's> {
    pub(super) reader: &'r mut BodyReader<'de>,
    /// Those of the message.
    pub(super) fds: &'de [OwnedFd],
    pub(super) signature: &'s Signature,
}

impl<'de> Deserializer<'_, 'de, '_> {
    fn mismatch(&self, actual: &'static str) -> TypeError {
        TypeError::mismatch(self.signature, actual)
    }

    fn text(&mut self) -> Result<&'de str, MessageError> {
        match self.signature {
            Signature::Signature => self.reader.signature().map(|signature| signature.as_str()),
            _ => self.reader.string(),
        }
    }

    /// The number of a descriptor, which lives as long as its message.
    fn fd(&mut self) -> Result<i32, TypeError> {
        let index = self.reader.unix_fd()?;
        let fd = self.fds.get(index as usize).ok_or_else(|| {
            let text =
                format!("the message has {} of them, not one of index {index}", self.fds.len());
            TypeError::Fd(std::io::Error::other(text))
        })?;
        Ok(fd.as_raw_fd())
    }

    fn visit<V: Visitor<'de>>(
        mut self,
        wanted: &'static str,
        is_wanted: impl FnOnce(&Signature) -> bool,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        if !is_wanted(self.signature) {
            return Err(self.mismatch(wanted));
        }
        match self.signature {
            Signature::Unit => visitor.visit_unit(),
            Signature::U8 => visitor.visit_u8(self.reader.byte()?),
            Signature::Bool => visitor.visit_bool(self.reader.boolean()?),
            Signature::I16 => visitor.visit_i16(self.reader.int16()?),
            Signature::U16 => visitor.visit_u16(self.reader.uint16()?),
            Signature::I32 => visitor.visit_i32(self.reader.int32()?),
            Signature::U32 => visitor.visit_u32(self.reader.uint32()?),
            Signature::I64 => visitor.visit_i64(self.reader.int64()?),
            Signature::U64 => visitor.visit_u64(self.reader.uint64()?),
            Signature::F64 => visitor.visit_f64(self.reader.double()?),
            Signature::Fd => visitor.visit_i32(self.fd()?),
            Signature::Str | Signature::ObjectPath | Signature::Signature => {
                visitor.visit_borrowed_str(self.text()?)
            }
            Signature::Variant => visitor.visit_seq(VariantParts { outer: self, inner: None }),
            Signature::Array(child) => {
                let Deserializer { reader, fds, .. } = self;
                let mut elements = reader.aligned_array(child.alignment_dbus())?;
                let element = child.signature();
                let value = visitor.visit_seq(Elements { reader: &mut elements, fds, element })?;
                match elements.is_empty() {
                    true => Ok(value),
                    false => Err(TypeError::mismatch(self.signature, "shorter")),
                }
            }
            Signature::Dict { key, value } => {
                let Deserializer { reader, fds, .. } = self;
                let mut entries = reader.aligned_array(8)?;
                let (key, value) = (key.signature(), value.signature());
                visitor.visit_map(Entries { reader: &mut entries, fds, key, value })
            }
            Signature::Structure(_) => {
                self.reader.structure()?;
                visitor.visit_seq(Fields { outer: self, index: 0 })
            }
            #[allow(unreachable_patterns, reason = "a feature of that library adds one")]
            _ => Err(self.mismatch(wanted)),
        }
    }
}

const fn is_compound(signature: &Signature) -> bool {
    use Signature::{Array, Dict, Structure, Variant};
    matches!(signature, Array(_) | Dict { .. } | Structure(_) | Variant)
}

macro_rules! basic {
    ($($name:ident $signature:pat, $wanted:literal;)*) => { $(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
            self.visit($wanted, |signature| matches!(signature, $signature), visitor)
        }
    )* };
}

impl<'de> de::Deserializer<'de> for Deserializer<'_, 'de, '_> {
    type Error = TypeError;

    basic! {
        deserialize_any _, "anything";
        deserialize_ignored_any _, "anything";
        deserialize_bool Signature::Bool, "a bool";
        deserialize_i8 Signature::I16, "an i8";
        deserialize_i16 Signature::I16, "an i16";
        deserialize_i32 Signature::I32 | Signature::Fd, "an i32";
        deserialize_i64 Signature::I64, "an i64";
        deserialize_u8 Signature::U8, "a u8";
        deserialize_u16 Signature::U16, "a u16";
        deserialize_u32 Signature::U32, "a u32";
        deserialize_u64 Signature::U64, "a u64";
        deserialize_f32 Signature::F64, "an f32";
        deserialize_f64 Signature::F64, "an f64";
        deserialize_char Signature::Str, "a char";
        deserialize_str Signature::Str | Signature::ObjectPath | Signature::Signature, "a string";
        deserialize_string Signature::Str | Signature::ObjectPath | Signature::Signature, "a string";
        deserialize_seq Signature::Array(_) | Signature::Structure(_) | Signature::Variant, "a sequence";
        deserialize_map Signature::Dict { .. }, "a map";
        deserialize_identifier Signature::Str | Signature::U32, "a name";
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.signature {
            Signature::Array(child) if child.signature() == &Signature::U8 => {
                visitor.visit_borrowed_bytes(self.reader.bytes()?)
            }
            _ => Err(self.mismatch("bytes")),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, _: V) -> Result<V::Value, TypeError> {
        Err(self.mismatch("an Option, which D-Bus does not have"))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        // A structure without fields is a byte.
        if self.signature == &Signature::U8 {
            self.reader.byte()?;
        }
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        self.visit("a tuple", is_compound, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        if fields.is_empty() && self.signature == &Signature::U8 {
            self.reader.byte()?;
            return visitor.visit_seq(de::value::SeqDeserializer::new([(); 0].into_iter()));
        }
        self.visit("a structure", is_compound, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        visitor.visit_enum(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// An enum without fields is its name or its number; one with fields is a structure of its number and them.
impl<'r, 'de, 's> EnumAccess<'de> for Deserializer<'r, 'de, 's> {
    type Error = TypeError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(
        mut self,
        seed: T,
    ) -> Result<(T::Value, Self), TypeError> {
        let value = match self.signature {
            Signature::Str => {
                let name = self.text()?;
                seed.deserialize(de::value::BorrowedStrDeserializer::new(name))
            }
            Signature::U32 => seed.deserialize(self.reader.uint32()?.into_deserializer()),
            Signature::Structure(fields) if fields.get(0) == Some(&Signature::U32) => {
                self.reader.structure()?;
                seed.deserialize(self.reader.uint32()?.into_deserializer())
            }
            _ => Err(self.mismatch("an enum")),
        }?;
        Ok((value, self))
    }
}

impl<'de, 's> Deserializer<'_, 'de, 's> {
    /// What follows the number of an enum.
    fn content(&self) -> Result<&'s Signature, TypeError> {
        match self.signature {
            Signature::Structure(fields) => {
                fields.get(1).ok_or_else(|| self.mismatch("an enum with fields"))
            }
            _ => Err(self.mismatch("an enum with fields")),
        }
    }

    fn several<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let signature = self.content()?;
        if let Signature::Structure(_) = signature {
            let Deserializer { reader, fds, .. } = self;
            let inner = Deserializer { reader, fds, signature };
            return inner.visit("fields", is_compound, visitor);
        }
        visitor.visit_seq(Fields { outer: self, index: 1 })
    }
}

impl<'de> VariantAccess<'de> for Deserializer<'_, 'de, '_> {
    type Error = TypeError;

    fn unit_variant(self) -> Result<(), TypeError> {
        match self.signature {
            Signature::Structure(_) => Err(self.mismatch("an enum without fields")),
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, TypeError> {
        let signature = self.content()?;
        let Deserializer { reader, fds, .. } = self;
        seed.deserialize(Deserializer { reader, fds, signature })
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TypeError> {
        self.several(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        self.several(visitor)
    }
}

struct Fields<'r, 'de, 's> {
    outer: Deserializer<'r, 'de, 's>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de, '_> {
    type Error = TypeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TypeError> {
        let Deserializer { reader, fds, signature } = &mut self.outer;
        let Signature::Structure(fields) = signature else { return Ok(None) };
        let Some(signature) = fields.get(self.index) else { return Ok(None) };
        self.index += 1;
        seed.deserialize(Deserializer { reader, fds, signature }).map(Some)
    }
}

struct Elements<'r, 'de, 's> {
    reader: &'r mut BodyReader<'de>,
    fds: &'de [OwnedFd],
    element: &'s Signature,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de, '_> {
    type Error = TypeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TypeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let Self { reader, fds, element } = self;
        seed.deserialize(Deserializer { reader, fds, signature: element }).map(Some)
    }
}

struct Entries<'r, 'de, 's> {
    reader: &'r mut BodyReader<'de>,
    fds: &'de [OwnedFd],
    key: &'s Signature,
    value: &'s Signature,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de, '_> {
    type Error = TypeError;

    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TypeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let Self { reader, fds, key, .. } = self;
        reader.structure()?;
        seed.deserialize(Deserializer { reader, fds, signature: key }).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, TypeError> {
        let Self { reader, fds, value, .. } = self;
        seed.deserialize(Deserializer { reader, fds, signature: value })
    }
}

/// A variant is its signature and its value.
struct VariantParts<'r, 'de, 's> {
    outer: Deserializer<'r, 'de, 's>,
    /// Of the value, once that is read; `Unit` when both are.
    inner: Option<Signature>,
}

impl<'de> SeqAccess<'de> for VariantParts<'_, 'de, '_> {
    type Error = TypeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TypeError> {
        let Deserializer { reader, fds, .. } = &mut self.outer;
        match self.inner.replace(Signature::Unit) {
            None => {
                let text = reader.variant()?.as_str();
                self.inner = Some(parse_signature(text)?);
                seed.deserialize(de::value::BorrowedStrDeserializer::new(text)).map(Some)
            }
            Some(Signature::Unit) => Ok(None),
            Some(signature) => {
                seed.deserialize(Deserializer { reader, fds, signature: &signature }).map(Some)
            }
        }
    }
}
