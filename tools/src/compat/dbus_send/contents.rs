//! The content of a message as `dbus-send` takes it (tools.md D046): `TYPE:VALUE`, `array:TYPE:VALUE,VALUE…`,
//! `dict:TYPE:TYPE:KEY,VALUE,…` and `variant:TYPE:VALUE`; since 1.16 `variant` is also a type of elements, of values in
//! a dict and in a variant, each of which is then `TYPE:VALUE` again.
//!
//! Numbers are taken as C's library takes them. Between two commas there is always something: `a,,b` is two elements.

use libbus::limits::CONTAINER_DEPTH_MAX;
use libbus::names::ObjectPath;

use super::super::lenient_number::{double, signed, unsigned};
use crate::value::{Arguments, Value};

/// The values that the words say.
///
/// # Errors
/// One says none: what is wrong.
pub(super) fn parse(words: &[&str]) -> Result<Arguments, String> {
    let values = words.iter().map(|word| item(word)).collect::<Result<_, _>>()?;
    Ok(Arguments { values, fds: Vec::new() })
}

fn item(word: &str) -> Result<Value, String> {
    let (kind, rest) = typed(word)?;
    match kind {
        "array" => array(rest),
        "dict" => dict(rest),
        "variant" => variant(rest, 1),
        _ => value(type_code(kind)?, rest, 0),
    }
}

/// What is before the first colon, and what after it.
fn typed(word: &str) -> Result<(&str, &str), String> {
    word.split_once(':').ok_or_else(|| format!("Data item \"{word}\" is badly formed"))
}

/// No type is a string.
fn type_code(name: &str) -> Result<&'static str, String> {
    Ok(match name {
        "string" | "" => "s",
        "int16" => "n",
        "uint16" => "q",
        "int32" => "i",
        "uint32" => "u",
        "int64" => "x",
        "uint64" => "t",
        "double" => "d",
        "byte" => "y",
        "boolean" => "b",
        "objpath" => "o",
        "variant" => "v",
        _ => return Err(unknown(name)),
    })
}

fn unknown(name: &str) -> String {
    format!("Unknown type \"{name}\"")
}

fn array(word: &str) -> Result<Value, String> {
    let (kind, list) = typed(word)?;
    let element = type_code(kind)?;
    let values = elements(list).map(|text| value(element, text, 0));
    Ok(Value::array(element, values.collect::<Result<_, _>>()?))
}

fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|text| !text.is_empty())
}

fn dict(word: &str) -> Result<Value, String> {
    let (key_kind, rest) = typed(word)?;
    let key = type_code(key_kind)?;
    if key == "v" {
        return Err(unknown(key_kind));
    }
    let (value_kind, list) = typed(rest)?;
    let inner = type_code(value_kind)?;
    let mut words = elements(list);
    let mut entries = Vec::new();
    while let Some(text) = words.next() {
        let entry = value(key, text, 0)?;
        let text = words.next().ok_or("Malformed dictionary")?;
        entries.push((entry, value(inner, text, 0)?));
    }
    Ok(Value::Dict { key: key.to_owned(), value: inner.to_owned(), entries })
}

/// `depth`: how many variants are around it, itself among them (protocol.md A018).
fn variant(word: &str, depth: usize) -> Result<Value, String> {
    if depth > CONTAINER_DEPTH_MAX {
        return Err(format!("more than {CONTAINER_DEPTH_MAX} variants in one another"));
    }
    let (kind, rest) = typed(word)?;
    value(type_code(kind)?, rest, depth).map(|value| Value::Variant(Box::new(value)))
}

fn value(code: &str, text: &str, depth: usize) -> Result<Value, String> {
    Ok(match code {
        "v" => variant(text, depth + 1)?,
        "y" => Value::Byte(unsigned(text) as u8),
        "n" => Value::Int16(signed(text) as i16),
        "q" => Value::Uint16(unsigned(text) as u16),
        "i" => Value::Int32(signed(text) as i32),
        "u" => Value::Uint32(unsigned(text) as u32),
        "x" => Value::Int64(signed(text)),
        "t" => Value::Uint64(unsigned(text)),
        "d" => Value::Double(double(text)),
        "b" => match text {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            _ => return Err(format!("Expected \"true\" or \"false\" instead of \"{text}\"")),
        },
        // deviation: dbus-send crashes.
        "o" if ObjectPath::parse(text).is_err() => {
            return Err(format!("Object path was not valid: '{text}'"));
        }
        "o" => Value::ObjectPath(text.to_owned()),
        _ => Value::String(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::value::flat;

    fn check(words: &[&str], wanted: Result<&str, &str>) {
        let made = parse(words).map(|arguments| {
            let types: String = arguments.values.iter().map(|value| value.signature()).collect();
            let mut text = format!("{types} ");
            flat::write_row(&mut text, &arguments.values);
            text
        });
        assert_eq!(made.as_deref(), wanted.map_err(ToOwned::to_owned).as_deref(), "{words:?}");
    }

    // tools.md D046
    #[test]
    fn contents_are_read() {
        check(&["string:a:b", ":x", "int32:-5", "byte:300"], Ok("ssiy \"a:b\" \"x\" -5 44"));
        check(&["int16:99999", "uint16:-1", "int32:0x10"], Ok("nqi -31073 65535 16"));
        check(&["double:0x1p3", "double:x"], Ok("dd 8 0"));
        check(&["double:1.5", "boolean:true", "objpath:/a"], Ok("dbo 1.5 true \"/a\""));
        check(&["array:string:a,,b", "array:byte:1,2"], Ok("asay 2 \"a\" \"b\" 2 1 2"));
        check(&["array::a", "array:int32:"], Ok("asai 1 \"a\" 0"));
        check(&["dict:string:int32:a,1,b,2"], Ok("a{si} 2 \"a\" 1 \"b\" 2"));
        check(&["variant:int32:5"], Ok("v i 5"));
    }

    // tools.md D046: of 1.16
    #[test]
    fn variants_are_types_of_elements_too() {
        check(&["array:variant:int32:1,string:x:y"], Ok("av 2 i 1 s \"x:y\""));
        check(
            &["dict:string:variant:a,int32:1,b,boolean:true"],
            Ok("a{sv} 2 \"a\" i 1 \"b\" b true"),
        );
        check(&["variant:variant:variant:byte:1"], Ok("v v v y 1"));
        check(&["array:variant:variant:byte:1"], Ok("av 1 v y 1"));
        check(&["dict:variant:string:int32:1,a"], Err("Unknown type \"variant\""));
        check(&["array:variant:1"], Err("Data item \"1\" is badly formed"));
        let deep = |count: usize| format!("{}byte:1", "variant:".repeat(count));
        assert!(parse(&[&deep(64)]).is_ok());
        check(&[&deep(65)], Err("more than 64 variants in one another"));
    }

    #[test]
    fn what_is_no_content_is_told() {
        for word in ["string", "", "--help"] {
            check(&[word], Err(&format!("Data item \"{word}\" is badly formed")));
        }
        check(&["array:"], Err("Data item \"\" is badly formed"));
        check(&["dict:string:int32"], Err("Data item \"int32\" is badly formed"));
        check(&["dict:string:int32:a"], Err("Malformed dictionary"));
        check(&["boolean:yes"], Err("Expected \"true\" or \"false\" instead of \"yes\""));
        check(&["array:dict:1"], Err("Unknown type \"dict\""));
        check(&["variant:array:string:a"], Err("Unknown type \"array\""));
        check(&["objpath:a"], Err("Object path was not valid: 'a'"));
    }
}
