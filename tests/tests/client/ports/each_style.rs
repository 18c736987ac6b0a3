#[derive(Default)]
struct Shelf {
    size: u32,
    stopped: bool,
}

/// Has books.
#[interface(
    name = "org.example.Shelf",
    proxy(
        default_path = "/org/example/Shelf",
        default_service = "org.example.Shelf",
        visibility = "pub(super)",
    )
)]
impl Shelf {
    /// The book of this title.
    #[zbus(proxy(object = "Book", async_object = "BookProxy"))]
    fn find(&self, title: &str) -> fdo::Result<OwnedObjectPath> {
        match title {
            "none" => Err(fdo::Error::Failed("no such book".to_owned())),
            _ => Ok(path("/book")),
        }
    }

    #[zbus(proxy(object = "Book", object_vec))]
    fn all(&self) -> Vec<OwnedObjectPath> {
        vec![path("/book"), path("/book")]
    }

    #[zbus(name = "WHO", proxy(no_autostart, allow_interactive_auth))]
    fn who(&self, #[zbus(header)] header: libbus::wire::Header<'_>, more: String) -> String {
        format!("{}{more}", header.sender.unwrap())
    }

    #[zbus(proxy(no_reply))]
    fn stop(&mut self) {
        self.stopped = true;
    }

    fn is_stopped(&self) -> bool {
        self.stopped
    }

    #[zbus(property)]
    fn size(&self) -> u32 {
        self.size
    }

    #[zbus(property)]
    fn set_size(&mut self, size: u32) -> fdo::Result<()> {
        self.size = size;
        Ok(())
    }

    /// Lent here, and owned by who asks.
    #[zbus(property(emits_changed_signal = "const"))]
    fn owner(&self) -> &str {
        "Ann"
    }

    #[zbus(property, proxy(object = "Book"))]
    fn best(&self) -> fdo::Result<OwnedObjectPath> {
        Ok(path("/book"))
    }

    #[cfg(any())]
    fn never(&self) {}
}

struct Book;

#[interface(name = "org.example.Book", proxy)]
impl Book {
    fn title(&self) -> String {
        "Emma".to_owned()
    }
}

/// Of which only the proxy has another name.
struct Other;

#[interface(
    name = "org.example.Other",
    proxy(assume_defaults = true, async_name = "Another", visibility = "")
)]
impl Other {
    fn echo(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// As another program declares it.
mod elsewhere {
    use super::*;

    #[proxy(
        interface = "org.example.Shelf",
        default_service = "org.example.Shelf",
        default_path = "/org/example/Shelf"
    )]
    pub(super) trait Elsewhere {
        #[zbus(object = "Whatever", async_object = "super::BookProxy")]
        fn find(&self, title: &str) -> libbus::Result<OwnedObjectPath>;
    }
}

macro_rules! served {
    ($bus:expr) => {{
        let builder = Builder::address(&address($bus)).unwrap().name("org.example.Shelf").unwrap();
        let builder = builder.serve_at(PATH, Shelf::default()).unwrap();
        let builder = builder.serve_at(PATH, Mover).unwrap();
        let builder = builder.serve_at("/org/example/Other", Other).unwrap();
        let builder = builder.name("org.example.Other").unwrap();
        let service = wait!(builder.serve_at("/book", Book).unwrap().build()).unwrap();
        serve(&service);
        service
    }};
}

macro_rules! connect {
    ($bus:expr) => {
        wait!(Builder::address(&address($bus)).unwrap().build()).unwrap()
    };
}

#[test]
fn a_proxy_comes_with_what_is_served() {
    on_each_bus(|bus| {
        run!({
            let (service, client) = (served!(bus), connect!(bus));
            let shelf = wait!(ShelfProxy::new(&client)).unwrap();
            let book = wait!(shelf.find("Emma")).unwrap();
            assert_eq!(wait!(book.title()).unwrap(), "Emma");
            let refused = wait!(shelf.find("none"));
            assert!(matches!(refused, Err(Error::Method(_))), "{refused:?}");
            assert_eq!(wait!(shelf.all()).unwrap().len(), 2);
            assert_eq!(wait!(wait!(shelf.best()).unwrap().title()).unwrap(), "Emma");
            let who = wait!(shelf.who("!".to_owned())).unwrap();
            assert_eq!(who, format!("{}!", client.unique_name().unwrap()));
            wait!(shelf.stop()).unwrap();
            assert!(wait!(shelf.is_stopped()).unwrap());
            let owner: String = wait!(shelf.owner()).unwrap();
            assert_eq!(owner, "Ann");
            assert_eq!(wait!(shelf.owner::<String>()).unwrap(), "Ann");
            assert_eq!(shelf.cached_owner::<String>().unwrap(), None);

            let mut sizes = wait!(shelf.receive_size_changed());
            wait!(shelf.set_size(3)).unwrap();
            let change = wait!(sizes.next()).unwrap();
            assert_eq!(wait!(change.get()).unwrap(), 3);
            assert_eq!(wait!(shelf.size()).unwrap(), 3);

            let other = wait!(Another::new(&client)).unwrap();
            assert_eq!(wait!(other.echo("a")).unwrap(), "a");
            let elsewhere = wait!(elsewhere::ElsewhereProxy::new(&client)).unwrap();
            assert_eq!(wait!(wait!(elsewhere.find("")).unwrap().title()).unwrap(), "Emma");
            service.close();
        });
    });
}

#[test]
fn signals_are_received_that_have_these_arguments() {
    on_each_bus(|bus| {
        run!({
            let (service, client) = (served!(bus), connect!(bus));
            let mover = wait!(MoverProxy::new(&client, "org.example.Shelf", PATH)).unwrap();
            let mut all = wait!(mover.receive_moved_with_args(&[])).unwrap();
            let mut some = wait!(mover.receive_moved_with_args(&[(2, "here"), (0, "Emma")])).unwrap();
            for (number, (title, place)) in
                [("Emma", "there"), ("Persuasion", "here"), ("Emma", "here")].iter().enumerate()
            {
                let number = u32::try_from(number).unwrap();
                let emitter = SignalEmitter::new(&service, PATH).unwrap();
                wait!(Mover::moved(&emitter, title, number, place)).unwrap();
            }
            assert_eq!(wait!(some.next()).unwrap().args().unwrap().number, 2);
            for number in 0..3 {
                assert_eq!(wait!(all.next()).unwrap().args().unwrap().number, number);
            }
            for args in [&[(64, "a")][..], &[(0, "a"), (0, "b")]] {
                let refused = wait!(mover.receive_moved_with_args(args));
                assert!(matches!(refused, Err(Error::MatchRule(_))), "{refused:?}");
            }
            service.close();
        });
    });
}

/// What cannot be begun is over, and says why.
#[test]
fn a_stream_of_changes_that_cannot_be_begun_says_so() {
    on_each_bus(|bus| {
        run!({
            let client = connect!(bus);
            let shelf = wait!(ShelfProxy::new(&client)).unwrap();
            client.close();
            let mut sizes = wait!(shelf.receive_size_changed());
            assert!(wait!(sizes.next()).is_none());
            let error = wait!(sizes.next_change()).unwrap_err();
            assert!(matches!(error, Error::Closed), "{error}");
            let error = sizes.checked().unwrap_err();
            assert!(matches!(error, Error::Closed), "{error}");
        });
    });
}
