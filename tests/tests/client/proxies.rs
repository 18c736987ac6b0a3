//! Other programs' interfaces as types, against objects that are served by the library.

use std::sync::Mutex;

use bus_tests::harness::Bus;
use futures_lite::future::block_on;
use libbus::{
    Builder, CacheProperties, Connection, DBusError, Error, ProxyBuilder, Result, SignalEmitter,
    Type, fdo, interface, proxy,
};
use serde::{Deserialize, Serialize};

use crate::{address, on_each_bus};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Type)]
struct Track {
    title: String,
    seconds: u32,
}

#[derive(Debug, DBusError)]
#[zbus(prefix = "org.example.Player.Error")]
enum PlayerError {
    #[zbus(error)]
    Bus(Error),
    NoDisc,
    #[zbus(name = "BadTrack")]
    Bad(String),
}

#[derive(Default)]
struct Player {
    volume: Mutex<f64>,
    stopped: Mutex<u32>,
}

/// Plays music.
#[interface(name = "org.example.Player")]
impl Player {
    /// Plays one.
    fn play(&self, track: Track, times: u32) -> std::result::Result<(Track,), PlayerError> {
        match track.title.as_str() {
            "" => Err(PlayerError::Bad("no title".to_owned())),
            "none" => Err(PlayerError::NoDisc),
            _ => Ok((Track { seconds: track.seconds * times, ..track },)),
        }
    }

    fn stop(&self) {
        *self.stopped.lock().unwrap() += 1;
    }

    #[zbus(name = "GetURL")]
    async fn url(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) -> fdo::Result<String> {
        emitter.moved("here", 7).await?;
        Ok("file:///".to_owned())
    }

    fn folder(&self) -> libbus::wire_types::OwnedObjectPath {
        libbus::wire_types::ObjectPath::try_from("/folder").unwrap().into()
    }

    #[zbus(property)]
    fn volume(&self) -> f64 {
        *self.volume.lock().unwrap()
    }

    #[zbus(property)]
    fn set_volume(&self, volume: f64) -> fdo::Result<()> {
        if volume > 1.0 {
            return Err(fdo::Error::InvalidArgs("too loud".to_owned()));
        }
        *self.volume.lock().unwrap() = volume;
        Ok(())
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn stopped(&self) -> u32 {
        *self.stopped.lock().unwrap()
    }

    #[zbus(signal)]
    async fn moved(emitter: &SignalEmitter<'_>, place: &str, position: u32) -> Result<()>;
}

struct Folder;

#[interface(name = "org.example.Folder")]
impl Folder {
    #[zbus(property)]
    fn name(&self) -> &str {
        "music"
    }
}

#[proxy(interface = "org.example.Player", default_path = "/player")]
trait Player {
    fn play(&self, track: &Track, times: u32) -> std::result::Result<(Track,), PlayerError>;
    #[zbus(no_reply)]
    fn stop(&self) -> Result<()>;
    #[zbus(name = "GetURL", no_autostart, allow_interactive_auth)]
    fn url(&self) -> fdo::Result<String>;
    #[zbus(object = "Folder")]
    fn folder(&self);
    #[zbus(property)]
    fn volume(&self) -> Result<f64>;
    #[zbus(property)]
    fn set_volume(&self, volume: f64) -> fdo::Result<()>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn stopped(&self) -> Result<u32>;
    #[zbus(signal)]
    fn moved(&self, place: &str, position: u32) -> Result<()>;
}

#[proxy(interface = "org.example.Folder", assume_defaults = true)]
trait Folder {
    #[zbus(property)]
    fn name(&self) -> Result<String>;
}

mod blocking {
    use super::{PlayerError, Track};

    #[libbus::blocking::proxy(interface = "org.example.Player", default_path = "/player")]
    pub(super) trait Player {
        fn play(&self, track: &Track, times: u32) -> std::result::Result<(Track,), PlayerError>;
        #[zbus(name = "GetURL")]
        fn url(&self) -> libbus::fdo::Result<String>;
        #[zbus(property)]
        fn volume(&self) -> libbus::Result<f64>;
        #[zbus(property)]
        fn set_volume(&self, volume: f64) -> libbus::fdo::Result<()>;
        #[zbus(signal)]
        fn moved(&self, place: &str, position: u32) -> libbus::Result<()>;
    }
}

async fn connect(bus: &Bus) -> Connection {
    Builder::address(&address(bus)).unwrap().build().await.unwrap()
}

/// A player, and its name.
async fn serve(bus: &Bus) -> Connection {
    let builder = Builder::address(&address(bus)).unwrap();
    let builder = builder.serve_at("/player", Player::default()).unwrap();
    builder.serve_at("/folder", Folder).unwrap().build().await.unwrap()
}

fn name_of(connection: &Connection) -> String {
    connection.unique_name().unwrap().to_owned()
}

fn track(title: &str) -> Track {
    Track { title: title.to_owned(), seconds: 2 }
}

#[test]
fn methods_properties_and_signals_are_functions() {
    on_each_bus(|bus| {
        block_on(async {
            let service = serve(bus).await;
            let connection = connect(bus).await;
            let player = PlayerProxy::new(&connection, name_of(&service)).await.unwrap();
            assert_eq!(player.play(&track("one"), 3).await.unwrap().0.seconds, 6);
            let error = player.play(&track(""), 1).await.unwrap_err();
            assert!(matches!(&error, PlayerError::Bad(text) if text == "no title"), "{error}");
            assert_eq!(error.to_string(), "org.example.Player.Error.BadTrack: no title");
            let error = player.play(&track("none"), 1).await.unwrap_err();
            assert!(matches!(error, PlayerError::NoDisc), "{error}");

            let mut moved = player.receive_moved().await.unwrap();
            assert_eq!(player.url().await.unwrap(), "file:///");
            let signal = moved.next().await.unwrap();
            let arguments = signal.args().unwrap();
            assert_eq!((*arguments.place(), arguments.position), ("here", 7));

            player.stop().await.unwrap();
            assert_eq!(player.stopped().await.unwrap(), 1);
            let error = player.set_volume(2.0).await.unwrap_err();
            assert!(matches!(&error, fdo::Error::InvalidArgs(text) if text == "too loud"));
            player.set_volume(0.5).await.unwrap();
            assert!((player.volume().await.unwrap() - 0.5).abs() < f64::EPSILON);
            assert!(
                player.cached_volume().unwrap().is_none(),
                "nothing is kept unless it is asked for"
            );

            let folder = player.folder().await.unwrap();
            assert_eq!(folder.inner().path(), "/folder");
            assert_eq!(folder.name().await.unwrap(), "music");
        });
    });
}

#[test]
fn a_proxy_without_a_place_says_so() {
    on_each_bus(|bus| {
        block_on(async {
            let connection = connect(bus).await;
            let made = ProxyBuilder::<PlayerProxy<'_>>::new(&connection).build().await;
            let text = made.unwrap_err().to_string();
            assert!(text.contains("org.example.Player") && text.contains("destination"), "{text}");
            let made = FolderProxy::builder(&connection).path("folder").build().await;
            assert!(matches!(made, Err(Error::Name(_))));
        });
    });
}

/// What is kept is what the object says: after a reply all changes count that were told before it.
#[test]
fn kept_properties_are_those_of_the_object() {
    on_each_bus(|bus| {
        block_on(async {
            let service = serve(bus).await;
            let connection = connect(bus).await;
            for how in [CacheProperties::Yes, CacheProperties::Lazily] {
                let builder = PlayerProxy::builder(&connection).destination(name_of(&service));
                let player = builder.cache_properties(how).build().await.unwrap();
                let is_kept = player.cached_volume().unwrap().is_some();
                assert_eq!(is_kept, how == CacheProperties::Yes);
                player.volume().await.unwrap();
                for step in 0..100 {
                    let volume = f64::from(step) / 100.0;
                    player.set_volume(volume).await.unwrap();
                    let kept = player.cached_volume().unwrap().unwrap();
                    assert!((kept - volume).abs() < f64::EPSILON, "{kept} is not {volume}");
                }
                // It tells nothing of its changes.
                let before = player.stopped().await.unwrap();
                player.stop().await.unwrap();
                assert_eq!(player.stopped().await.unwrap(), before + 1);
            }
        });
    });
}

/// Another owner of the name is another object.
#[test]
fn kept_properties_go_with_the_owner_of_the_name() {
    on_each_bus(|bus| {
        block_on(async {
            let (first, second) = (serve(bus).await, serve(bus).await);
            first.request_name("org.example.Player").await.unwrap();
            let connection = connect(bus).await;
            let builder = PlayerProxy::builder(&connection).destination("org.example.Player");
            let player = builder.cache_properties(CacheProperties::Yes).build().await.unwrap();
            player.set_volume(0.5).await.unwrap();
            first.release_name("org.example.Player").await.unwrap();
            second.request_name("org.example.Player").await.unwrap();
            // The bus has told of both before it answers.
            connection.bus().call::<_, String>("GetId", &()).await.unwrap();
            assert_eq!(player.cached_volume().unwrap(), None);
            assert!(player.volume().await.unwrap().abs() < f64::EPSILON);
        });
    });
}

#[test]
fn changes_of_a_property_come_one_after_the_other() {
    on_each_bus(|bus| {
        block_on(async {
            let service = serve(bus).await;
            let connection = connect(bus).await;
            let player = PlayerProxy::new(&connection, name_of(&service)).await.unwrap();
            let mut changes = player.receive_volume_changed().await;
            player.set_volume(0.25).await.unwrap();
            player.set_volume(0.5).await.unwrap();
            for volume in [0.25, 0.5] {
                let change = changes.next().await.unwrap();
                assert_eq!(change.name(), "Volume");
                assert!((change.get().await.unwrap() - volume).abs() < f64::EPSILON);
            }
            // One of which only that it has changed is told.
            let served = service.object_server().interface::<_, Player>("/player").await.unwrap();
            served.get().volume_invalidated(served.signal_emitter()).await.unwrap();
            let change = changes.next().await.unwrap();
            assert!((change.get().await.unwrap() - 0.5).abs() < f64::EPSILON);
        });
    });
}

#[test]
fn blocking_proxies_are_the_same() {
    on_each_bus(|bus| {
        let service = block_on(serve(bus));
        let connection = crate::connect(bus);
        let builder = blocking::PlayerProxy::builder(&connection).destination(name_of(&service));
        let player = builder.cache_properties(CacheProperties::Yes).build().unwrap();
        assert_eq!(player.play(&track("one"), 3).unwrap().0.seconds, 6);
        let mut moved = player.receive_moved().unwrap();
        let mut changes = player.receive_volume_changed();
        assert_eq!(player.url().unwrap(), "file:///");
        assert_eq!(moved.next().unwrap().args().unwrap().position, 7);
        player.set_volume(0.5).unwrap();
        assert!((player.volume().unwrap() - 0.5).abs() < f64::EPSILON);
        assert!((player.cached_volume().unwrap().unwrap() - 0.5).abs() < f64::EPSILON);
        assert!((changes.next().unwrap().get().unwrap() - 0.5).abs() < f64::EPSILON);
    });
}
