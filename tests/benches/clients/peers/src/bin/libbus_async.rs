//! libbus, with futures, in an executor that watches the sockets by itself meanwhile, as that of zbus does.

fn main() -> libbus::Result<()> {
    async_io::block_on(client_peers::libbus_async::run())
}
