//! Values as they are typed (tools.md D030), and what is said of those that are none.

use std::ops::RangeInclusive;

use libbus::limits::{CONTAINER_DEPTH_MAX, SIGNATURE_SIZE_MAX};
use libbus::names::ObjectPath;
use libbus::wire::Signature;
use rustix::io::Errno;

use super::super::c_numbers::{double, whole, words_of};
use super::{Failed, Result, because};
use crate::value::flat::boolean;
use crate::value::{Arguments, Kind, Value, kind, types};

/// Reads words one after the other.
struct Words<'a> {
    left: std::slice::Iter<'a, String>,
    /// How many containers are open.
    depth: usize,
    arguments: Arguments,
}

/// The values of these types that the words say: all of them.
///
/// # Errors
/// One does not fit, one is missing, or one is left over.
pub(super) fn arguments(signature: &str, words: &[String]) -> Result<Arguments> {
    let mut words = Words { left: words.iter(), depth: 0, arguments: Arguments::default() };
    for wanted in split(signature)? {
        let value = words.value(&wanted)?;
        words.arguments.values.push(value);
    }
    match words.left.next() {
        Some(_) => Err(because("Too many parameters for signature.")),
        None => Ok(words.arguments),
    }
}

/// The value of one type, as [`arguments`].
///
/// # Errors
/// As [`arguments`]; there is not one type.
pub(super) fn argument(signature: &str, words: &[String]) -> Result<(Value, Arguments)> {
    if !is_one_type(signature) {
        return Err(wrong_message());
    }
    let mut made = arguments(signature, words)?;
    let value = made.values.pop().ok_or_else(wrong_message)?;
    Ok((value, made))
}

pub(super) fn wrong_message() -> Failed {
    because(format!("Failed to create bus message: {}", words_of(Errno::INVAL)))
}

fn is_one_type(signature: &str) -> bool {
    signature.len() <= SIGNATURE_SIZE_MAX && types(signature).len() == 1
}

/// The complete types in a row.
fn split(signature: &str) -> Result<Vec<String>> {
    if Signature::parse(signature).is_ok() {
        return Ok(types(signature));
    }
    // What is wrong is told as it is found, from the beginning.
    let mut rest = signature;
    while let Some(first) = rest.chars().next() {
        let size = (1..=rest.len()).find(|size| rest.get(..*size).is_some_and(is_one_type));
        let Some(size) = size else { return Err(wrong_type(first)) };
        rest = rest.get(size..).unwrap_or_default();
    }
    // Each type is one, and all of them are too long.
    Err(wrong_message())
}

fn wrong_type(first: char) -> Failed {
    because(match first {
        'a' => format!("Invalid array signature: {}", words_of(Errno::INVAL)),
        '(' | '{' => format!("Invalid struct/dict entry signature: {}", words_of(Errno::INVAL)),
        other => format!("Unknown signature type {other}."),
    })
}

impl Words<'_> {
    fn take(&mut self) -> Result<&str> {
        let word = self.left.next().map(String::as_str);
        word.ok_or_else(|| because("Too few parameters for signature."))
    }

    fn value(&mut self, wanted: &str) -> Result<Value> {
        let kind = kind(wanted);
        let depth = kind.map_or(0, Kind::depth);
        self.depth += depth;
        if self.depth > CONTAINER_DEPTH_MAX {
            return Err(wrong_message());
        }
        let value = self.value_of(kind, wanted)?;
        self.depth -= depth;
        Ok(value)
    }

    fn value_of(&mut self, kind: Option<Kind<'_>>, wanted: &str) -> Result<Value> {
        match kind {
            Some(Kind::Variant) => {
                let inner = self.take()?.to_owned();
                match is_one_type(&inner) {
                    true => Ok(Value::Variant(Box::new(self.value(&inner)?))),
                    false => Err(wrong_message()),
                }
            }
            Some(Kind::Array(element)) => {
                let count = self.count()?;
                let elements = (0..count).map(|_| self.value(element));
                Ok(Value::array(element, elements.collect::<Result<_>>()?))
            }
            Some(Kind::Dict(key, value)) => {
                let count = self.count()?;
                let entries = (0..count).map(|_| Ok((self.value(key)?, self.value(value)?)));
                let entries = entries.collect::<Result<_>>()?;
                Ok(Value::Dict { key: key.to_owned(), value: value.to_owned(), entries })
            }
            Some(Kind::Struct(fields)) => {
                let fields = types(fields).into_iter().map(|field| self.value(&field));
                Ok(Value::Struct(fields.collect::<Result<_>>()?))
            }
            Some(Kind::Basic('h')) => self.fd(),
            _ => basic(wanted, self.take()?),
        }
    }

    /// The length of an array. Elements that are missing are noticed before room is made for them.
    fn count(&mut self) -> Result<u32> {
        let word = self.take()?;
        whole(word).map_err(|errno| {
            because(format!(
                "Failed to parse '{word}' number of array entries: {}",
                words_of(errno)
            ))
        })
    }

    /// A descriptor that the shell has opened.
    fn fd(&mut self) -> Result<Value> {
        const PLACES: RangeInclusive<i32> = 0..=i32::MAX;
        let word = self.take()?;
        let number = whole(word).and_then(|number: i32| match PLACES.contains(&number) {
            true => Ok(number),
            false => Err(Errno::BADF),
        });
        let number = number.map_err(|errno| {
            let words = words_of(errno);
            because(format!("Failed to parse '{word}' as a file descriptor: {words}"))
        })?;
        let fd = libbus::host::inherited_fd(number).map_err(|_| {
            because(format!(
                "Failed to find file descriptor '{word}' among passed file descriptors."
            ))
        })?;
        let index = u32::try_from(self.arguments.fds.len()).map_err(|_| wrong_message())?;
        self.arguments.fds.push(fd);
        Ok(Value::UnixFd(index))
    }
}

fn basic(wanted: &str, word: &str) -> Result<Value> {
    let number = |name: &'static str| {
        move |errno| because(format!("Failed to parse '{word}' as {name}: {}", words_of(errno)))
    };
    let text = |is_one: bool, value: fn(String) -> Value| match is_one {
        true => Ok(value(word.to_owned())),
        false => Err(wrong_message()),
    };
    match wanted {
        "y" => whole(word).map(Value::Byte).map_err(number("byte (unsigned 8bit integer)")),
        "b" => boolean(word).map(Value::Boolean).ok_or(Errno::INVAL).map_err(number("boolean")),
        "n" => whole(word).map(Value::Int16).map_err(number("signed 16bit integer")),
        "q" => whole(word).map(Value::Uint16).map_err(number("unsigned 16bit integer")),
        "i" => whole(word).map(Value::Int32).map_err(number("signed 32bit integer")),
        "u" => whole(word).map(Value::Uint32).map_err(number("unsigned 32bit integer")),
        "x" => whole(word).map(Value::Int64).map_err(number("signed 64bit integer")),
        "t" => whole(word).map(Value::Uint64).map_err(number("unsigned 64bit integer")),
        "d" => double(word).map(Value::Double).map_err(number("double precision floating point")),
        "s" => text(true, Value::String),
        "o" => text(ObjectPath::parse(word).is_ok(), Value::ObjectPath),
        "g" => text(Signature::parse(word).is_ok(), Value::Signature),
        _ => Err(wrong_message()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Failed;
    use super::arguments;

    fn check(line: &str, wanted: &str) {
        let mut words = line.split(' ').map(ToOwned::to_owned);
        let signature = words.next().unwrap();
        let words: Vec<String> = words.collect();
        let shown = match arguments(&signature, &words) {
            Ok(arguments) => format!("{:?}", arguments.values),
            Err(Failed::Because(text)) => text,
            Err(Failed::Silently) => String::new(),
        };
        assert_eq!(shown, wanted, "{line}");
    }

    #[test]
    fn words_follow_the_signature() {
        check("su a 5", r#"[String("a"), Uint32(5)]"#);
        check("as 2 x y", r#"[Array { element: "s", elements: [String("x"), String("y")] }]"#);
        check("(iv) 1 b yes", "[Struct([Int32(1), Variant(Boolean(true))])]");
        check("ay 2 1 0xff", "[Bytes([1, 255])]");
    }

    // protocol.md A018
    #[test]
    fn values_are_as_deep_as_those_of_messages() {
        let variants = |count: usize| format!("v {}y 1", "v ".repeat(count - 1));
        let made = format!("[{}Byte(1){}]", "Variant(".repeat(64), ")".repeat(64));
        check(&variants(64), &made);
        let wrong = "Failed to create bus message: Invalid argument";
        for count in [65, 60_000] {
            check(&variants(count), wrong);
        }
        // What is closed again does not count; a dictionary counts twice.
        check(
            &format!("vv {0} {0}", &variants(64)[2..]),
            &format!("[{0}, {0}]", &made[1..made.len() - 1]),
        );
        check(
            &format!("a{{yv}} 1 1 {}", &variants(62)[2..]),
            &format!(
                "[Dict {{ key: \"y\", value: \"v\", entries: [(Byte(1), {}Byte(1){})] }}]",
                "Variant(".repeat(62),
                ")".repeat(62)
            ),
        );
        check(&format!("a{{yv}} 1 1 {}", &variants(63)[2..]), wrong);
    }

    #[test]
    fn what_is_wrong_is_told() {
        check("as 4294967295 x", "Too few parameters for signature.");
        check("s a b", "Too many parameters for signature.");
        check("sQ a 1", "Unknown signature type Q.");
        check("ia 1", "Invalid array signature: Invalid argument");
        check("a{vs} 1 s a b", "Invalid array signature: Invalid argument");
        check("(s 1", "Invalid struct/dict entry signature: Invalid argument");
        check("v ss a b", "Failed to create bus message: Invalid argument");
        check("o x", "Failed to create bus message: Invalid argument");
        check("h x", "Failed to parse 'x' as a file descriptor: Invalid argument");
        check("h -1", "Failed to parse '-1' as a file descriptor: Bad file descriptor");
        let missing = "Failed to find file descriptor '9999' among passed file descriptors.";
        check("h 9999", missing);
        check("i x", "Failed to parse 'x' as signed 32bit integer: Invalid argument");
        check(
            "as -1",
            "Failed to parse '-1' number of array entries: Numerical result out of range",
        );
    }
}
