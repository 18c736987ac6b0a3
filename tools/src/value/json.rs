//! JSON, both ways (tools.md D033).
//!
//! A basic value is a number, a boolean or a string; an array is an array, a structure an array of its fields. A
//! dictionary is an object if its keys are strings, object paths or signatures, else an array of pairs
//! `[key, value]`. A variant is `{"type": SIGNATURE, "data": VALUE}`. A number that JSON lacks is the string `"nan"`,
//! `"inf"` or `"-inf"`. A descriptor is `{"fd": PLACE}`, its place in the table of the message.
//!
//! What is read is the same, and more that is clear: a variant may be a plain value, whose type is what it looks
//! like, and whole numbers may be strings, since not every program has 64 bits.

use libbus::limits::CONTAINER_DEPTH_MAX;
use serde_json::{Map, Number, Value as Json, json};

use super::{Arguments, Kind, Value, flat, kind, type_name, types};

/// A value as JSON.
pub(crate) fn to_json(value: &Value) -> Json {
    match value {
        Value::Byte(number) => json!(number),
        Value::Boolean(value) => json!(value),
        Value::Int16(number) => json!(number),
        Value::Uint16(number) => json!(number),
        Value::Int32(number) => json!(number),
        Value::Uint32(number) => json!(number),
        Value::Int64(number) => json!(number),
        Value::Uint64(number) => json!(number),
        Value::Double(number) => {
            Number::from_f64(*number).map_or_else(|| json!(flat::double(*number)), Json::Number)
        }
        Value::String(text) | Value::ObjectPath(text) | Value::Signature(text) => json!(text),
        Value::UnixFd(index) => json!({ "fd": index }),
        Value::Bytes(bytes) => json!(bytes),
        Value::Array { elements, .. } => elements.iter().map(to_json).collect(),
        Value::Struct(fields) => fields.iter().map(to_json).collect(),
        Value::Variant(value) => json!({ "type": value.signature(), "data": to_json(value) }),
        Value::Dict { key, entries, .. } if has_text_keys(key) => {
            let entry = |(key, value): &(Value, Value)| (text_of(key), to_json(value));
            Json::Object(entries.iter().map(entry).collect())
        }
        Value::Dict { entries, .. } => {
            entries.iter().map(|(key, value)| json!([to_json(key), to_json(value)])).collect()
        }
    }
}

/// The arguments of a message: `{"type": SIGNATURE, "data": [ARGUMENT, …]}`.
pub(crate) fn body_to_json(values: &[Value]) -> Json {
    let signature: String = values.iter().map(Value::signature).collect();
    json!({ "type": signature, "data": values.iter().map(to_json).collect::<Json>() })
}

fn has_text_keys(key: &str) -> bool {
    matches!(key, "s" | "o" | "g")
}

fn text_of(key: &Value) -> String {
    match key {
        Value::String(text) | Value::ObjectPath(text) | Value::Signature(text) => text.clone(),
        _ => String::new(),
    }
}

/// What is wrong with JSON that is to be a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// Where: `$[0].name`.
    pub(crate) place: String,
    pub(crate) what: String,
}

/// The arguments of these types, from an array of them, or from `{"data": […]}` with or without a `type`.
///
/// # Errors
/// One does not fit, and where.
pub(crate) fn arguments(signature: &str, json: &Json) -> Result<Arguments, JsonError> {
    let (data, place) = match json.get("data") {
        Some(data) => (data, "$.data"),
        None => (json, "$"),
    };
    if let Some(said) = json.get("type").filter(|said| said.as_str() != Some(signature)) {
        let what = format!("the arguments are of type {signature:?}, and not {said}");
        return Err(JsonError { place: "$.type".to_owned(), what });
    }
    let wanted = types(signature);
    let Json::Array(elements) = data else {
        return Err(JsonError {
            place: place.to_owned(),
            what: "expected an array of arguments".to_owned(),
        });
    };
    if elements.len() != wanted.len() {
        let what = format!("expected {} arguments, found {}", wanted.len(), elements.len());
        return Err(JsonError { place: place.to_owned(), what });
    }
    let values = elements.iter().zip(&wanted).enumerate().map(|(index, (json, wanted))| {
        Reader { place: format!("{place}[{index}]"), depth: 0 }.value(wanted, json)
    });
    Ok(Arguments { values: values.collect::<Result<_, _>>()?, fds: Vec::new() })
}

struct Reader {
    place: String,
    depth: usize,
}

impl Reader {
    fn error<T>(&self, wanted: &str) -> Result<T, JsonError> {
        let what = format!("expected {}", type_name(wanted));
        Err(JsonError { place: self.place.clone(), what })
    }

    fn inside<T>(
        &mut self,
        step: &str,
        read: impl FnOnce(&mut Self) -> Result<T, JsonError>,
    ) -> Result<T, JsonError> {
        let size = self.place.len();
        self.place.push_str(step);
        self.depth += 1;
        if self.depth > CONTAINER_DEPTH_MAX {
            let what = "there are more values inside one another than D-Bus has".to_owned();
            return Err(JsonError { place: self.place.clone(), what });
        }
        let value = read(self)?;
        self.depth -= 1;
        self.place.truncate(size);
        Ok(value)
    }

    fn value(&mut self, wanted: &str, json: &Json) -> Result<Value, JsonError> {
        match (kind(wanted), json) {
            (Some(Kind::Variant), json) => self.variant(json),
            (Some(Kind::Array(element)), Json::Array(elements)) => {
                Ok(Value::array(element, self.elements(element, elements)?))
            }
            (Some(Kind::Dict(key, value)), Json::Object(entries)) => {
                let entries = self.entries(key, value, entries)?;
                Ok(Value::Dict { key: key.to_owned(), value: value.to_owned(), entries })
            }
            (Some(Kind::Dict(key, value)), Json::Array(pairs)) => {
                let entries = self.pairs(wanted, key, value, pairs)?;
                Ok(Value::Dict { key: key.to_owned(), value: value.to_owned(), entries })
            }
            (Some(Kind::Struct(fields)), Json::Array(values)) => {
                self.structure(wanted, &types(fields), values)
            }
            (Some(Kind::Basic(_)), json) => self.basic(wanted, json),
            _ => self.error(wanted),
        }
    }

    fn elements(&mut self, element: &str, json: &[Json]) -> Result<Vec<Value>, JsonError> {
        let read = |(index, json)| {
            self.inside(&format!("[{index}]"), |reader| reader.value(element, json))
        };
        json.iter().enumerate().map(read).collect()
    }

    fn entries(
        &mut self,
        key: &str,
        value: &str,
        json: &Map<String, Json>,
    ) -> Result<Vec<(Value, Value)>, JsonError> {
        let read = |(name, json): (&String, &Json)| {
            self.inside(&format!(".{name}"), |reader| {
                let Ok(key_value) = flat::basic(key, name) else { return reader.error(key) };
                Ok((key_value, reader.value(value, json)?))
            })
        };
        json.iter().map(read).collect()
    }

    fn pairs(
        &mut self,
        wanted: &str,
        key: &str,
        value: &str,
        json: &[Json],
    ) -> Result<Vec<(Value, Value)>, JsonError> {
        let read = |(index, json): (usize, &Json)| {
            self.inside(&format!("[{index}]"), |reader| match json.as_array().map(Vec::as_slice) {
                Some([key_json, json]) => {
                    Ok((reader.value(key, key_json)?, reader.value(value, json)?))
                }
                _ => reader.error(wanted),
            })
        };
        json.iter().enumerate().map(read).collect()
    }

    fn structure(
        &mut self,
        wanted: &str,
        fields: &[String],
        json: &[Json],
    ) -> Result<Value, JsonError> {
        if fields.len() != json.len() {
            return self.error(wanted);
        }
        let read = |(index, (field, json)): (usize, (&String, &Json))| {
            self.inside(&format!("[{index}]"), |reader| reader.value(field, json))
        };
        let fields = fields.iter().zip(json).enumerate().map(read);
        Ok(Value::Struct(fields.collect::<Result<_, _>>()?))
    }

    fn basic(&self, wanted: &str, json: &Json) -> Result<Value, JsonError> {
        let is_text = matches!(wanted, "s" | "o" | "g");
        let word = match json {
            Json::String(text) if wanted != "b" => text.clone(),
            Json::Number(number) if !is_text && wanted != "b" => number.to_string(),
            Json::Bool(value) if wanted == "b" => value.to_string(),
            _ => return self.error(wanted),
        };
        flat::basic(wanted, &word).or_else(|_| self.error(wanted))
    }

    fn variant(&mut self, json: &Json) -> Result<Value, JsonError> {
        let parts = json.get("type").and_then(Json::as_str).zip(json.get("data"));
        if let Some((signature, data)) = parts {
            if types(signature).len() != 1 {
                return self.error("g");
            }
            let value = self.inside(".data", |reader| reader.value(signature, data))?;
            return Ok(Value::Variant(Box::new(value)));
        }
        let looks_like = match json {
            Json::Bool(_) => "b",
            Json::String(_) => "s",
            Json::Number(number) if number.is_f64() => "d",
            Json::Number(number) => match number.as_i64() {
                Some(number) if i32::try_from(number).is_ok() => "i",
                Some(_) => "x",
                None => "t",
            },
            Json::Array(elements) if elements.is_empty() => {
                let what = "the type of an empty array is not known; write {\"type\": \"as\", \"data\": []}";
                return Err(JsonError { place: self.place.clone(), what: what.to_owned() });
            }
            Json::Array(elements) if elements.iter().all(Json::is_string) => "as",
            Json::Array(_) => "av",
            Json::Object(_) => "a{sv}",
            Json::Null => return self.error("v"),
        };
        let value = self.inside("", |reader| reader.value(looks_like, json))?;
        Ok(Value::Variant(Box::new(value)))
    }
}
