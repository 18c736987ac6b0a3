//! Values of many bytes: small, large, hostile, and where no descriptors pass.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::thread;

use bus_tests::harness::{Bus, Config, Listen};
use futures_lite::future::block_on;
use libbus::{Blob, BlobError, BlobRef, Builder, Error, Result, blocking, fdo, standard_error};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::{CONFIG, address, daemons, on_each_bus};

const PATH: &str = "/a";
const NAME: &str = "org.example.Keeper";
const SIZE_MAX: u64 = 64 << 20;
const LARGE: usize = 40 << 20;

#[derive(Default)]
struct Keeper(Vec<u8>);

#[libbus::interface(name = "org.example.Keeper")]
impl Keeper {
    /// Answers whether it was a file.
    fn keep(&mut self, blob: BlobRef<'_>) -> fdo::Result<bool> {
        self.0 = blob.bytes(SIZE_MAX)?.into_owned();
        Ok(blob.is_file())
    }

    fn kept(&self) -> fdo::Result<Blob> {
        Ok(Blob::new(self.0.as_slice())?)
    }

    #[zbus(property)]
    fn kept_now(&self) -> fdo::Result<Blob> {
        self.kept()
    }

    #[zbus(signal)]
    async fn lost(emitter: &libbus::SignalEmitter<'_>, blob: &Blob) -> Result<()>;
}

#[libbus::proxy(interface = "org.example.Keeper", default_path = "/a")]
trait Keeper {
    fn keep(&self, blob: &Blob) -> Result<bool>;
    fn kept(&self) -> Result<Blob>;
    #[zbus(property)]
    fn kept_now(&self) -> Result<Blob>;
    #[zbus(signal)]
    fn lost(&self, blob: Blob) -> Result<()>;
}

#[derive(Default)]
struct BlockingKeeper(Vec<u8>);

#[blocking::interface(name = "org.example.Keeper")]
impl BlockingKeeper {
    fn keep(&mut self, blob: BlobRef<'_>) -> fdo::Result<bool> {
        self.0 = blob.bytes(SIZE_MAX)?.into_owned();
        Ok(blob.is_file())
    }

    fn kept(&self) -> fdo::Result<Blob> {
        Ok(Blob::new(self.0.as_slice())?)
    }

    #[zbus(property)]
    fn kept_now(&self) -> fdo::Result<Blob> {
        self.kept()
    }
}

#[blocking::proxy(interface = "org.example.Keeper", default_path = "/a")]
trait BlockingKeeper {
    fn keep(&self, blob: &Blob) -> Result<bool>;
    fn kept(&self) -> Result<Blob>;
    #[zbus(property)]
    fn kept_now(&self) -> Result<Blob>;
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index / 3) as u8).collect()
}

/// A file in memory with this content and these seals, made by somebody who does not use the library.
fn memory_file(content: &[u8], seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"test", flags).unwrap());
    file.write_all(content).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file.into()
}

#[test]
fn small_and_large_ones_go_both_ways_with_futures() {
    on_each_bus(|bus| {
        block_on(async {
            let builder = Builder::address(&address(bus)).unwrap().name(NAME).unwrap();
            let builder = builder.serve_at(PATH, Keeper::default()).unwrap();
            let service = builder.build().await.unwrap();
            let client = Builder::address(&address(bus)).unwrap().build().await.unwrap();
            let keeper = KeeperProxy::new(&client, NAME).await.unwrap();
            for size in [0, 1, Blob::INLINE_SIZE_MAX, Blob::INLINE_SIZE_MAX + 1, LARGE] {
                let bytes = pattern(size);
                let is_file = size > Blob::INLINE_SIZE_MAX;
                let blob = Blob::new(bytes.as_slice()).unwrap();
                assert_eq!(keeper.keep(&blob).await.unwrap(), is_file);
                for back in [keeper.kept().await.unwrap(), keeper.kept_now().await.unwrap()] {
                    assert_eq!(back.is_file(), is_file);
                    assert!(back.into_bytes(SIZE_MAX).unwrap() == bytes);
                }
            }
            let mut lost = keeper.receive_lost().await.unwrap();
            let served = service.object_server().interface::<_, Keeper>(PATH).await.unwrap();
            let blob = Blob::new(pattern(LARGE)).unwrap();
            served.signal_emitter().lost(&blob).await.unwrap();
            let signal = lost.next().await.unwrap();
            assert!(signal.args().unwrap().blob.bytes(SIZE_MAX).unwrap() == pattern(LARGE));
        });
    });
}

#[test]
fn small_and_large_ones_go_both_ways_without_futures() {
    on_each_bus(|bus| {
        with_service(bus, |keeper| {
            for size in [0, 1, Blob::INLINE_SIZE_MAX + 1, LARGE] {
                let bytes = pattern(size);
                let is_file = size > Blob::INLINE_SIZE_MAX;
                assert_eq!(keeper.keep(&Blob::new(bytes.as_slice()).unwrap()).unwrap(), is_file);
                for back in [keeper.kept().unwrap(), keeper.kept_now().unwrap()] {
                    assert!(back.bytes(SIZE_MAX).unwrap() == bytes);
                }
            }
        });
    });
}

/// Runs a blocking service in another thread meanwhile.
fn with_service(bus: &Bus, test: impl Fn(&BlockingKeeperProxy<'_>)) {
    let builder = blocking::Builder::address(&address(bus)).unwrap().name(NAME).unwrap();
    let builder = builder.serve_at(PATH, BlockingKeeper::default()).unwrap();
    let service = builder.build().unwrap();
    let serving = service.clone();
    let thread = thread::spawn(move || serving.serve());
    let client = crate::connect(bus);
    test(&BlockingKeeperProxy::new(&client, NAME).unwrap());
    service.close();
    assert!(thread.join().unwrap().is_err());
}

#[test]
fn hostile_ones_are_refused_and_the_service_goes_on() {
    on_each_bus(|bus| {
        with_service(bus, |keeper| {
            let (reader, _writer) = std::io::pipe().unwrap();
            let sealed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
            let huge = memory_file(b"", SealFlags::empty());
            rustix::fs::ftruncate(&huge, 1 << 45).unwrap();
            fcntl_add_seals(&huge, sealed).unwrap();
            let shrinking = memory_file(b"what is not there any more", SealFlags::GROW);
            let (invalid, limit) = (standard_error::INVALID_ARGS, standard_error::LIMITS_EXCEEDED);
            let cases: [(OwnedFd, _, &str); 5] = [
                (reader.into(), invalid, "a pipe"),
                (memory_file(b"a", SealFlags::empty()), invalid, "F_SEAL_WRITE"),
                (shrinking.try_clone().unwrap(), invalid, "F_SEAL_SHRINK"),
                (File::open("/proc/self/exe").unwrap().into(), invalid, "cannot be sealed"),
                (huge, limit, "67108864 are taken"),
            ];
            for (file, name, text) in cases {
                let error = keeper.keep(&Blob::of_file(file)).unwrap_err();
                assert!(error.is_method_error(name.as_str()), "{error}");
                assert!(error.to_string().contains(text), "{error}");
            }
            // What lacks a seal and is shortened while it is on its way.
            rustix::fs::ftruncate(&shrinking, 0).unwrap();
            assert!(keeper.keep(&Blob::of_file(shrinking)).is_err());
            // A sealed one of somebody else is as good as ours.
            assert!(keeper.keep(&Blob::of_file(memory_file(b"mine", sealed))).unwrap());
            assert_eq!(keeper.kept().unwrap().bytes(4).unwrap().as_ref(), b"mine");
        });
    });
}

/// What a service answers is not trusted either.
#[test]
fn a_client_checks_what_it_gets() {
    on_each_bus(|bus| {
        let sender = crate::connect(bus);
        let receiver = crate::connect(bus);
        let mut signals = receiver.receive_signals("interface='org.example.I'").unwrap();
        let blob = Blob::of_file(memory_file(b"abc", SealFlags::SHRINK));
        sender.emit_signal(None, "/a", "org.example.I", "S", &blob).unwrap();
        let signal = signals.next_signal().unwrap();
        let blob = signal.deserialize::<BlobRef<'_>>().unwrap();
        assert!(matches!(blob.bytes(3), Err(BlobError::Unsealed(_))));
        assert_eq!(blob.copy_unsealed(3).unwrap(), b"abc");
        assert!(signal.deserialize::<&str>().is_err());
    });
}

#[test]
fn without_descriptors_all_that_fits_travels_in_the_body() {
    let config = Config {
        listen: Listen::Addresses(&["tcp:host=127.0.0.1,port=0,family=ipv4"]),
        auth: &["ANONYMOUS"],
        elements: "<allow_anonymous/>",
        ..CONFIG
    };
    for daemon in daemons() {
        let bus = Bus::start(&daemon, &config);
        with_service(&bus, |keeper| {
            // Buses take messages of 32 MiB if nothing else is said.
            let bytes = pattern(LARGE / 2);
            assert!(!keeper.keep(&Blob::new(bytes.as_slice()).unwrap()).unwrap());
            let back = keeper.kept().unwrap();
            assert!(!back.is_file() && back.bytes(SIZE_MAX).unwrap() == bytes);
            assert!(keeper.kept_now().unwrap().bytes(SIZE_MAX).unwrap() == bytes);
            let too_large = Blob::new(vec![0; (64 << 20) + 1]).unwrap();
            let error = keeper.keep(&too_large).unwrap_err();
            assert!(matches!(error, Error::Type(_)), "{error}");
            assert!(error.to_string().contains("passes no file descriptors"), "{error}");
        });
    }
}
