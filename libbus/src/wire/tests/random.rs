//! What holds of any message: what is written is valid and is read back; bytes at random do no
//! harm.

use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath};

/// A complete type, as text.
type Type = String;

#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// Any number: its type code, and its bits.
    Number(char, u64),
    Boolean(bool),
    String(String),
    Path(String),
    Signature(String),
    Array(Type, Vec<Value>),
    /// A structure or a dictionary entry.
    Fields(Vec<Value>),
    Variant(Type, Box<Value>),
}

fn basic_type() -> impl Strategy<Value = Type> {
    select("ybnqiuxtdsogh".chars().map(String::from).collect::<Vec<_>>())
}

fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![4 => basic_type(), 1 => Just("v".to_owned())];
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|element| format!("a{element}")),
            prop::collection::vec(inner.clone(), 1..4)
                .prop_map(|fields| format!("({})", fields.concat())),
            (basic_type(), inner).prop_map(|(key, value)| format!("a{{{key}{value}}}")),
        ]
    })
}

fn any_signature() -> impl Strategy<Value = String> {
    let signature = prop::collection::vec(any_type(), 0..5).prop_map(|types| types.concat());
    signature.prop_filter("valid", |text| Signature::parse(text).is_ok())
}

fn types_of(text: &str) -> Vec<Type> {
    let signature = Signature::parse(text).expect("valid");
    signature.types().map(|one| one.as_str().to_owned()).collect()
}

/// The types of the fields of a structure or dictionary entry.
fn field_types(container: &str) -> Vec<Type> {
    types_of(&container[1..container.len() - 1])
}

fn value_of(one_type: &str, depth: u32) -> BoxedStrategy<Value> {
    let code = one_type.chars().next().expect("a type");
    match code {
        'b' => any::<bool>().prop_map(Value::Boolean).boxed(),
        's' => "[^\\x00]{0,9}".prop_map(Value::String).boxed(),
        'o' => "(/|(/[A-Za-z0-9_]{1,3}){1,3})".prop_map(Value::Path).boxed(),
        'g' => any_signature().prop_map(Value::Signature).boxed(),
        'v' if depth == 0 => any::<u8>()
            .prop_map(|n| Value::Variant("y".to_owned(), Box::new(Value::Number('y', n.into()))))
            .boxed(),
        'v' => any_type()
            .prop_flat_map(move |inner| {
                let value = value_of(&inner, depth - 1);
                value.prop_map(move |value| Value::Variant(inner.clone(), Box::new(value)))
            })
            .boxed(),
        'a' => {
            let element = one_type[1..].to_owned();
            prop::collection::vec(element_of(&element, depth), 0..4)
                .prop_map(move |elements| Value::Array(element.clone(), elements))
                .boxed()
        }
        '(' => fields_of(&field_types(one_type), depth),
        code => any::<u64>().prop_map(move |bits| Value::Number(code, fitting(code, bits))).boxed(),
    }
}

fn element_of(element: &str, depth: u32) -> BoxedStrategy<Value> {
    if element.starts_with('{') {
        fields_of(&field_types(element), depth)
    } else {
        value_of(element, depth)
    }
}

fn fields_of(types: &[Type], depth: u32) -> BoxedStrategy<Value> {
    let fields: Vec<_> = types.iter().map(|one| value_of(one, depth)).collect();
    fields.prop_map(Value::Fields).boxed()
}

/// The bits that a number of this type has room for.
fn fitting(code: char, bits: u64) -> u64 {
    match code {
        'y' => bits & 0xff,
        'n' | 'q' => bits & 0xffff,
        'i' | 'u' | 'h' => bits & 0xffff_ffff,
        _ => bits,
    }
}

fn body() -> impl Strategy<Value = (String, Vec<Value>)> {
    any_signature().prop_flat_map(|signature| {
        let values: Vec<_> = types_of(&signature).iter().map(|one| value_of(one, 2)).collect();
        (Just(signature), values)
    })
}

fn endian() -> impl Strategy<Value = Endian> {
    select(vec![Endian::Little, Endian::Big])
}

fn write(writer: &mut BodyWriter<'_>, value: &Value) {
    match value {
        Value::Number('y', bits) => writer.byte(*bits as u8),
        Value::Number('n', bits) => writer.int16(*bits as i16),
        Value::Number('q', bits) => writer.uint16(*bits as u16),
        Value::Number('i', bits) => writer.int32(*bits as i32),
        Value::Number('u', bits) => writer.uint32(*bits as u32),
        Value::Number('h', bits) => writer.unix_fd(*bits as u32),
        Value::Number('x', bits) => writer.int64(*bits as i64),
        Value::Number('d', bits) => writer.double(f64::from_bits(*bits)),
        Value::Number(_, bits) => writer.uint64(*bits),
        Value::Boolean(value) => writer.boolean(*value),
        Value::String(text) => writer.string(text),
        Value::Path(text) => writer.object_path(ObjectPath::parse(text).expect("valid")),
        Value::Signature(text) => writer.signature(Signature::parse(text).expect("valid")),
        Value::Array(element, values) => write_array(writer, element, values),
        Value::Fields(fields) => writer.structure(|writer| {
            fields.iter().for_each(|field| write(writer, field));
        }),
        Value::Variant(inner, value) => {
            let signature = Signature::parse(inner).expect("valid");
            writer.variant(signature, |writer| write(writer, value));
        }
    }
}

fn write_array(writer: &mut BodyWriter<'_>, element: &str, values: &[Value]) {
    let write_elements =
        |writer: &mut BodyWriter<'_>| values.iter().for_each(|value| write(writer, value));
    if element.starts_with('{') {
        writer.dict(write_elements);
    } else {
        writer.array(Signature::parse(element).expect("valid"), write_elements);
    }
}

fn read(reader: &mut BodyReader<'_>, one_type: &str) -> Result<Value, MessageError> {
    let code = one_type.chars().next().expect("a type");
    Ok(match code {
        'y' => Value::Number(code, reader.byte()?.into()),
        'n' => Value::Number(code, u64::from(reader.int16()? as u16)),
        'q' => Value::Number(code, reader.uint16()?.into()),
        'i' => Value::Number(code, u64::from(reader.int32()? as u32)),
        'u' => Value::Number(code, reader.uint32()?.into()),
        'h' => Value::Number(code, reader.unix_fd()?.into()),
        'x' => Value::Number(code, reader.int64()? as u64),
        't' => Value::Number(code, reader.uint64()?),
        'd' => Value::Number(code, reader.double()?.to_bits()),
        'b' => Value::Boolean(reader.boolean()?),
        's' => Value::String(reader.string()?.to_owned()),
        'o' => Value::Path(reader.object_path()?.as_str().to_owned()),
        'g' => Value::Signature(reader.signature()?.as_str().to_owned()),
        'v' => {
            let inner = reader.variant()?.as_str().to_owned();
            let value = read(reader, &inner)?;
            Value::Variant(inner, Box::new(value))
        }
        'a' => read_array(reader, &one_type[1..])?,
        _ => {
            reader.structure()?;
            let fields = field_types(one_type).into_iter().map(|field| read(reader, &field));
            Value::Fields(fields.collect::<Result<_, _>>()?)
        }
    })
}

fn read_array(reader: &mut BodyReader<'_>, element: &str) -> Result<Value, MessageError> {
    let mut elements = if element.starts_with('{') {
        reader.dict()?
    } else {
        reader.array(Signature::parse(element).expect("valid"))?
    };
    let mut values = Vec::new();
    while !elements.is_empty() {
        values.push(read(&mut elements, element)?);
    }
    Ok(Value::Array(element.to_owned(), values))
}

fn read_all(body: &[u8], endian: Endian, signature: &str) -> Result<Vec<Value>, MessageError> {
    let mut reader = BodyReader::new(body, endian);
    let values: Result<_, _> =
        types_of(signature).iter().map(|one| read(&mut reader, one)).collect();
    assert!(values.is_err() || reader.is_empty(), "something is left");
    values
}

/// A message, and what it was made of.
#[derive(Clone, Debug)]
struct Sample {
    bytes: Vec<u8>,
    signature: String,
    values: Vec<Value>,
}

fn sample() -> impl Strategy<Value = Sample> {
    let options = (any::<[bool; 5]>(), 1_u8..=6, any::<u8>(), any::<NonZeroU32>());
    (body(), endian(), options).prop_map(|((signature, values), endian, options)| {
        let (present, message_type, flags, serial) = options;
        let message_type = MessageType::from_code(message_type).expect("not 0");
        let header = Header {
            endian,
            flags: Flags::from_bits_truncate(flags),
            path: Some(ObjectPath::from_static("/a/path")),
            interface: Some(InterfaceName::from_static("an.Interface")),
            member: Some(MemberName::from_static("Member")),
            error_name: Some(ErrorName::from_static("an.Error")),
            reply_serial: Some(serial),
            destination: present[1].then_some(BusName::from_static(":1.7")),
            sender: present[2].then_some(BusName::from_static("a.Sender")),
            signature: Signature::parse(&signature).expect("valid"),
            unix_fds: u32::from(present[3]),
            ..Header::new(message_type, serial)
        };
        let mut bytes = Vec::new();
        write_message(&header, &mut bytes, |writer| {
            values.iter().for_each(|value| write(writer, value));
        });
        check_header(&bytes, &header);
        Sample { bytes, signature, values }
    })
}

fn check_header(message: &[u8], expected: &Header<'_>) {
    let frame = frame(message, u32::MAX).expect("valid").expect("complete");
    assert_eq!(frame.message_size(), message.len());
    let parsed = ParsedHeader::parse(message, &frame).expect("valid");
    assert_eq!(parsed.header, *expected);
}

/// Everything that the bus does with a message. Whatever it accepts, it passes on as it came.
fn handle(message: &[u8]) -> Result<(), MessageError> {
    let Some(frame) = frame(message, u32::MAX)? else { return Ok(()) };
    let parsed = ParsedHeader::parse(message, &frame)?;
    let mut stamped = Vec::new();
    parsed.write_stamped(message, ":1.42", &mut stamped);
    check_header_stamped(&stamped, &parsed);
    let Some(body) = message.get(parsed.size..frame.message_size()) else { return Ok(()) };
    let header = parsed.header;
    let mut spans = ArgumentSpans::new();
    check_body(header.signature, body, header.endian, &mut spans)?;
    read_all(body, header.endian, header.signature.as_str()).expect("was checked");
    let arguments = Arguments::new(&spans, body);
    for (index, one_type) in (0..64).zip(header.signature.types()) {
        let is_text = matches!(one_type.as_str(), "s" | "o");
        assert_eq!(arguments.get(index).is_some(), is_text, "argument {index}");
    }
    Ok(())
}

fn check_header_stamped(stamped: &[u8], original: &ParsedHeader<'_>) {
    let expected = Header { sender: Some(BusName::from_static(":1.42")), ..original.header };
    let header_size = stamped.len();
    let body_size = expected.endian.u32_from(*stamped[4..].first_chunk().expect("16 bytes"));
    let frame = Frame { header_size, body_size: body_size as usize };
    let parsed = ParsedHeader::parse(stamped, &frame).expect("valid");
    assert_eq!(parsed.header, expected);
    assert_eq!(parsed.size, header_size);
}

proptest! {
    #[test]
    fn what_is_written_is_valid_and_read_back(sample in sample()) {
        let frame = frame(&sample.bytes, u32::MAX).expect("valid").expect("complete");
        let parsed = ParsedHeader::parse(&sample.bytes, &frame).expect("valid");
        let (endian, body) = (parsed.header.endian, &sample.bytes[parsed.size..]);
        prop_assert_eq!(read_all(body, endian, &sample.signature), Ok(sample.values));
        prop_assert_eq!(handle(&sample.bytes), Ok(()));

        let mut reader = BodyReader::new(body, endian);
        prop_assert_eq!(reader.skip(parsed.header.signature), Ok(()));
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn a_message_cut_short_is_refused(sample in sample(), cut in any::<Index>()) {
        let parsed_size = |bytes: &[u8]| frame(bytes, u32::MAX).expect("valid").map(|frame| frame.message_size());
        let size = cut.index(sample.bytes.len());
        prop_assert!(parsed_size(&sample.bytes[..size]).is_none_or(|whole| whole > size));
    }

    #[test]
    fn changed_bytes_do_no_harm(
        sample in sample(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = sample.bytes;
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let _ = handle(&bytes);
    }

    #[test]
    fn any_body_does_no_harm(
        signature in any_signature(),
        body in prop::collection::vec(select(vec![0, 0, 0, 1, 2, b's', b'v', b'y', 0xff]), 0..64),
        endian in endian(),
    ) {
        let parsed = Signature::parse(&signature).expect("valid");
        let outcome = check_body(parsed, &body, endian, &mut ArgumentSpans::new());
        prop_assert_eq!(outcome.is_ok(), read_all_exactly(&body, endian, &signature));
    }

    #[test]
    fn any_text_is_a_signature_or_not(text in "[ybsva(){}]{0,12}") {
        if let Ok(signature) = Signature::parse(&text) {
            prop_assert_eq!(types_of(&text).concat(), signature.as_str());
        }
    }
}

/// Whether reading value by value, as a client does, finds the body in order.
fn read_all_exactly(body: &[u8], endian: Endian, signature: &str) -> bool {
    let mut reader = BodyReader::new(body, endian);
    let read = types_of(signature).iter().all(|one| read(&mut reader, one).is_ok());
    read && reader.is_empty()
}
