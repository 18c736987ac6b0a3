//! A service that takes pictures of many bytes and gives them back, and its client, with futures.
//!
//! `cargo run --example blob -- serve`, and beside it `cargo run --example blob`.

use std::io::{self, Read as _};

use futures_lite::future::{block_on, pending};
use libbus::{Blob, BlobRef, Builder, Connection, Result, fdo, interface, proxy};

/// More than this no picture has, in bytes, whoever sends it.
const PICTURE_SIZE_MAX: u64 = 64 << 20;

struct Album {
    pictures: Vec<Vec<u8>>,
}

#[interface(name = "org.example.Album")]
impl Album {
    /// Keeps a picture and says which number it has.
    fn add(&mut self, picture: BlobRef<'_>) -> fdo::Result<u32> {
        // The sender may have sent anything in its place: then it hears what was wrong with it.
        self.pictures.push(picture.bytes(PICTURE_SIZE_MAX)?.into_owned());
        Ok(self.pictures.len() as u32 - 1)
    }

    /// A picture that was kept.
    fn get(&self, number: u32) -> fdo::Result<Blob> {
        let missing = || fdo::Error::InvalidArgs(format!("there is no picture {number}"));
        let picture = self.pictures.get(number as usize).ok_or_else(missing)?;
        Ok(Blob::new(picture.as_slice())?)
    }
}

#[proxy(interface = "org.example.Album", assume_defaults = true)]
trait Album {
    fn add(&self, picture: &Blob) -> Result<u32>;
    fn get(&self, number: u32) -> Result<Blob>;
}

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => block_on(serve()),
        _ => block_on(ask()),
    }
}

async fn serve() -> Result<()> {
    let builder = Builder::session()?.serve_at("/org/example/Album", Album { pictures: vec![] })?;
    let _connection = builder.name("org.example.Album")?.build().await?;
    pending().await
}

async fn ask() -> Result<()> {
    let album = AlbumProxy::new(&Connection::session().await?).await?;
    for size in [300, 40 << 20] {
        let picture: Vec<u8> = (0..size).map(|index| index as u8).collect();
        let number = album.add(&Blob::new(picture)?).await?;
        let back = album.get(number).await?;
        let way = if back.is_file() { "as a file" } else { "in the message" };
        let mut reader = back.reader(PICTURE_SIZE_MAX)?;
        let mut first = [0; 4];
        reader.read_exact(&mut first)?;
        let rest = io::copy(&mut reader, &mut io::sink())?;
        println!("{} bytes came {way}, beginning with {first:?}.", rest + 4);
    }
    let (reader, _writer) = io::pipe()?;
    let refused = album.add(&Blob::of_file(reader)).await;
    println!("A pipe: {}", refused.map_or_else(|error| error.to_string(), |_| "taken".to_owned()));
    Ok(())
}
