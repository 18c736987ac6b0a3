//! Writes Rust for an object of a running service to standard output.
//!
//!     generate [--system] [--servers] [--blocking] SERVICE PATH

use std::env;
use std::error::Error;

use bus_introspect::{CodegenOptions, Node};
use libbus::blocking::{Connection, Proxy};

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, names): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let known = ["--system", "--servers", "--blocking"];
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let [service, path] = &names[..] else {
        return Err("usage: generate [--system] [--servers] [--blocking] SERVICE PATH".into());
    };
    if let Some(flag) = flags.iter().find(|flag| !known.contains(&flag.as_str())) {
        return Err(format!("there is no option {flag}").into());
    }
    let connection = if has("--system") { Connection::system() } else { Connection::session() }?;
    let interface = "org.freedesktop.DBus.Introspectable";
    let object = Proxy::new(&connection, service.as_str(), path.as_str(), interface)?;
    let xml: String = object.call("Introspect", &())?;
    // Running services keep the rules of the format only roughly.
    let (node, faults) = Node::from_xml_leniently(&xml)?;
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    let mut options = CodegenOptions::of_object(service, path);
    if has("--blocking") {
        options = options.blocking();
    }
    let text = if has("--servers") {
        node.to_rust_servers(&options)?
    } else {
        node.to_rust_proxies(&options)?
    };
    print!("{text}");
    Ok(())
}
