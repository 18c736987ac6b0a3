//! Values of Rust types in bodies: what serde and [`Type`] say of a type becomes arguments, and back.
//!
//! The types, their signatures and their derives are those of [`zbus::wire`]; reading and writing is done
//! here, by the crate's own reader and writer, without an allocation but for what the values themselves
//! need. Which type is at its turn the signature says: a value that wants to be another is an error with
//! both types, never a wrong byte.

mod deserialize;
mod serialize;
#[cfg(test)]
mod tests;

use std::fmt;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use zbus::wire::{DynamicDeserialize, DynamicType, Signature as TypeSignature, Type};

use self::deserialize::Deserializer;
use self::serialize::{Serializer, Sink};
use crate::limits::SIGNATURE_SIZE_MAX;
use crate::message::Message;
use crate::wire::{BodyReader, BodyWriter, Endian, MessageError, Signature, SignatureError};

/// The room of a larger body is not kept, in bytes.
const BODY_SIZE_KEPT: usize = 64 * 1024;

/// Why a value cannot be written to a message or read from one.
///
/// ```
/// # #[cfg(not(feature = "blocking"))]
/// # fn main() {}
/// # #[cfg(feature = "blocking")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// # let bus = libbus::TestBus::start()?;
/// # let connection = libbus::blocking::Builder::address(bus.address())?.build()?;
/// use libbus::typed::TypeError;
///
/// let reply = connection.bus().call_method("GetId", &())?;
/// match reply.deserialize::<u32>() {
///     Err(TypeError::Signature { expected, actual }) => {
///         assert_eq!((expected.as_str(), actual.as_str()), ("u", "s"));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TypeError {
    /// The body has another signature than the type that is asked for.
    Signature {
        /// That of the type.
        expected: String,
        /// That of the message.
        actual: String,
    },
    /// The type's signature is none that a message can have (protocol.md A016–A018).
    InvalidSignature(SignatureError),
    /// A part of the value is of another type than the signature says.
    Mismatch {
        /// What the signature says there.
        expected: String,
        /// What the value is.
        actual: &'static str,
    },
    /// A value is wrong in itself.
    Malformed(MessageError),
    /// A descriptor cannot be duplicated, or there is none of that number.
    Fd(std::io::Error),
    /// What the type itself says is wrong.
    Custom(String),
}

/// A body that is written: its bytes, its signature and the descriptors that go with it.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
    /// Whether the content of blobs is in it, since there is no way for descriptors.
    pub(crate) has_blobs_inline: bool,
    signature: SignatureText,
}

impl Body {
    /// Writes `value` in place of what is there: a tuple is several arguments, anything else is one, `()`
    /// is none.
    ///
    /// # Errors
    /// The value is not what its type's signature says, or has a descriptor that cannot be duplicated.
    pub(crate) fn write<T>(&mut self, value: &T) -> Result<(), TypeError>
    where
        T: Serialize + DynamicType + ?Sized,
    {
        self.bytes.clear();
        self.fds.clear();
        let signature = value.signature();
        self.signature = SignatureText::of(&signature)?;
        self.append_as(value, &signature)
    }

    /// Writes `value` after what is there, whose signature stays.
    ///
    /// # Errors
    /// As [`Body::write`].
    pub(crate) fn append<T>(&mut self, value: &T) -> Result<(), TypeError>
    where
        T: Serialize + Type,
    {
        self.append_as(value, T::SIGNATURE)
    }

    fn append_as<T>(&mut self, value: &T, signature: &TypeSignature) -> Result<(), TypeError>
    where
        T: Serialize + ?Sized,
    {
        let body = BodyWriter::resume(&mut self.bytes, Endian::NATIVE);
        let has_blobs_inline = self.has_blobs_inline;
        let mut sink = Sink { body, fds: &mut self.fds, has_blobs_inline };
        value.serialize(Serializer { sink: &mut sink, signature })
    }

    /// What the arguments are that were appended.
    ///
    /// # Errors
    /// The signature is none.
    pub(crate) fn set_signature(&mut self, signature: &TypeSignature) -> Result<(), TypeError> {
        self.signature = SignatureText::of(signature)?;
        Ok(())
    }

    /// Gives back the memory of a large one.
    pub(crate) fn trim(&mut self) {
        if self.bytes.capacity() > BODY_SIZE_KEPT {
            self.bytes = Vec::new();
        }
        self.fds.clear();
    }

    /// What the arguments are.
    ///
    /// # Errors
    /// None that [`Body::write`] has not told.
    pub(crate) fn signature(&self) -> Result<Signature<'_>, TypeError> {
        Signature::parse(self.signature.as_str()).map_err(TypeError::InvalidSignature)
    }
}

impl Message {
    /// Its arguments as a value of Rust: a tuple for several, the type itself for one, `()` for none. What
    /// `T` borrows it borrows from the message.
    ///
    /// # Errors
    /// Its arguments have other types than `T`, or `T` does not take their values.
    pub fn deserialize<'m, T>(&'m self) -> Result<T, TypeError>
    where
        T: Deserialize<'m> + Type,
    {
        let expected = SignatureText::of(T::SIGNATURE)?;
        let actual = self.signature();
        if expected.as_str() != actual.as_str() {
            return Err(TypeError::Signature {
                expected: expected.as_str().to_owned(),
                actual: actual.as_str().to_owned(),
            });
        }
        let mut reader = self.reader();
        let fds = self.fds();
        T::deserialize(Deserializer { reader: &mut reader, fds, signature: T::SIGNATURE })
    }

    /// The value that begins `position` bytes into its body and is of the type `T`, as who read it before found.
    ///
    /// # Errors
    /// `T` does not take it.
    pub(crate) fn deserialize_at<'m, T>(&'m self, position: usize) -> Result<T, TypeError>
    where
        T: Deserialize<'m> + Type,
    {
        let rest = self.body().get(position..).unwrap_or_default();
        let mut reader = BodyReader::at(rest, position, self.endian());
        let fds = self.fds();
        T::deserialize(Deserializer { reader: &mut reader, fds, signature: T::SIGNATURE })
    }

    /// Its arguments as a value of a type that is known when it runs only, such as
    /// [`Structure`](zbus::wire::Structure).
    ///
    /// # Errors
    /// As [`Message::deserialize`].
    pub fn deserialize_dynamic<'m, T>(&'m self) -> Result<T, TypeError>
    where
        T: DynamicDeserialize<'m>,
    {
        use serde::de::DeserializeSeed as _;

        let text = self.signature().as_str();
        let signature = parse_signature(text)?;
        let actual = || TypeError::Signature {
            expected: std::any::type_name::<T>().to_owned(),
            actual: text.to_owned(),
        };
        let seed = T::deserializer_for_signature(&signature).map_err(|_| actual())?;
        let mut reader = self.reader();
        let fds = self.fds();
        seed.deserialize(Deserializer { reader: &mut reader, fds, signature: &signature })
    }
}

/// Several arguments are a structure to [`zbus::wire`].
fn parse_signature(text: &str) -> Result<TypeSignature, TypeError> {
    TypeSignature::try_from(text).map_err(|error| TypeError::Custom(error.to_string()))
}

/// The text of a signature, without a structure's brackets around several arguments.
struct SignatureText {
    text: [u8; SIGNATURE_SIZE_MAX],
    size: usize,
}

impl SignatureText {
    fn of(signature: &TypeSignature) -> Result<Self, TypeError> {
        let mut text = Self::default();
        let is_written = match signature {
            TypeSignature::Structure(fields) => fields.iter().all(|field| text.append(field)),
            other => text.append(other),
        };
        match is_written {
            true => Ok(text),
            false => Err(TypeError::InvalidSignature(SignatureError::TooLong)),
        }
    }

    /// Appends a type; `false` if there is no room. Formatting it would cost several times as much, for each message.
    fn append(&mut self, signature: &TypeSignature) -> bool {
        use TypeSignature as T;
        let code = match signature {
            T::Unit => return true,
            T::U8 => b'y',
            T::Bool => b'b',
            T::I16 => b'n',
            T::U16 => b'q',
            T::I32 => b'i',
            T::U32 => b'u',
            T::I64 => b'x',
            T::U64 => b't',
            T::F64 => b'd',
            T::Str => b's',
            T::Signature => b'g',
            T::ObjectPath => b'o',
            T::Variant => b'v',
            T::Fd => b'h',
            T::Array(element) => return self.push(b'a') && self.append(element.signature()),
            T::Dict { key, value } => {
                return self.push(b'a')
                    && self.push(b'{')
                    && self.append(key.signature())
                    && self.append(value.signature())
                    && self.push(b'}');
            }
            T::Structure(fields) => {
                return self.push(b'(')
                    && fields.iter().all(|field| self.append(field))
                    && self.push(b')');
            }
        };
        self.push(code)
    }

    fn push(&mut self, code: u8) -> bool {
        let place = self.text.get_mut(self.size);
        let has_room = place.is_some();
        if let Some(place) = place {
            *place = code;
            self.size += 1;
        }
        has_room
    }

    fn as_str(&self) -> &str {
        let text = self.text.get(..self.size).unwrap_or_default();
        // INVARIANT: it was written as text.
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl Default for SignatureText {
    fn default() -> Self {
        Self { text: [0; SIGNATURE_SIZE_MAX], size: 0 }
    }
}

impl fmt::Debug for SignatureText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl TypeError {
    fn mismatch(expected: &TypeSignature, actual: &'static str) -> Self {
        Self::Mismatch { expected: expected.to_string(), actual }
    }
}

impl From<MessageError> for TypeError {
    fn from(error: MessageError) -> Self {
        Self::Malformed(error)
    }
}

impl serde::ser::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

impl serde::de::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature { expected, actual } => {
                write!(f, "the message has the signature '{actual}', not '{expected}'")
            }
            Self::InvalidSignature(error) => write!(f, "the type has no signature: {error}"),
            Self::Mismatch { expected, actual } => {
                write!(f, "the signature says '{expected}' where the value is {actual}")
            }
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Fd(error) => write!(f, "a file descriptor cannot be passed on: {error}"),
            Self::Custom(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for TypeError {}
