//! A client with futures that watches a property of the service, and ends when its signal comes.

use futures_lite::future::{block_on, or};
use libbus::{Connection, Result, proxy};

#[proxy(interface = "org.example.Counter", assume_defaults = true)]
trait Counter {
    fn add(&self, amount: u32) -> Result<u32>;
    #[zbus(property)]
    fn count(&self) -> Result<u32>;
    #[zbus(signal)]
    fn full(&self, count: u32) -> Result<()>;
}

fn main() -> Result<()> {
    block_on(async {
        let connection = Connection::session().await?;
        let counter = CounterProxy::new(&connection).await?;
        let mut changes = counter.receive_count_changed().await;
        let mut full = counter.receive_full().await?;
        println!("The count is {}.", counter.count().await?);
        counter.add(4).await?;
        counter.add(6).await?;
        let watch = async {
            while let Some(change) = changes.next().await {
                println!("The count is {} now.", change.get().await?);
            }
            Ok(())
        };
        let end = async {
            if let Some(signal) = full.next().await {
                println!("It is full with {}.", signal.args()?.count);
            }
            Ok(())
        };
        or(watch, end).await
    })
}
