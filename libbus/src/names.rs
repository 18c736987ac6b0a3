//! The names of the D-Bus specification, parsed once and then trusted.
//!
//! A value of one of these types is the proof that its text is valid: code that takes a
//! [`WellKnownName`] does not check it again. They borrow their text, so that a header can be
//! checked in place without allocating.

use std::fmt;

/// Why a text is not a valid name (one variant a rule).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// to be extended by the owner of this file
    Empty,
}

macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name<'a>(&'a str);

        impl<'a> $name<'a> {
            /// The name's text.
            pub const fn as_str(self) -> &'a str {
                self.0
            }
        }

        impl fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
    };
}

name_type!(/// A unique name such as `:1.42` (protocol.md A029).
    UniqueName);
name_type!(/// A well-known name such as `org.example.Service` (protocol.md A028).
    WellKnownName);
name_type!(/// An interface name (protocol.md A025).
    InterfaceName);
name_type!(/// A method's or a signal's name (protocol.md A027).
    MemberName);
name_type!(/// An error's name (protocol.md A026).
    ErrorName);
name_type!(/// An object path (protocol.md A024).
    ObjectPath);

/// Either kind of bus name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BusName<'a> {
    /// Given by the bus to one connection: `:1.42`.
    Unique(UniqueName<'a>),
    /// Requested by a connection: `org.example.Service`.
    WellKnown(WellKnownName<'a>),
}
