//! Values of many bytes, which travel in the body or beside it.
//!
//! A message has at most 128 MiB (protocol.md A037), an array in it 64 (A020), and most buses allow less and
//! copy all of it. A descriptor costs the same for every size. So a [`Blob`] is a variant: small, it holds an
//! array of bytes (`ay`), and large, a descriptor (`h`) of a file in memory which its sender has sealed.
//!
//! What a peer sends is not to be trusted. A file that can still change may do so while it is read; one that
//! is shortened ends a program by SIGBUS that has mapped it; one of a file system may keep its reader waiting.
//! So nothing is mapped, and unless asked for otherwise only files with all their seals are read, after
//! a look at their size.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use zbus::wire::{Fd, Signature, Type, as_variant, signature};

use crate::transport::memory_file::{self, Kind};

/// What stands in a message that a blob serializes as, so that the writer can tell it from other variants.
pub(crate) const TOKEN: &str = "libbus::Blob";

/// Why the bytes of a blob cannot be had.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BlobError {
    /// What was sent in place of a file is none: a pipe, a socket, a directory.
    NoFile(&'static str),
    /// It is a file that no seals can be put on, so that it can change while it is read, or keep its reader
    /// waiting.
    Unsealable,
    /// It is a file that lacks these seals, so that it can change while it is read.
    Unsealed(String),
    /// It is larger than the program takes.
    TooLarge {
        /// How many bytes it has.
        size: u64,
        /// How many the program takes.
        size_max: u64,
    },
    /// The file cannot be made or read, or there is no memory for its content.
    Io(Arc<io::Error>),
}

/// A value of many bytes: in the body of a message while it is small, and a sealed file in memory when it is
/// large. It is one type to D-Bus, a variant (`v`) of an array of bytes (`ay`) or a descriptor (`h`), so that
/// programs without this library can read and write it, too.
///
/// Descriptors reach only who takes them ([`Connection::takes_fds`](crate::client::Connection::takes_fds)): over
/// a connection that passes none a file's content travels in the body, if it fits there (64 MiB, protocol.md
/// A020). A signal with a descriptor misses receivers that take none.
///
/// Who receives one says how many bytes it takes. A file is read if its sender has sealed it against every
/// change (F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE of fcntl(2)); anything else is an error that says what
/// was sent. [`Blob::copy_unsealed`] takes other files.
///
/// ```
/// use libbus::Blob;
///
/// let small = Blob::new(b"a few bytes")?;
/// assert!(!small.is_file());
/// let large = Blob::new(vec![7; 10 << 20])?;
/// assert!(large.is_file());
/// // Not more than 16 MiB:
/// assert_eq!(large.bytes(16 << 20)?.len(), 10 << 20);
/// assert!(large.bytes(1 << 20).is_err());
/// # Ok::<(), libbus::BlobError>(())
/// ```
#[derive(Debug)]
pub struct Blob {
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    File(OwnedFd),
}

/// A [`Blob`] as it lies in a message: nothing is copied, and no descriptor duplicated.
#[derive(Clone, Copy, Debug)]
pub struct BlobRef<'m> {
    content: ContentRef<'m>,
}

#[derive(Clone, Copy, Debug)]
enum ContentRef<'m> {
    Bytes(&'m [u8]),
    File(BorrowedFd<'m>),
}

impl Blob {
    /// How many bytes travel in the body, at most, if nothing else is said: 64 KiB. In the body it
    /// needs no system call of its own, but is copied on each of its ways; a file needs some, and is not.
    pub const INLINE_SIZE_MAX: usize = 64 * 1024;

    /// A blob of these bytes: in the body, unless they are more than [`Blob::INLINE_SIZE_MAX`].
    ///
    /// # Errors
    /// There is no memory, or no descriptor, for a file ([`BlobError::Io`]).
    pub fn new(bytes: impl AsRef<[u8]> + Into<Vec<u8>>) -> Result<Self, BlobError> {
        Self::with_inline_max(bytes, Self::INLINE_SIZE_MAX)
    }

    /// A blob of these bytes: in the body, unless they are more than `inline_size_max`. With `usize::MAX` it
    /// never is a file.
    ///
    /// # Errors
    /// As [`Blob::new`].
    pub fn with_inline_max(
        bytes: impl AsRef<[u8]> + Into<Vec<u8>>,
        inline_size_max: usize,
    ) -> Result<Self, BlobError> {
        let content = match bytes.as_ref().len() <= inline_size_max {
            true => Content::Bytes(bytes.into()),
            false => Content::File(memory_file::create(bytes.as_ref())?),
        };
        Ok(Self { content })
    }

    /// A blob of a file that the program has made, which travels as it is. Receivers want a file in memory that
    /// is sealed.
    #[must_use]
    pub fn of_file(file: impl Into<OwnedFd>) -> Self {
        Self { content: Content::File(file.into()) }
    }

    /// The same, without being copied.
    #[must_use]
    pub fn borrowed(&self) -> BlobRef<'_> {
        let content = match &self.content {
            Content::Bytes(bytes) => ContentRef::Bytes(bytes),
            Content::File(file) => ContentRef::File(file.as_fd()),
        };
        BlobRef { content }
    }

    /// Whether it is a file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self.content, Content::File(_))
    }

    /// Its bytes, of which the program takes no more than `size_max`.
    ///
    /// # Errors
    /// It is larger, or a file that is none, cannot be read or lacks seals.
    pub fn bytes(&self, size_max: u64) -> Result<Cow<'_, [u8]>, BlobError> {
        self.borrowed().bytes(size_max)
    }

    /// As [`Blob::bytes`], where nothing is copied that lies in memory already.
    ///
    /// # Errors
    /// As [`Blob::bytes`].
    pub fn into_bytes(self, size_max: u64) -> Result<Vec<u8>, BlobError> {
        match self.content {
            Content::Bytes(bytes) => {
                check_size(bytes.len() as u64, size_max)?;
                Ok(bytes)
            }
            Content::File(file) => read_sealed(file.as_fd(), size_max),
        }
    }

    /// Reads its bytes piece by piece, of which the program takes no more than `size_max` in all.
    ///
    /// # Errors
    /// As [`Blob::bytes`].
    pub fn reader(&self, size_max: u64) -> Result<BlobReader<'_>, BlobError> {
        self.borrowed().reader(size_max)
    }

    /// As [`Blob::bytes`], also of a file that can change: what is in it while it is copied. A file of a slow or
    /// malicious file system may keep the caller waiting.
    ///
    /// # Errors
    /// It is larger, no file, or cannot be read.
    pub fn copy_unsealed(&self, size_max: u64) -> Result<Vec<u8>, BlobError> {
        self.borrowed().copy_unsealed(size_max)
    }
}

impl<'m> BlobRef<'m> {
    /// Whether it is a file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self.content, ContentRef::File(_))
    }

    /// As [`Blob::bytes`].
    ///
    /// # Errors
    /// As [`Blob::bytes`].
    pub fn bytes(&self, size_max: u64) -> Result<Cow<'m, [u8]>, BlobError> {
        match self.content {
            ContentRef::Bytes(bytes) => {
                check_size(bytes.len() as u64, size_max)?;
                Ok(Cow::Borrowed(bytes))
            }
            ContentRef::File(file) => read_sealed(file, size_max).map(Cow::Owned),
        }
    }

    /// As [`Blob::reader`].
    ///
    /// # Errors
    /// As [`Blob::bytes`].
    pub fn reader(&self, size_max: u64) -> Result<BlobReader<'m>, BlobError> {
        let size = match self.content {
            ContentRef::Bytes(bytes) => bytes.len() as u64,
            ContentRef::File(file) => sealed_size(file)?,
        };
        check_size(size, size_max)?;
        Ok(BlobReader { content: self.content, size, position: 0 })
    }

    /// As [`Blob::copy_unsealed`].
    ///
    /// # Errors
    /// As [`Blob::copy_unsealed`].
    pub fn copy_unsealed(&self, size_max: u64) -> Result<Vec<u8>, BlobError> {
        let ContentRef::File(file) = self.content else {
            return self.bytes(size_max).map(Cow::into_owned);
        };
        let size = match memory_file::kind(file)? {
            Kind::NoFile(what) => return Err(BlobError::NoFile(what)),
            Kind::Unsealable(size) | Kind::Unsealed(size, _) | Kind::Sealed(size) => size,
        };
        check_size(size, size_max)?;
        Ok(memory_file::read(file, size)?)
    }

    /// The same by itself, for when the message is gone.
    ///
    /// # Errors
    /// There is no descriptor for it ([`BlobError::Io`]).
    pub fn to_owned(&self) -> Result<Blob, BlobError> {
        let content = match self.content {
            ContentRef::Bytes(bytes) => Content::Bytes(bytes.to_vec()),
            ContentRef::File(file) => Content::File(file.try_clone_to_owned()?),
        };
        Ok(Blob { content })
    }
}

fn check_size(size: u64, size_max: u64) -> Result<(), BlobError> {
    match size <= size_max {
        true => Ok(()),
        false => Err(BlobError::TooLarge { size, size_max }),
    }
}

/// How large a file is that stays as it is.
fn sealed_size(file: BorrowedFd<'_>) -> Result<u64, BlobError> {
    match memory_file::kind(file)? {
        Kind::NoFile(what) => Err(BlobError::NoFile(what)),
        Kind::Unsealable(_) => Err(BlobError::Unsealable),
        Kind::Unsealed(_, missing) => Err(BlobError::Unsealed(missing)),
        Kind::Sealed(size) => Ok(size),
    }
}

fn read_sealed(file: BorrowedFd<'_>, size_max: u64) -> Result<Vec<u8>, BlobError> {
    let size = sealed_size(file)?;
    check_size(size, size_max)?;
    Ok(memory_file::read(file, size)?)
}

/// Reads a blob piece by piece, from any place. Where its sender or another reader of the same file reads makes
/// no difference.
#[derive(Clone, Debug)]
pub struct BlobReader<'m> {
    content: ContentRef<'m>,
    size: u64,
    position: u64,
}

impl BlobReader<'_> {
    /// How many bytes there are in all.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.content {
            ContentRef::Bytes(bytes) => {
                let position = usize::try_from(self.position).unwrap_or(usize::MAX);
                bytes.get(position..).unwrap_or_default().read(buffer)?
            }
            ContentRef::File(_) if self.position >= self.size => 0,
            ContentRef::File(file) => memory_file::read_at(file, buffer, self.position)?,
        };
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for BlobReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.size.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        let outside = || io::Error::new(io::ErrorKind::InvalidInput, "before the first byte");
        self.position = place.ok_or_else(outside)?;
        Ok(self.position)
    }
}

impl Type for Blob {
    const SIGNATURE: &'static Signature = &Signature::Variant;
}

impl Type for BlobRef<'_> {
    const SIGNATURE: &'static Signature = &Signature::Variant;
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.borrowed().serialize(serializer)
    }
}

impl Serialize for BlobRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(TOKEN, &self.content)
    }
}

impl Serialize for ContentRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(bytes) => as_variant::Serialize(&Bytes(bytes)).serialize(serializer),
            Self::File(file) => as_variant::Serialize(&Fd::from(*file)).serialize(serializer),
        }
    }
}

/// An array of bytes that is written as a whole.
pub(crate) struct Bytes<'b>(pub(crate) &'b [u8]);

impl Type for Bytes<'_> {
    const SIGNATURE: &'static Signature = &signature!("ay");
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de> Deserialize<'de> for BlobRef<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Variant", &["signature", "value"], BlobVisitor)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BlobRef::deserialize(deserializer)?.to_owned().map_err(D::Error::custom)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = BlobRef<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a variant with an array of bytes or a file descriptor")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<BlobRef<'de>, A::Error> {
        let missing = |index| A::Error::invalid_length(index, &BlobVisitor);
        let signature: &str = parts.next_element()?.ok_or_else(|| missing(0))?;
        let content = match signature {
            "ay" => ContentRef::Bytes(parts.next_element()?.ok_or_else(|| missing(1))?),
            "h" => match parts.next_element()?.ok_or_else(|| missing(1))? {
                Fd::Borrowed(file) => ContentRef::File(file),
                Fd::Owned(_) => return Err(A::Error::custom("the descriptor is of no message")),
            },
            other => {
                let text = format!("a blob is a variant with 'ay' or 'h', not '{other}'");
                return Err(A::Error::custom(text));
            }
        };
        Ok(BlobRef { content })
    }
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile(what) => write!(f, "the blob is {what}, not a file in memory"),
            Self::Unsealable => {
                f.write_str("the blob is a file that cannot be sealed, not one in memory")
            }
            Self::Unsealed(missing) => {
                write!(f, "the blob's file can still change: it lacks {missing}")
            }
            Self::TooLarge { size, size_max } => {
                write!(f, "the blob has {size} bytes; {size_max} are taken")
            }
            Self::Io(error) => write!(f, "the blob's file cannot be used: {error}"),
        }
    }
}

impl std::error::Error for BlobError {}

#[cfg(test)]
mod tests;
