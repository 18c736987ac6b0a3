//! Two programs that talk without a bus.
//!
//! `cargo run --example peer-to-peer -- serve unix:tmpdir=/tmp` prints an address and serves whoever connects there;
//! `cargo run --example peer-to-peer -- call ADDRESS` is one who does. Other places: `tcp:host=localhost`, where a client
//! proves who it is by a cookie in its home directory, and `systemd:`, where a service manager hands over the socket.

use std::env;
use std::thread;

use libbus::blocking::{Builder, Connection, ListenerBuilder, interface};
use libbus::{Error, MethodCall, Result};

const PATH: &str = "/org/example/Greeter";

struct Greeter;

#[interface(name = "org.example.Greeter")]
impl Greeter {
    fn greet(&self, name: &str) -> String {
        format!("Hello, {name}!")
    }
}

fn serve(place: &str) -> Result<()> {
    let builder = ListenerBuilder::address(place)?.serve_at(PATH, || Greeter)?;
    let mut listener = builder.listen()?;
    println!("{}", listener.address());
    loop {
        let connection = listener.accept()?;
        thread::spawn(move || say_end(&connection));
    }
}

/// Serves one client until it goes.
fn say_end(connection: &Connection) {
    match connection.serve() {
        Err(Error::Closed) | Ok(()) => println!("{:?} is gone", connection.identity()),
        Err(error) => eprintln!("{error}"),
    }
}

fn call(address: &str) -> Result<()> {
    let connection = Builder::address(address)?.p2p().build()?;
    let call = MethodCall::new(PATH, "Greet")?.interface("org.example.Greeter")?;
    let reply = connection.call(&call, "you")?;
    println!("{}", reply.deserialize::<&str>()?);
    Ok(())
}

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    match &*words.iter().map(String::as_str).collect::<Vec<_>>() {
        ["serve", place] => serve(place),
        ["call", address] => call(address),
        _ => {
            eprintln!("peer-to-peer serve ADDRESS | peer-to-peer call ADDRESS");
            Ok(())
        }
    }
}
