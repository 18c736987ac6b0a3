//! A service without futures and threads of its own: it waits for calls and answers them one by one.
//!
//! `cargo run --example blocking-service`, and beside it `cargo run --example blocking-client`.

use std::collections::HashMap;

use libbus::blocking::{Builder, interface};
use libbus::{Result, fdo};

struct Dictionary {
    words: HashMap<String, String>,
}

/// Words and what they mean.
#[interface(name = "org.example.Dictionary")]
impl Dictionary {
    /// Notes what a word means.
    fn define(&mut self, word: String, meaning: String) {
        self.words.insert(word, meaning);
    }

    /// What a word means.
    fn look_up(&self, word: &str) -> fdo::Result<String> {
        let unknown = || fdo::Error::InvalidArgs(format!("nobody has defined {word}"));
        self.words.get(word).cloned().ok_or_else(unknown)
    }
}

fn main() -> Result<()> {
    let dictionary = Dictionary { words: HashMap::new() };
    let builder = Builder::session()?.serve_at("/org/example/Dictionary", dictionary)?;
    builder.name("org.example.Dictionary")?.build()?.serve()
}
