//! libbus, with futures, in its own executor, as zbus is in its own.

fn main() -> libbus::Result<()> {
    libbus::block_on(client_peers::libbus_async::run())
}
