use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::os::fd::AsRawFd as _;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use zbus::wire::serialized::Context;
use zbus::wire::{DynamicType, OwnedFd, OwnedVariant, Structure, Type, Variant, to_bytes};

use super::*;
use crate::message::Message;
use crate::wire::{ArgumentSpans, Header, MessageType, frame, write_checked_message};

fn body_of<T: Serialize + DynamicType>(value: &T) -> Body {
    let mut body = Body::default();
    body.write(value).unwrap();
    body
}

/// A message with this body, as if it had come.
fn message(body: Body) -> Message {
    let mut header = Header::new(MessageType::MethodReturn, NonZeroU32::MIN);
    header.reply_serial = Some(NonZeroU32::MIN);
    header.signature = body.signature().unwrap();
    header.unix_fds = body.fds.len() as u32;
    let mut bytes = Vec::new();
    write_checked_message(&header, &mut bytes, |writer| writer.encoded(&body.bytes)).unwrap();
    let frame = frame(&bytes, u32::MAX).unwrap().unwrap();
    Message::check(bytes, &frame, |_| body.fds, &mut ArgumentSpans::new(), 0).unwrap()
}

/// What the library writes whose types these are.
fn expected<T: Serialize + DynamicType>(value: &T) -> Vec<u8> {
    to_bytes(Context::new(Endian::NATIVE.into(), 0), value).unwrap().bytes().to_vec()
}

impl From<Endian> for zbus::wire::Endian {
    fn from(endian: Endian) -> Self {
        match endian {
            Endian::Little => Self::Little,
            Endian::Big => Self::Big,
        }
    }
}

#[track_caller]
fn check<T>(value: T, signature: &str)
where
    T: Serialize + for<'de> Deserialize<'de> + Type + PartialEq + fmt::Debug,
{
    let body = body_of(&value);
    assert_eq!(body.bytes, expected(&value), "{value:?}");
    assert_eq!(body.signature().unwrap().as_str(), signature);
    assert_eq!(message(body).deserialize::<T>().unwrap(), value);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Point {
    x: i32,
    name: String,
    rest: Vec<(u8, u64)>,
}

impl Type for Point {
    const SIGNATURE: &'static TypeSignature = <(i32, String, Vec<(u8, u64)>)>::SIGNATURE;
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Shape {
    Round(f64),
    Square(f64),
}

impl Type for Shape {
    const SIGNATURE: &'static TypeSignature = <(u32, f64)>::SIGNATURE;
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Mode {
    On,
    Off,
}

impl Type for Mode {
    const SIGNATURE: &'static TypeSignature = u32::SIGNATURE;
}

#[test]
fn values_are_written_as_their_library_writes_them_and_read_back() {
    check((), "");
    check(7_u8, "y");
    check(true, "b");
    check((1_i16, 2_u16, 3_i32, 4_u32, 5_i64, 6_u64, 7.5_f64), "nqiuxtd");
    check("text".to_owned(), "s");
    check((String::new(), 1_u64), "st");
    check(((1_u8, 2_u64), 3_u8), "(yt)y");
    check(vec![1_u64, 2], "at");
    check(Vec::<u64>::new(), "at");
    check((1_u8, Vec::<(u64, u8)>::new(), 2_u8), "ya(ty)y");
    check(vec![vec!["a".to_owned()], vec![]], "aas");
    check([1_u32, 2, 3], "uuu");
    check(BTreeMap::from([(1_u8, "one".to_owned()), (2, "two".to_owned())]), "a{ys}");
    check(HashMap::<String, Vec<u64>>::new(), "a{sat}");
    check(Point { x: -1, name: "p".to_owned(), rest: vec![(1, 2), (3, 4)] }, "isa(yt)");
    check((vec![Point { x: 0, name: String::new(), rest: vec![] }], 1_u8), "a(isa(yt))y");
    check(vec![Shape::Round(1.0), Shape::Square(2.0)], "a(ud)");
    check((Mode::On, Mode::Off), "uu");
    check('ä', "s");
    check(OwnedVariant::from(5_u64), "v");
    let variant = Variant::from(vec![Variant::from("a"), Variant::from((1_u8, 2_u64))]);
    check((1_u8, OwnedVariant::try_from(variant).unwrap()), "yv");
    let path = zbus::ObjectPath::try_from("/a/b").unwrap();
    check(zbus::OwnedObjectPath::from(path), "o");
    check(zbus::Signature::try_from("a{sv}").unwrap(), "g");
}

#[test]
fn borrowed_values_borrow_from_the_message() {
    let message = message(body_of(&("text", 1_u8, &[1_u8, 2, 3][..], vec!["a", "b"])));
    let (text, number, bytes, texts) =
        message.deserialize::<(&str, u8, Vec<u8>, Vec<&str>)>().unwrap();
    assert_eq!((text, number, &*bytes, &*texts), ("text", 1, &[1, 2, 3][..], &["a", "b"][..]));
    let body = message.body().as_ptr_range();
    assert!(body.contains(&text.as_ptr()));
}

#[test]
fn both_signatures_are_named_when_they_differ() {
    let message = message(body_of(&("text", 1_u32)));
    let error = message.deserialize::<(String, u64)>().unwrap_err();
    assert_eq!(error.to_string(), "the message has the signature 'su', not 'st'");
    assert!(message.deserialize::<String>().is_err());
    let dynamic = message.deserialize_dynamic::<Structure<'_>>().unwrap();
    assert_eq!(dynamic.fields(), [Variant::from("text"), Variant::from(1_u32)]);
}

/// A type may say what it is not; that is found out and no wrong byte written.
#[test]
fn a_type_that_is_not_what_it_says_is_an_error() {
    struct Liar;
    impl Type for Liar {
        const SIGNATURE: &'static TypeSignature = u32::SIGNATURE;
    }
    impl Serialize for Liar {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str("text")
        }
    }
    impl<'de> Deserialize<'de> for Liar {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer).map(|_| Self)
        }
    }
    let error = Body::default().write(&Liar).unwrap_err();
    assert_eq!(error.to_string(), "the signature says 'u' where the value is a string");
    assert!(message(body_of(&1_u32)).deserialize::<Liar>().is_err());
    assert!(message(body_of(&vec![1_u32, 2, 3])).deserialize::<[u32; 2]>().is_err());
    assert!(Body::default().write(&"a\0b").is_ok(), "the whole message is checked");
}

#[test]
fn descriptors_are_passed_on_as_copies() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let raw = file.as_raw_fd();
    let body = body_of(&(1_u8, zbus::Fd::from(&file), zbus::Fd::from(&file)));
    drop(file);
    assert_eq!(body.fds.len(), 2);
    assert!(body.fds.iter().all(|fd| fd.as_raw_fd() != raw));
    let message = message(body);
    let (_, one, two) = message.deserialize::<(u8, OwnedFd, OwnedFd)>().unwrap();
    let numbers = [&one, &two].map(|fd| fd.as_raw_fd());
    assert!(message.fds().iter().all(|fd| !numbers.contains(&fd.as_raw_fd())));
    assert!(Body::default().write(&zbus::Fd::from(std::os::fd::OwnedFd::from(two))).is_ok());
}

#[test]
fn a_descriptor_that_the_message_does_not_have_is_an_error() {
    let mut body = body_of(&zbus::Fd::from(std::os::fd::OwnedFd::from(
        std::fs::File::open("/dev/null").unwrap(),
    )));
    body.fds.clear();
    let error = message(body).deserialize::<OwnedFd>().unwrap_err();
    assert!(error.to_string().contains("has 0 of them"), "{error}");
}

fn variants() -> impl Strategy<Value = Variant<'static>> {
    let leaf = prop_oneof![
        any::<u8>().prop_map(Variant::from),
        any::<bool>().prop_map(Variant::from),
        any::<i16>().prop_map(Variant::from),
        any::<u64>().prop_map(Variant::from),
        any::<f64>().prop_filter("equal to itself", |x| !x.is_nan()).prop_map(Variant::from),
        "[a-zä]{0,9}".prop_map(Variant::from),
        "(/[a-z]{1,3}){1,3}"
            .prop_map(|path| Variant::from(zbus::OwnedObjectPath::try_from(path).unwrap())),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|value| Variant::Variant(Box::new(value))),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|fields| {
                let mut structure = zbus::wire::StructureBuilder::new();
                for field in fields {
                    structure = structure.append_field(field);
                }
                Variant::from(structure.build().unwrap())
            }),
            proptest::collection::vec(inner, 0..4).prop_map(|elements| {
                let wrapped: Vec<Variant<'_>> = elements
                    .into_iter()
                    .map(|element| Variant::Variant(Box::new(element)))
                    .collect();
                Variant::from(wrapped)
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_written_as_its_library_writes_it_and_read_back(
        value in variants(),
        before in any::<u8>(),
    ) {
        let value = (before, OwnedVariant::try_from(value).unwrap());
        let body = body_of(&value);
        prop_assert_eq!(&body.bytes, &expected(&value));
        prop_assert_eq!(message(body).deserialize::<(u8, OwnedVariant)>().unwrap(), value);
    }

    /// Whatever a peer sends that is a valid message, reading it as any type is a value or an error.
    #[test]
    fn a_message_read_as_another_type_is_an_error(value in variants()) {
        let message = message(body_of(&OwnedVariant::try_from(value).unwrap()));
        let _ = message.deserialize::<zbus::wire::as_variant::Deserialize<'_, (u8, String)>>();
        let _ = message.deserialize::<zbus::wire::as_variant::Deserialize<'_, Vec<Variant<'_>>>>();
        prop_assert!(message.deserialize::<u64>().is_err());
        prop_assert!(message.deserialize_dynamic::<Variant<'_>>().is_ok());
    }
}
