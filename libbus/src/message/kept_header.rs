//! The header of a checked message, as it is kept beside the bytes that it borrows from.
//!
//! A message is looked at many times on its way through a program: who sent it, what it answers, which streams
//! it matches, what it calls. Its header is checked once; later each text in it is found again by its place.

use std::num::NonZeroU32;

use crate::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath};
use crate::wire::{Endian, Flags, Header, MessageType, Signature};

/// Where a text is among the bytes of a message; nowhere if it has no bytes, as no name has.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptHeader {
    pub(super) endian: Endian,
    pub(super) message_type: MessageType,
    pub(super) flags: Flags,
    pub(super) serial: NonZeroU32,
    pub(super) reply_serial: Option<NonZeroU32>,
    unix_fds: u32,
    path: Span,
    interface: Span,
    member: Span,
    error_name: Span,
    destination: Span,
    sender: Span,
    signature: Span,
}

impl KeptHeader {
    /// What `header` says, which was parsed from `bytes`.
    pub(super) fn new(header: &Header<'_>, bytes: &[u8]) -> Self {
        let span = |text: Option<&str>| Span::of(text.unwrap_or_default(), bytes);
        Self {
            endian: header.endian,
            message_type: header.message_type,
            flags: header.flags,
            serial: header.serial,
            reply_serial: header.reply_serial,
            unix_fds: header.unix_fds,
            path: span(header.path.map(ObjectPath::as_str)),
            interface: span(header.interface.map(InterfaceName::as_str)),
            member: span(header.member.map(MemberName::as_str)),
            error_name: span(header.error_name.map(ErrorName::as_str)),
            destination: span(header.destination.map(BusName::as_str)),
            sender: span(header.sender.map(BusName::as_str)),
            signature: span(Some(header.signature.as_str())),
        }
    }

    /// The header again; `bytes` are those of [`KeptHeader::new`].
    pub(super) fn of<'m>(&self, bytes: &'m [u8]) -> Header<'m> {
        Header {
            endian: self.endian,
            message_type: self.message_type,
            flags: self.flags,
            serial: self.serial,
            path: self.path(bytes),
            interface: self.interface(bytes),
            member: self.member(bytes),
            error_name: self.error_name.find(bytes).map(ErrorName::checked),
            reply_serial: self.reply_serial,
            destination: self.destination.find(bytes).map(BusName::checked),
            sender: self.sender(bytes),
            signature: self.signature(bytes),
            unix_fds: self.unix_fds,
        }
    }

    pub(super) fn path<'m>(&self, bytes: &'m [u8]) -> Option<ObjectPath<'m>> {
        self.path.find(bytes).map(ObjectPath::checked)
    }

    pub(super) fn interface<'m>(&self, bytes: &'m [u8]) -> Option<InterfaceName<'m>> {
        self.interface.find(bytes).map(InterfaceName::checked)
    }

    pub(super) fn member<'m>(&self, bytes: &'m [u8]) -> Option<MemberName<'m>> {
        self.member.find(bytes).map(MemberName::checked)
    }

    pub(super) fn sender<'m>(&self, bytes: &'m [u8]) -> Option<BusName<'m>> {
        self.sender.find(bytes).map(BusName::checked)
    }

    pub(super) fn signature<'m>(&self, bytes: &'m [u8]) -> Signature<'m> {
        Signature::checked(self.signature.text(bytes))
    }
}

impl Span {
    /// Where `text` is, which is a part of `bytes`.
    fn of(text: &str, bytes: &[u8]) -> Self {
        // A message has no more than 128 MiB.
        let start = text.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr()) as u32;
        match text.len() as u32 {
            0 => Self { start: 0, end: 0 },
            size => Self { start, end: start.saturating_add(size) },
        }
    }

    fn find(self, bytes: &[u8]) -> Option<&str> {
        (self.start < self.end).then(|| self.text(bytes))
    }

    fn text(self, bytes: &[u8]) -> &str {
        let bytes = bytes.get(self.start as usize..self.end as usize).unwrap_or_default();
        // INVARIANT: it was a text when it was found.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}
