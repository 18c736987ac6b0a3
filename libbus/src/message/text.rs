//! A message in words, for people who look for what is wrong (tools.md D079).

use std::fmt::{self, Write as _};

use super::Message;
use crate::wire::{BodyReader, Header, MessageError, MessageType, Signature};

/// Elements of one array that are shown; of more it is said how many bytes follow.
const ELEMENTS_MAX: usize = 64;
/// Characters of one string that are shown.
const CHARACTERS_MAX: usize = 256;

/// What it says about itself in one line, and each argument in one more, with its type: long arrays and strings are
/// cut short.
///
/// ```text
/// signal 7 from :1.5 at /org/example/Disk: org.example.Disk.Grown
///   s "sda"
///   a{sv} {"size": u 20, "name": s "disk"}
/// ```
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_header(f, &self.header())?;
        if !self.fds().is_empty() {
            write!(f, ", with {} file descriptors", self.fds().len())?;
        }
        let mut reader = self.reader();
        for argument in self.signature().types() {
            write!(f, "\n  {argument} ")?;
            write_value(f, &mut reader, argument)?;
        }
        Ok(())
    }
}

fn write_header(f: &mut fmt::Formatter<'_>, header: &Header<'_>) -> fmt::Result {
    f.write_str(match header.message_type {
        MessageType::MethodCall => "method call",
        MessageType::MethodReturn => "method return",
        MessageType::Error => "error",
        MessageType::Signal => "signal",
        MessageType::Unknown(_) => "message of an unknown type",
    })?;
    write!(f, " {}", header.serial)?;
    if let Some(call) = header.reply_serial {
        write!(f, " to {call}")?;
    }
    if let Some(sender) = header.sender {
        write!(f, " from {sender}")?;
    }
    if let Some(destination) = header.destination {
        write!(f, " for {destination}")?;
    }
    if let Some(path) = header.path {
        write!(f, " at {path}")?;
    }
    match (header.error_name, header.interface, header.member) {
        (Some(name), ..) => write!(f, ": {name}"),
        (_, Some(interface), Some(member)) => write!(f, ": {interface}.{member}"),
        (_, None, Some(member)) => write!(f, ": {member}"),
        _ => Ok(()),
    }
}

/// The body was checked: that a value cannot be read does not happen, and would end the text.
fn write_value(
    f: &mut fmt::Formatter<'_>,
    reader: &mut BodyReader<'_>,
    signature: Signature<'_>,
) -> fmt::Result {
    let text = signature.as_str();
    let unreadable = |_: MessageError| fmt::Error;
    let inside = |text: &str| text.get(1..text.len().saturating_sub(1)).map(ToOwned::to_owned);
    match text.as_bytes() {
        [b'y'] => write!(f, "{}", reader.byte().map_err(unreadable)?),
        [b'b'] => write!(f, "{}", reader.boolean().map_err(unreadable)?),
        [b'n'] => write!(f, "{}", reader.int16().map_err(unreadable)?),
        [b'q'] => write!(f, "{}", reader.uint16().map_err(unreadable)?),
        [b'i'] => write!(f, "{}", reader.int32().map_err(unreadable)?),
        [b'u'] => write!(f, "{}", reader.uint32().map_err(unreadable)?),
        [b'x'] => write!(f, "{}", reader.int64().map_err(unreadable)?),
        [b't'] => write!(f, "{}", reader.uint64().map_err(unreadable)?),
        [b'd'] => write!(f, "{:?}", reader.double().map_err(unreadable)?),
        [b'h'] => write!(f, "#{}", reader.unix_fd().map_err(unreadable)?),
        [b's'] => write_text(f, reader.string().map_err(unreadable)?),
        [b'o'] => write_text(f, reader.object_path().map_err(unreadable)?.as_str()),
        [b'g'] => write_text(f, reader.signature().map_err(unreadable)?.as_str()),
        [b'v'] => {
            let inner = reader.variant().map_err(unreadable)?;
            write!(f, "{inner} ")?;
            write_value(f, reader, inner)
        }
        [b'(', ..] => {
            reader.structure().map_err(unreadable)?;
            let fields = inside(text).ok_or(fmt::Error)?;
            f.write_char('(')?;
            write_all(f, reader, &fields, ", ")?;
            f.write_char(')')
        }
        [b'a', b'{', ..] => {
            let elements = reader.dict().map_err(unreadable)?;
            let entry = text.get(1..).and_then(inside).ok_or(fmt::Error)?;
            write_elements(f, elements, ('{', '}'), |f, reader| {
                reader.structure().map_err(unreadable)?;
                write_all(f, reader, &entry, ": ")
            })
        }
        [b'a', ..] => {
            let element = text.get(1..).and_then(|text| Signature::parse(text).ok());
            let element = element.ok_or(fmt::Error)?;
            let elements = reader.array(element).map_err(unreadable)?;
            write_elements(f, elements, ('[', ']'), |f, reader| write_value(f, reader, element))
        }
        _ => Err(fmt::Error),
    }
}

fn write_all(
    f: &mut fmt::Formatter<'_>,
    reader: &mut BodyReader<'_>,
    types: &str,
    between: &str,
) -> fmt::Result {
    let types = Signature::parse(types).map_err(|_| fmt::Error)?;
    for (index, field) in types.types().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        write_value(f, reader, field)?;
    }
    Ok(())
}

fn write_elements(
    f: &mut fmt::Formatter<'_>,
    mut elements: BodyReader<'_>,
    (open, close): (char, char),
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &mut BodyReader<'_>) -> fmt::Result,
) -> fmt::Result {
    f.write_char(open)?;
    let mut count = 0;
    while !elements.is_empty() {
        if count > 0 {
            f.write_str(", ")?;
        }
        if count == ELEMENTS_MAX {
            write!(f, "… {} bytes", elements.rest_size())?;
            break;
        }
        write(f, &mut elements)?;
        count += 1;
    }
    f.write_char(close)
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    match text.char_indices().nth(CHARACTERS_MAX) {
        None => write!(f, "{text:?}"),
        Some((end, _)) => {
            let (shown, rest) = text.split_at(end);
            write!(f, "{shown:?}… {} bytes", rest.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::names::{BusName, InterfaceName, MemberName, ObjectPath};
    use crate::wire::{ArgumentSpans, BodyWriter, frame, write_checked_message};

    fn signal(signature: &'static str, body: impl FnOnce(&mut BodyWriter<'_>)) -> Message {
        let mut header = Header::new(MessageType::Signal, NonZeroU32::new(7).unwrap());
        header.path = Some(ObjectPath::from_static("/a"));
        header.interface = Some(InterfaceName::from_static("org.example.A"));
        header.member = Some(MemberName::from_static("M"));
        header.sender = Some(BusName::from_static(":1.5"));
        header.signature = Signature::from_static(signature);
        let mut bytes = Vec::new();
        write_checked_message(&header, &mut bytes, body).unwrap();
        let frame = frame(&bytes, u32::MAX).unwrap().unwrap();
        Message::check(bytes, &frame, |_| vec![], &mut ArgumentSpans::new()).unwrap()
    }

    #[test]
    fn each_type_is_shown() {
        let message = signal("ybnqiuxtdsoga{sv}a(is)av", |body| {
            body.byte(1);
            body.boolean(true);
            body.int16(-2);
            body.uint16(3);
            body.int32(-4);
            body.uint32(5);
            body.int64(-6);
            body.uint64(7);
            body.double(0.5);
            body.string("a \"b\"\n");
            body.object_path(ObjectPath::from_static("/o"));
            body.signature(Signature::from_static("as"));
            body.dict(|body| {
                body.dict_entry(|body| {
                    body.string("k");
                    body.variant(Signature::from_static("u"), |body| body.uint32(9));
                });
            });
            body.array(Signature::from_static("(is)"), |body| {
                for number in [1, 2] {
                    body.structure(|body| {
                        body.int32(number);
                        body.string("x");
                    });
                }
            });
            body.array(Signature::from_static("v"), |_| {});
        });
        let expected = "signal 7 from :1.5 at /a: org.example.A.M\n  y 1\n  b true\n  n -2\n  q 3\n  \
            i -4\n  u 5\n  x -6\n  t 7\n  d 0.5\n  s \"a \\\"b\\\"\\n\"\n  o \"/o\"\n  g \"as\"\n  \
            a{sv} {\"k\": u 9}\n  a(is) [(1, \"x\"), (2, \"x\")]\n  av []";
        assert_eq!(message.to_string(), expected);
    }

    #[test]
    fn what_is_long_is_cut_short() {
        let text = "ü".repeat(CHARACTERS_MAX);
        let message = signal("says", |body| {
            body.string(&text);
            body.bytes(&[7; 1 << 20]);
            body.string(&format!("{text}end"));
        });
        let shown = message.to_string();
        assert!(shown.contains(&format!("s \"{text}\"\n")), "{shown}");
        assert!(shown.contains(&format!("7, … {} bytes]", (1 << 20) - ELEMENTS_MAX)), "{shown}");
        assert!(shown.ends_with(&format!("s \"{text}\"… 3 bytes")), "{shown}");
    }
}
