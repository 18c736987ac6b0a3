//! A program that answers, for tests that count what that costs it: on the bus whose address is its argument,
//! until it is told to end. Where it is told to, it asks for its parent's pid, which nothing else does.

use libbus::blocking::{Builder, interface};
use rustix::process::getppid;

struct Answers;

#[interface(name = "org.example.Answers")]
impl Answers {
    fn echo(&self, text: &str) -> String {
        text.to_owned()
    }

    fn mark(&self) {
        let _ = getppid();
    }

    fn end(&self) {
        std::process::exit(0);
    }
}

fn main() -> libbus::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_default();
    let builder = Builder::address(&address)?.serve_at("/", Answers)?;
    builder.name("org.example.Answers")?.build()?.serve()
}
