//! A program that calls, for tests that count what that costs it: on the bus whose address is its first
//! argument, as often as its second one says, with futures if there is a third. Between what is to be counted it asks for its parent's pid,
//! which nothing else does.

use libbus::blocking::Builder;
use rustix::process::getppid;

fn main() -> libbus::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_default();
    let count = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(0);
    if arguments.next().is_some() {
        return libbus::block_on(call_with_futures(&address, count));
    }
    let _ = getppid();
    let bus = Builder::address(&address)?.build()?.bus();
    let _ = getppid();
    for _ in 0..count {
        bus.call::<_, String>("GetNameOwner", "org.freedesktop.DBus")?;
    }
    let _ = getppid();
    Ok(())
}

async fn call_with_futures(address: &str, count: u64) -> libbus::Result<()> {
    let _ = getppid();
    let bus = libbus::Builder::address(address)?.build().await?.bus();
    let _ = getppid();
    for _ in 0..count {
        bus.call::<_, String>("GetNameOwner", "org.freedesktop.DBus").await?;
    }
    let _ = getppid();
    Ok(())
}
