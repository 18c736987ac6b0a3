//! Into a message, by way of serde, as every value of a Rust type goes.

use std::os::fd::{AsRawFd, OwnedFd};

use libbus::wire_types::{DynamicType, Signature};
use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeStruct, SerializeTuple, Serializer,
};

use super::{Arguments, Value};

impl DynamicType for Arguments {
    fn signature(&self) -> Signature {
        let fields: String = self.values.iter().map(Value::signature).collect();
        // A value that was typed or read has a type that is one.
        Signature::try_from(format!("({fields})").as_str()).unwrap_or(Signature::Unit)
    }
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.values.is_empty() {
            return serializer.serialize_unit();
        }
        let mut tuple = serializer.serialize_tuple(self.values.len())?;
        for value in &self.values {
            tuple.serialize_element(&Part { value, fds: &self.fds })?;
        }
        tuple.end()
    }
}

struct Part<'a> {
    value: &'a Value,
    fds: &'a [OwnedFd],
}

impl<'a> Part<'a> {
    const fn of(&self, value: &'a Value) -> Self {
        Part { value, fds: self.fds }
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Byte(value) => serializer.serialize_u8(*value),
            Value::Boolean(value) => serializer.serialize_bool(*value),
            Value::Int16(value) => serializer.serialize_i16(*value),
            Value::Uint16(value) => serializer.serialize_u16(*value),
            Value::Int32(value) => serializer.serialize_i32(*value),
            Value::Uint32(value) => serializer.serialize_u32(*value),
            Value::Int64(value) => serializer.serialize_i64(*value),
            Value::Uint64(value) => serializer.serialize_u64(*value),
            Value::Double(value) => serializer.serialize_f64(*value),
            Value::String(text) | Value::ObjectPath(text) | Value::Signature(text) => {
                serializer.serialize_str(text)
            }
            Value::UnixFd(index) => match self.fds.get(*index as usize) {
                Some(fd) => serializer.serialize_i32(fd.as_raw_fd()),
                None => Err(S::Error::custom("there is no such file descriptor")),
            },
            Value::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Value::Array { elements, .. } => {
                serializer.collect_seq(elements.iter().map(|element| self.of(element)))
            }
            Value::Dict { entries, .. } => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&self.of(key), &self.of(value))?;
                }
                map.end()
            }
            Value::Struct(fields) => {
                let mut tuple = serializer.serialize_tuple(fields.len())?;
                for field in fields {
                    tuple.serialize_element(&self.of(field))?;
                }
                tuple.end()
            }
            Value::Variant(value) => {
                let mut variant = serializer.serialize_struct("Variant", 2)?;
                variant.serialize_field("signature", &value.signature())?;
                variant.serialize_field("value", &self.of(value))?;
                variant.end()
            }
        }
    }
}
