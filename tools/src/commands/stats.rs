//! `bus stats`: what the bus counts (needs.md E3).

use clap::Args;
use serde_json::{Map, Value as Json};

use crate::failure::Result;
use crate::options::Options;
use crate::output::escape::plain;
use crate::output::out::Out;
use crate::output::style::Look;
use crate::value::{Value, flat, json};

const STATS: &str = "org.freedesktop.DBus.Debug.Stats";

/// What the bus counts: of itself, of one client, or its match rules
#[derive(Args, Debug)]
pub(crate) struct Stats {
    /// Of this client
    name: Option<String>,

    /// The match rules of all clients, or of NAME
    #[arg(long)]
    rules: bool,
}

impl Stats {
    pub(crate) fn run(self, options: &Options) -> Result<()> {
        options.bus.must_be_bus("stats")?;
        let connection = options.connect()?;
        let bus = libbus::blocking::Proxy::new(
            &connection,
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            STATS,
        )?;
        let reply = match (&self.name, self.rules) {
            (_, true) => bus.call_method("GetAllMatchRules", &())?,
            (Some(name), false) => bus.call_method("GetConnectionStats", name.as_str())?,
            (None, false) => bus.call_method("GetStats", &())?,
        };
        let entries = match Value::of_message(&reply).into_iter().next() {
            Some(Value::Dict { entries, .. }) => entries,
            _ => Vec::new(),
        };
        let mut entries: Vec<(String, Value)> = entries.into_iter().filter_map(named).collect();
        if let (Some(name), true) = (&self.name, self.rules) {
            let unique: String = connection.bus().call("GetNameOwner", name.as_str())?;
            entries.retain(|(client, _)| *client == unique);
        }
        entries.sort_by_cached_key(|(key, _)| crate::inventory::sort_key(key));
        print(&entries, options)
    }
}

fn named((key, value): (Value, Value)) -> Option<(String, Value)> {
    let Value::String(key) = key else { return None };
    Some((key, value.unwrapped().clone()))
}

fn print(entries: &[(String, Value)], options: &Options) -> Result<()> {
    let mut out = Out::paged(options);
    if let Some(form) = options.json() {
        let entries = entries.iter().map(|(key, value)| (key.clone(), json::to_json(value)));
        out.json(form, &Json::Object(entries.collect::<Map<_, _>>()))?;
        return out.finish();
    }
    for (key, value) in entries {
        let key = options.style().paint(Look::Bold, &plain(key));
        match value {
            Value::Array { elements, .. } => {
                out.line(&key)?;
                for element in elements {
                    out.line(&format!("  {}", text_of(element)))?;
                }
            }
            value => out.line(&format!("{key}={}", text_of(value)))?,
        }
    }
    out.finish()
}

fn text_of(value: &Value) -> String {
    if let Value::String(text) = value {
        return plain(text);
    }
    let mut text = String::new();
    flat::write(&mut text, value);
    text
}
