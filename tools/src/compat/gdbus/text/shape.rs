//! Which type a text looks like, as far as it tells.

use super::syntax::{Form, Node};
use super::{Fault, wrong};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Of what is empty.
    Any,
    /// A number of any type, also one with a point.
    Number,
    /// A text, a path or a signature.
    Text,
    Basic(char),
    Variant,
    Array(Box<Shape>),
    Tuple(Vec<Shape>),
    Entry(Box<(Shape, Shape)>),
    Maybe(Box<Shape>),
}

impl Shape {
    /// # Errors
    /// It is of no type.
    pub(super) fn of(node: &Node) -> Result<Self, Fault> {
        Ok(match &node.form {
            Form::Boolean(_) => Self::Basic('b'),
            Form::Number(text) if has_point(text) => Self::Basic('d'),
            Form::Number(_) => Self::Number,
            Form::Text(_) => Self::Text,
            Form::Bytes(_) => Self::Array(Box::new(Self::Basic('y'))),
            Form::Variant(_) => Self::Variant,
            Form::Array(parts) => Self::Array(Box::new(Self::common(node, parts)?)),
            Form::Tuple(parts) => {
                Self::Tuple(parts.iter().map(Self::of).collect::<Result<_, _>>()?)
            }
            Form::Dictionary(entries) => {
                let key = Self::common(node, entries.iter().map(|(key, _)| key))?;
                // The others have to be of the type of the first one.
                let value = entries.first().map_or(Ok(Self::Any), |(_, value)| Self::of(value))?;
                Self::Array(Box::new(Self::entry(node, key, value)?))
            }
            Form::Entry(entry) => Self::entry(node, Self::of(&entry.0)?, Self::of(&entry.1)?)?,
            Form::Maybe(None) => Self::Maybe(Box::new(Self::Any)),
            Form::Maybe(Some(inner)) => Self::Maybe(Box::new(Self::of(inner)?)),
            Form::Typed(signature, _) => Self::said(&mut signature.chars()),
        })
    }

    fn entry(node: &Node, key: Self, value: Self) -> Result<Self, Fault> {
        match key {
            Self::Any | Self::Number | Self::Text | Self::Basic(_) => {
                Ok(Self::Entry(Box::new((key, value))))
            }
            _ => Err(wrong(node, "this cannot be the key of a dictionary")),
        }
    }

    /// That of all of them.
    fn common<'n>(node: &Node, parts: impl IntoIterator<Item = &'n Node>) -> Result<Self, Fault> {
        let mut common = Self::Any;
        for part in parts {
            let joined = common.join(Self::of(part)?);
            common = joined.ok_or_else(|| wrong(node, "the values have no common type"))?;
        }
        Ok(common)
    }

    fn join(self, other: Self) -> Option<Self> {
        const NUMBERS: &str = "ynqiuxthd";
        Some(match (self, other) {
            (one, other) if one == other => one,
            (Self::Any, one) | (one, Self::Any) => one,
            (Self::Number, Self::Basic(code)) | (Self::Basic(code), Self::Number)
                if NUMBERS.contains(code) =>
            {
                Self::Basic(code)
            }
            (Self::Text, Self::Basic(code)) | (Self::Basic(code), Self::Text)
                if "sog".contains(code) =>
            {
                Self::Basic(code)
            }
            (Self::Array(one), Self::Array(other)) => Self::Array(Box::new(one.join(*other)?)),
            (Self::Tuple(one), Self::Tuple(other)) if one.len() == other.len() => {
                let fields = one.into_iter().zip(other).map(|(one, other)| one.join(other));
                Self::Tuple(fields.collect::<Option<_>>()?)
            }
            (Self::Entry(one), Self::Entry(other)) => {
                Self::Entry(Box::new((one.0.join(other.0)?, one.1.join(other.1)?)))
            }
            (Self::Maybe(one), Self::Maybe(other)) => Self::Maybe(Box::new(one.join(*other)?)),
            (Self::Maybe(inner), other) | (other, Self::Maybe(inner)) => {
                Self::Maybe(Box::new(inner.join(other)?))
            }
            _ => return None,
        })
    }

    /// The type that is said. It was found to be one.
    fn said(codes: &mut std::str::Chars<'_>) -> Self {
        match codes.next() {
            Some('a') => Self::Array(Box::new(Self::said(codes))),
            Some('m') => Self::Maybe(Box::new(Self::said(codes))),
            Some('v') => Self::Variant,
            Some('{') => {
                let entry = (Self::said(codes), Self::said(codes));
                codes.next();
                Self::Entry(Box::new(entry))
            }
            Some('(') => {
                let mut fields = Vec::new();
                while !codes.as_str().is_empty() && !codes.as_str().starts_with(')') {
                    fields.push(Self::said(codes));
                }
                codes.next();
                Self::Tuple(fields)
            }
            Some(code) => Self::Basic(code),
            None => Self::Any,
        }
    }

    /// The type; nothing, if a part of it is not known. Numbers are of 32 bits if nothing says otherwise.
    pub(super) fn signature(&self) -> Option<String> {
        Some(match self {
            Self::Any => return None,
            Self::Number => "i".to_owned(),
            Self::Text => "s".to_owned(),
            Self::Basic(code) => code.to_string(),
            Self::Variant => "v".to_owned(),
            Self::Array(element) => format!("a{}", element.signature()?),
            Self::Maybe(inner) => format!("m{}", inner.signature()?),
            Self::Tuple(fields) => {
                let fields: Option<String> = fields.iter().map(Self::signature).collect();
                format!("({})", fields?)
            }
            Self::Entry(entry) => format!("{{{}{}}}", entry.0.signature()?, entry.1.signature()?),
        })
    }
}

/// Whether a number can be none of the whole ones.
fn has_point(text: &str) -> bool {
    let is_decimal = !text.starts_with("0x");
    text.contains('.')
        || (is_decimal && text.contains('e'))
        || text.contains("inf")
        || text.contains("nan")
}
