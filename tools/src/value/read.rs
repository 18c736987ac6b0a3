//! From a message.

use libbus::message::Message;
use libbus::wire::{BodyReader, Signature};

use super::{Kind, Value, kind};

impl Value {
    /// The arguments of a message, which was checked when it came: all of them can be read.
    pub(crate) fn of_message(message: &Message) -> Vec<Self> {
        let mut reader = message.reader();
        let arguments = message.signature();
        arguments.types().map_while(|argument| read(&mut reader, argument.as_str())).collect()
    }
}

fn read(reader: &mut BodyReader<'_>, signature: &str) -> Option<Value> {
    match kind(signature) {
        Some(Kind::Basic(code)) => read_basic(reader, code),
        Some(Kind::Variant) => {
            let inner = reader.variant().ok()?;
            Some(Value::Variant(Box::new(read(reader, inner.as_str())?)))
        }
        Some(Kind::Array("y")) => Some(Value::Bytes(reader.bytes().ok()?.to_vec())),
        Some(Kind::Array(element)) => {
            let mut elements = reader.array(part(element)?).ok()?;
            let mut values = Vec::new();
            while !elements.is_empty() {
                values.push(read(&mut elements, element)?);
            }
            Some(Value::Array { element: element.to_owned(), elements: values })
        }
        Some(Kind::Dict(key, value)) => {
            let mut elements = reader.dict().ok()?;
            let mut entries = Vec::new();
            while !elements.is_empty() {
                elements.structure().ok()?;
                entries.push((read(&mut elements, key)?, read(&mut elements, value)?));
            }
            Some(Value::Dict { key: key.to_owned(), value: value.to_owned(), entries })
        }
        Some(Kind::Struct(fields)) => {
            reader.structure().ok()?;
            let fields = part(fields)?.types().map(|field| read(reader, field.as_str()));
            Some(Value::Struct(fields.collect::<Option<_>>()?))
        }
        None => None,
    }
}

fn part(signature: &str) -> Option<Signature<'_>> {
    Signature::parse(signature).ok()
}

fn read_basic(reader: &mut BodyReader<'_>, code: char) -> Option<Value> {
    Some(match code {
        'y' => Value::Byte(reader.byte().ok()?),
        'b' => Value::Boolean(reader.boolean().ok()?),
        'n' => Value::Int16(reader.int16().ok()?),
        'q' => Value::Uint16(reader.uint16().ok()?),
        'i' => Value::Int32(reader.int32().ok()?),
        'u' => Value::Uint32(reader.uint32().ok()?),
        'x' => Value::Int64(reader.int64().ok()?),
        't' => Value::Uint64(reader.uint64().ok()?),
        'd' => Value::Double(reader.double().ok()?),
        's' => Value::String(reader.string().ok()?.to_owned()),
        'o' => Value::ObjectPath(reader.object_path().ok()?.as_str().to_owned()),
        'g' => Value::Signature(reader.signature().ok()?.as_str().to_owned()),
        'h' => Value::UnixFd(reader.unix_fd().ok()?),
        _ => return None,
    })
}
