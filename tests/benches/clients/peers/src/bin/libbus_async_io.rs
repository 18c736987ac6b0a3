//! libbus, with futures, in async-io's executor, which watches all sockets of a program.

fn main() -> libbus::Result<()> {
    async_io::block_on(client_peers::libbus_async::run())
}
