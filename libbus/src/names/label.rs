//! Any text as an element of an object path.
//!
//! An element has letters, digits and `_` only, and is not empty (protocol.md A024). systemd's way to write
//! others is what programs agree on: a byte that is neither letter nor digit, and a digit at the beginning, is
//! `_` with its value in two hexadecimal digits; nothing at all is `_`.

use std::fmt::Write as _;

use super::ObjectPath;

/// `label` as one element of an object path, to put behind a `/` (tools.md D087).
///
/// ```
/// use libbus::names::{decode_label, encode_label};
///
/// assert_eq!(encode_label("dbus.socket"), "dbus_2esocket");
/// assert_eq!(encode_label(""), "_");
/// assert_eq!(decode_label("dbus_2esocket").as_deref(), Some(b"dbus.socket".as_slice()));
/// ```
#[must_use]
pub fn encode_label(label: impl AsRef<[u8]>) -> String {
    let mut element = String::new();
    append_label(&mut element, label.as_ref());
    element
}

/// The label that this element of an object path stands for; `None` if it is none that
/// [`encode_label`] writes, but for the case of its hexadecimal digits and for what need not be escaped.
#[must_use]
pub fn decode_label(element: &str) -> Option<Vec<u8>> {
    if element == "_" {
        return Some(Vec::new());
    }
    if element.is_empty() {
        return None;
    }
    let mut label = Vec::with_capacity(element.len());
    let mut bytes = element.bytes();
    while let Some(byte) = bytes.next() {
        label.push(match byte {
            b'_' => (hex_digit(bytes.next()?)? << 4) | hex_digit(bytes.next()?)?,
            byte if byte.is_ascii_alphanumeric() => byte,
            _ => return None,
        });
    }
    Some(label)
}

/// The path `prefix` with more elements, one for each label (tools.md D087).
///
/// ```
/// use libbus::names::{ObjectPath, decode_path, encode_path};
///
/// let prefix = ObjectPath::parse("/org/example/Disk")?;
/// let path = encode_path(prefix, ["sda", "/home"]);
/// assert_eq!(path, "/org/example/Disk/sda/_2fhome");
/// let [disk, directory] = decode_path(prefix, ObjectPath::parse(&path)?).unwrap();
/// assert_eq!((disk.as_slice(), directory.as_slice()), (b"sda".as_slice(), b"/home".as_slice()));
/// # Ok::<(), libbus::names::NameError>(())
/// ```
pub fn encode_path<L: AsRef<[u8]>>(
    prefix: ObjectPath<'_>,
    labels: impl IntoIterator<Item = L>,
) -> String {
    let mut path = prefix.as_str().trim_end_matches('/').to_owned();
    for label in labels {
        path.push('/');
        append_label(&mut path, label.as_ref());
    }
    // No label at all leaves the root as it is.
    if path.is_empty() {
        path.push('/');
    }
    path
}

/// The labels of a path that [`encode_path`] has written with the same prefix; `None` if it is not below
/// that, or has another number of labels.
#[must_use]
pub fn decode_path<const COUNT: usize>(
    prefix: ObjectPath<'_>,
    path: ObjectPath<'_>,
) -> Option<[Vec<u8>; COUNT]> {
    let below = path.as_str().strip_prefix(prefix.as_str().trim_end_matches('/'))?;
    let mut elements = below.strip_prefix('/')?.split('/');
    let mut labels = [const { Vec::new() }; COUNT];
    for label in &mut labels {
        *label = decode_label(elements.next()?)?;
    }
    elements.next().is_none().then_some(labels)
}

fn append_label(text: &mut String, label: &[u8]) {
    if label.is_empty() {
        text.push('_');
    }
    for (index, byte) in label.iter().enumerate() {
        let is_plain = byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && index > 0);
        if is_plain {
            text.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "_{byte:02x}");
        }
    }
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// tools.md D087: the paths of systemd's units.
    #[test]
    fn labels_are_written_as_systemd_writes_them() {
        let cases = [
            ("", "_"),
            ("_", "_5f"),
            ("dbus.socket", "dbus_2esocket"),
            ("dev-sda1.device", "dev_2dsda1_2edevice"),
            ("1password.service", "_31password_2eservice"),
            ("a1", "a1"),
            ("getty@tty1.service", "getty_40tty1_2eservice"),
            ("ü", "_c3_bc"),
            ("-.mount", "_2d_2emount"),
        ];
        for (label, element) in cases {
            assert_eq!(encode_label(label), element);
            assert_eq!(decode_label(element).as_deref(), Some(label.as_bytes()));
        }
    }

    #[test]
    fn what_is_no_label_is_told() {
        for element in ["", "_2", "a_", "_zz", "a/b", "a.b", "_+1", "ü"] {
            assert_eq!(decode_label(element), None, "{element}");
        }
        assert_eq!(decode_label("_2E1").as_deref(), Some(b".1".as_slice()));
        assert_eq!(decode_label("1").as_deref(), Some(b"1".as_slice()));
    }

    #[test]
    fn a_path_has_as_many_labels_as_are_asked_for() {
        let path = |text| ObjectPath::parse(text).unwrap();
        assert_eq!(encode_path(path("/"), ["a", ""]), "/a/_");
        assert_eq!(encode_path(path("/"), [""; 0]), "/");
        let labels = decode_path(path("/"), path("/a/_"));
        assert_eq!(labels, Some([b"a".to_vec(), vec![]]));
        for other in ["/a", "/ab/c", "/a/b/c", "/b/c", "/a/b_"] {
            assert_eq!(decode_path::<1>(path("/a"), path(other)), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(labels: [Vec<u8>; 3], prefix in "(/[a-z0-9_]{1,3}){0,3}") {
            let prefix = if prefix.is_empty() { "/" } else { &prefix };
            let prefix = ObjectPath::parse(prefix).unwrap();
            let path = encode_path(prefix, &labels);
            let path = ObjectPath::parse(&path).unwrap();
            prop_assert_eq!(decode_path(prefix, path), Some(labels));
        }

        #[test]
        fn what_is_read_is_written_back(element in "[a-zA-Z_][a-z0-9_]{0,8}") {
            if let Some(label) = decode_label(&element) {
                let again = encode_label(&label);
                prop_assert_eq!(decode_label(&again), Some(label));
                // Only what need not be escaped may be written otherwise.
                prop_assert!(again.len() <= element.len());
            }
        }
    }
}
