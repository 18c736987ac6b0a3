//! Server addresses: `unix:path=/run/bus,guid=…;tcp:host=localhost,port=4242`.
//!
//! Two steps. An [`Address`] is the syntax alone: a transport's name with keys and unescaped
//! values, printing as it parses, whatever the keys mean. [`Address::listen`] and
//! [`Address::connect`] give it its meaning, each transport's keys checked. Keys that nobody knows
//! are ignored. Addresses come from the administrator's files, options and environment.
//! Section: addresses; protocol.md A098–A114.

mod endpoint;
mod ssh;

use std::fmt;

pub use endpoint::{ConnectAddress, Family, ListenAddress};

use crate::guid::{Guid, hex_byte};

/// One server address: a transport and its keys.
///
/// ```
/// use libbus::address::Address;
///
/// let address = Address::new("unix").with("path", "/tmp/my bus");
/// assert_eq!(address.to_string(), "unix:path=/tmp/my%20bus");
/// let list = Address::parse_list("unix:abstract=a;tcp:host=localhost,port=1")?;
/// assert_eq!(list[1].get("port"), Some(&b"1"[..]));
/// # Ok::<(), libbus::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The transport's name, such as `unix`.
    pub transport: String,
    /// Keys and unescaped values, in their order. A value is bytes: paths need not be UTF-8. If a
    /// key stands twice, the first counts.
    pub keys: Vec<(String, Vec<u8>)>,
}

/// Why a text is not an address, or not one for the purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// The text, or one address of the list, is empty.
    Empty,
    /// No `:` after the transport's name.
    MissingColon,
    /// Nothing before the `:`.
    MissingTransport,
    /// A key without `=`, or nothing before the `=`.
    MissingKeyName,
    /// Nothing after a key's `=`.
    MissingValue,
    /// A byte that must be written as `%` and two hex digits.
    UnescapedByte(u8),
    /// A `%` without two hex digits.
    InvalidEscape,
    /// A transport that nobody knows.
    UnknownTransport(String),
    /// A key that the transport needs is not there. Several are separated by `, `: one of them.
    MissingKey(&'static str),
    /// Two keys of which only one may be given.
    ConflictingKeys(&'static str, &'static str),
    /// A key's value is not one it may have.
    InvalidValue(&'static str),
    /// A bus cannot listen on this kind of address.
    NotListenable(&'static str),
    /// A client cannot connect to this kind of address.
    NotConnectable(&'static str),
    /// Not a host that can be reached by `ssh`: [`Address::ssh`].
    InvalidHost,
}

impl Address {
    /// An address without keys.
    pub fn new(transport: &str) -> Self {
        Address { transport: transport.to_owned(), keys: Vec::new() }
    }

    /// The same address with one key more; `value` is not escaped yet.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.keys.push((key.to_owned(), value.into()));
        self
    }

    /// Reads addresses separated by `;`, at least one; the last may be followed by a `;` too.
    /// They are meant to be tried in order (protocol.md A098).
    pub fn parse_list(text: &str) -> Result<Vec<Address>, AddressError> {
        without_last_separator(text, ';').split(';').map(Address::parse).collect()
    }

    /// Reads a single address.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (transport, keys) = text.split_once(':').ok_or(AddressError::MissingColon)?;
        if transport.is_empty() {
            return Err(AddressError::MissingTransport);
        }
        Ok(Address { transport: transport.to_owned(), keys: parse_keys(keys)? })
    }

    /// The value of a key, unescaped.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_slice())
    }

    /// The id that the server gave this address, if it says one (protocol.md A100).
    pub fn guid(&self) -> Result<Option<Guid>, AddressError> {
        let Some(text) = self.text("guid")? else { return Ok(None) };
        Guid::parse(text).map(Some).map_err(|_| AddressError::InvalidValue("guid"))
    }

    /// The value of a key that must be UTF-8 text.
    fn text(&self, key: &'static str) -> Result<Option<&str>, AddressError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        std::str::from_utf8(value).map(Some).map_err(|_| AddressError::InvalidValue(key))
    }
}

fn parse_keys(text: &str) -> Result<Vec<(String, Vec<u8>)>, AddressError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    without_last_separator(text, ',').split(',').map(parse_key).collect()
}

fn parse_key(text: &str) -> Result<(String, Vec<u8>), AddressError> {
    match text.split_once('=') {
        None | Some(("", _)) => Err(AddressError::MissingKeyName),
        Some((_, "")) => Err(AddressError::MissingValue),
        Some((key, value)) => Ok((key.to_owned(), unescape(value.as_bytes())?)),
    }
}

/// The reference, and so every address in use, may have a separator after the last element.
fn without_last_separator(text: &str, separator: char) -> &str {
    text.strip_suffix(separator).unwrap_or(text)
}

/// protocol.md A099.
fn unescape(mut left: &[u8]) -> Result<Vec<u8>, AddressError> {
    let mut value = Vec::with_capacity(left.len());
    loop {
        match left {
            [] => return Ok(value),
            [b'%', high, low, rest @ ..] => {
                value.push(hex_byte([*high, *low]).ok_or(AddressError::InvalidEscape)?);
                left = rest;
            }
            [b'%', ..] => return Err(AddressError::InvalidEscape),
            [byte, rest @ ..] if needs_no_escape(*byte) => {
                value.push(*byte);
                left = rest;
            }
            [byte, ..] => return Err(AddressError::UnescapedByte(*byte)),
        }
    }
}

/// The backslash in the specification's `[-0-9A-Za-z_/.\*]` counts as a member of the set, as in
/// the reference: Windows paths are written with it.
fn needs_no_escape(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte)
}

/// Prints what [`Address::parse`] reads.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.transport)?;
        for (index, (key, value)) in self.keys.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{key}=")?;
            value.iter().try_for_each(|byte| write_escaped(*byte, f))?;
        }
        Ok(())
    }
}

fn write_escaped(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if needs_no_escape(byte) { write!(f, "{}", char::from(byte)) } else { write!(f, "%{byte:02x}") }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::Empty => f.write_str("the address is empty"),
            AddressError::MissingColon => f.write_str("the address has no ':'"),
            AddressError::MissingTransport => f.write_str("the address has nothing before its ':'"),
            AddressError::MissingKeyName => f.write_str("a key of the address has no '='"),
            AddressError::MissingValue => f.write_str("a key of the address has no value"),
            AddressError::UnescapedByte(byte) => {
                write!(f, "the address must have '%{byte:02x}' for '{}'", byte.escape_ascii())
            }
            AddressError::InvalidEscape => {
                f.write_str("a '%' of the address is not followed by two hex digits")
            }
            AddressError::UnknownTransport(transport) => {
                write!(f, "nobody knows the transport '{transport}'")
            }
            AddressError::MissingKey(keys) => write!(f, "the address lacks a key: {keys}"),
            AddressError::ConflictingKeys(one, other) => {
                write!(f, "the address has both '{one}' and '{other}'")
            }
            AddressError::InvalidValue(key) => write!(f, "the value of '{key}' is not valid"),
            AddressError::NotListenable(kind) => {
                write!(f, "a bus cannot listen on an address of the kind '{kind}'")
            }
            AddressError::NotConnectable(kind) => {
                write!(f, "a client cannot connect to an address of the kind '{kind}'")
            }
            AddressError::InvalidHost => f.write_str(
                "a host is written [user@]host[:port][/container], in letters and digits",
            ),
        }
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `expected` is what the parsed list prints.
    fn check(text: &str, expected: Result<&[&str], AddressError>) {
        let printed = Address::parse_list(text)
            .map(|list| list.iter().map(Address::to_string).collect::<Vec<_>>());
        let expected = expected.map(|list| list.iter().map(ToString::to_string).collect());
        assert_eq!(printed, expected, "{text:?}");
    }

    #[test]
    fn lists_are_read_in_order() {
        // protocol.md A098
        check("unix:path=/a", Ok(&["unix:path=/a"]));
        check("unix:path=/a;tcp:host=b,port=1", Ok(&["unix:path=/a", "tcp:host=b,port=1"]));
        check("autolaunch:", Ok(&["autolaunch:"]));
        check("unix:path=/a;", Ok(&["unix:path=/a"]));
        check("unix:path=/a,", Ok(&["unix:path=/a"]));
        check("any:thing=goes,x=y", Ok(&["any:thing=goes,x=y"]));
    }

    #[test]
    fn wrong_lists_are_refused() {
        // protocol.md A098
        check("", Err(AddressError::Empty));
        check(";", Err(AddressError::Empty));
        check(";unix:path=/a", Err(AddressError::Empty));
        check("unix:path=/a;;", Err(AddressError::Empty));
        check("unix", Err(AddressError::MissingColon));
        check(":path=/a", Err(AddressError::MissingTransport));
        check("unix:path", Err(AddressError::MissingKeyName));
        check("unix:=/a", Err(AddressError::MissingKeyName));
        check("unix:path=/a,,", Err(AddressError::MissingKeyName));
        check("unix:,path=/a", Err(AddressError::MissingKeyName));
        check("unix:path=", Err(AddressError::MissingValue));
        check("unix:path=/a,b=", Err(AddressError::MissingValue));
    }

    #[test]
    fn values_are_escaped() {
        // protocol.md A099
        check("unix:path=/%4a%4A%20%3d%ff%00", Ok(&["unix:path=/JJ%20%3d%ff%00"]));
        check("unix:path=-09AZaz_/.\\*", Ok(&["unix:path=-09AZaz_/.\\*"]));
        check("unix:path=/%", Err(AddressError::InvalidEscape));
        check("unix:path=/%4", Err(AddressError::InvalidEscape));
        check("unix:path=/%4g", Err(AddressError::InvalidEscape));
        check("unix:path=/%+4", Err(AddressError::InvalidEscape));
        check("unix:path=/a b", Err(AddressError::UnescapedByte(b' ')));
        check("unix:path=/a=b", Err(AddressError::UnescapedByte(b'=')));
        check("unix:path=/a:b", Err(AddressError::UnescapedByte(b':')));
        check("unix:path=/~", Err(AddressError::UnescapedByte(b'~')));
        check("unix:path=/\u{e9}", Err(AddressError::UnescapedByte(0xc3)));
    }

    #[test]
    fn keys_are_found() {
        let address = Address::parse("unix:path=/a%20,path=/b,guid=x").expect("valid");
        assert_eq!(address.get("path"), Some(&b"/a "[..]));
        assert_eq!(address.get("host"), None);
    }

    #[test]
    fn a_guid_must_be_one() {
        // protocol.md A100
        let text = "00112233445566778899aabbccddeeff";
        let address = Address::new("unix").with("path", "/a");
        assert_eq!(address.guid(), Ok(None));
        let guid = address.clone().with("guid", text).guid();
        assert_eq!(guid.map(|guid| guid.map(|guid| guid.to_string())), Ok(Some(text.to_owned())));
        let wrong = Err(AddressError::InvalidValue("guid"));
        assert_eq!(address.clone().with("guid", "0").guid(), wrong);
        assert_eq!(address.with("guid", [0xff]).guid(), wrong);
    }

    #[test]
    fn errors_name_the_byte() {
        assert_eq!(
            AddressError::UnescapedByte(b' ').to_string(),
            "the address must have '%20' for ' '"
        );
    }

    fn any_address() -> impl Strategy<Value = Address> {
        let value = prop::collection::vec(any::<u8>(), 1..12);
        ("[a-z-]{1,9}", prop::collection::vec(("[a-z0-9]{1,5}", value), 0..4))
            .prop_map(|(transport, keys)| Address { transport, keys })
    }

    proptest! {
        #[test]
        fn addresses_print_as_they_parse(list in prop::collection::vec(any_address(), 1..4)) {
            let printed: Vec<String> = list.iter().map(Address::to_string).collect();
            prop_assert_eq!(Address::parse_list(&printed.join(";")), Ok(list));
        }

        #[test]
        fn no_text_is_too_strange(text in "[unix:;,=%a0 ]{0,20}|.{0,12}") {
            if let Ok(list) = Address::parse_list(&text) {
                for address in list {
                    prop_assert_eq!(Address::parse(&address.to_string()), Ok(address.clone()));
                    let _ = (address.listen(), address.connect(), address.guid());
                }
            }
        }
    }
}
