//! Signatures as types of Rust.
//!
//! A signature has at most 255 bytes and is at most 64 deep, so that recursion here is bounded.

use std::str::Bytes;

use libbus::wire::Signature;

use super::error::CodegenFault;
use super::{FIELD_COUNT_MAX, TYPE_DEPTH_MAX, WIRE_TYPES};

/// How deep slices of slices are lent; deeper ones are vectors. The time that compilers take for what is
/// made of them doubles with each.
const SLICE_DEPTH_MAX: usize = 4;

/// Who holds a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Somebody else, who lends it to be sent.
    Lent,
    /// Whoever gets it, but for the texts inside, which stay in the message.
    Received,
    /// Whoever gets it.
    Owned,
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// One of the language or its library.
    Plain(&'static str),
    /// One of libbus.
    Wire(&'static str),
    Reference(Box<Type>),
    Slice(Box<Type>),
    Generic(&'static str, Vec<Type>),
    Tuple(Vec<Type>),
}

impl Type {
    pub(super) const NOTHING: Self = Self::Tuple(Vec::new());

    pub(super) fn of(signature: &str, form: Form) -> Result<Self, CodegenFault> {
        let parsed = Signature::parse(signature).map_err(CodegenFault::Signature)?;
        if parsed.types().count() != 1 {
            return Err(CodegenFault::NotOneType);
        }
        let value =
            Reader { codes: signature.bytes(), form, depth: 0, slice_depth: 0 }.complete_type()?;
        Ok(if form == Form::Lent { value.lent() } else { value })
    }

    /// What stands for the values of a reply.
    pub(super) fn of_reply(mut values: Vec<Self>) -> Self {
        match (values.len(), values.pop()) {
            // A tuple alone would be taken for several values.
            (1, Some(value)) if !matches!(value, Self::Tuple(_)) => value,
            (_, last) => {
                values.extend(last);
                Self::Tuple(values)
            }
        }
    }

    /// A value as it is lent: all that is more than a number by reference.
    fn lent(self) -> Self {
        match self {
            Self::Plain(_) | Self::Reference(_) | Self::Wire(FD) => self,
            _ => Self::Reference(Box::new(self)),
        }
    }

    /// On one line.
    pub(super) fn flat(&self) -> String {
        match self {
            Self::Plain(name) => (*name).to_owned(),
            Self::Wire(name) => format!("{WIRE_TYPES}::{name}"),
            Self::Reference(to) => format!("&{}", to.flat()),
            Self::Slice(of) => format!("[{}]", of.flat()),
            Self::Generic(name, parameters) => format!("{name}<{}>", flat_list(parameters)),
            Self::Tuple(fields) => match &fields[..] {
                [field] => format!("({},)", field.flat()),
                _ => format!("({})", flat_list(fields)),
            },
        }
    }
}

const FD: &str = "Fd<'_>";

fn flat_list(types: &[Type]) -> String {
    let types: Vec<String> = types.iter().map(Type::flat).collect();
    types.join(", ")
}

/// Reads one complete type of a signature that is valid.
struct Reader<'a> {
    codes: Bytes<'a>,
    form: Form,
    /// How many containers are around what is read, itself among them.
    depth: usize,
    /// How many slices are around what is read.
    slice_depth: usize,
}

impl Reader<'_> {
    fn complete_type(&mut self) -> Result<Type, CodegenFault> {
        let is_owned = self.form == Form::Owned;
        let either = |owned, borrowed| if is_owned { owned } else { borrowed };
        Ok(match self.codes.next() {
            Some(b'y') => Type::Plain("u8"),
            Some(b'b') => Type::Plain("bool"),
            Some(b'n') => Type::Plain("i16"),
            Some(b'q') => Type::Plain("u16"),
            Some(b'i') => Type::Plain("i32"),
            Some(b'u') => Type::Plain("u32"),
            Some(b'x') => Type::Plain("i64"),
            Some(b't') => Type::Plain("u64"),
            Some(b'd') => Type::Plain("f64"),
            Some(b's') => Type::Plain(either("String", "&str")),
            Some(b'o') => Type::Wire(either("OwnedObjectPath", "ObjectPath<'_>")),
            Some(b'g') => Type::Wire("Signature"),
            Some(b'v') => Type::Wire(either("OwnedVariant", "Variant<'_>")),
            Some(b'h') => Type::Wire(either("OwnedFd", FD)),
            Some(b'a') if self.is_next(b'{') => self.container(Self::dictionary)?,
            Some(b'a') => self.container(Self::array)?,
            Some(b'(') => self.container(Self::structure)?,
            _ => return Err(CodegenFault::NotOneType),
        })
    }

    fn container(
        &mut self,
        read: fn(&mut Self) -> Result<Type, CodegenFault>,
    ) -> Result<Type, CodegenFault> {
        if self.depth == TYPE_DEPTH_MAX {
            return Err(CodegenFault::TooDeep);
        }
        self.depth += 1;
        let container = read(self);
        self.depth -= 1;
        container
    }

    fn array(&mut self) -> Result<Type, CodegenFault> {
        let is_lent = self.form == Form::Lent && self.slice_depth < SLICE_DEPTH_MAX;
        self.slice_depth += usize::from(is_lent);
        let element = self.complete_type()?;
        self.slice_depth -= usize::from(is_lent);
        Ok(match is_lent {
            true => Type::Reference(Box::new(Type::Slice(Box::new(element)))),
            false => Type::Generic("Vec", vec![element]),
        })
    }

    fn dictionary(&mut self) -> Result<Type, CodegenFault> {
        self.codes.next();
        let key = self.complete_type()?;
        let value = self.complete_type()?;
        self.codes.next();
        match key {
            Type::Plain("f64") => Err(CodegenFault::FloatKey),
            _ => Ok(Type::Generic("std::collections::HashMap", vec![key, value])),
        }
    }

    fn structure(&mut self) -> Result<Type, CodegenFault> {
        let mut fields = Vec::new();
        while !self.is_next(b')') {
            fields.push(self.complete_type()?);
        }
        self.codes.next();
        if fields.len() > FIELD_COUNT_MAX {
            return Err(CodegenFault::TooManyFields);
        }
        Ok(Type::Tuple(fields))
    }

    fn is_next(&self, code: u8) -> bool {
        self.codes.clone().next() == Some(code)
    }
}
