//! libbus, with futures, in an executor that knows nothing of sockets: another thread watches them.

fn main() -> libbus::Result<()> {
    futures_lite::future::block_on(client_peers::libbus_async::run())
}
