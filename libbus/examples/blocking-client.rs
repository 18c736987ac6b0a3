//! A client without futures, of the blocking service.

use libbus::blocking::{Connection, proxy};
use libbus::{Result, fdo};

#[proxy(interface = "org.example.Dictionary", assume_defaults = true)]
trait Dictionary {
    fn define(&self, word: &str, meaning: &str) -> Result<()>;
    fn look_up(&self, word: &str) -> fdo::Result<String>;
}

fn main() -> Result<()> {
    let connection = Connection::session()?;
    let dictionary = DictionaryProxy::new(&connection)?;
    dictionary.define("bus", "what all take together")?;
    for word in ["bus", "cab"] {
        match dictionary.look_up(word) {
            Ok(meaning) => println!("{word}: {meaning}"),
            Err(fdo::Error::InvalidArgs(text)) => println!("{word}: {text}"),
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}
