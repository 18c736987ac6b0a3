//! What is served, written once: the two styles differ in what waits.

use std::borrow::Cow;

/// An error of a program's own.
pub(super) struct Refused;

impl libbus::DBusError for Refused {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("org.example.Error.Refused")
    }

    fn description(&self) -> Cow<'_, str> {
        Cow::Borrowed("not today")
    }
}

impl From<libbus::Error> for Refused {
    fn from(_: libbus::Error) -> Self {
        Self
    }
}

macro_rules! interfaces {
    ([$($async:tt)?], [$($wait:tt)*]) => {
        use std::collections::HashMap;
        use std::fs::File;
        use std::io::{Read as _, Write as _};
        use std::os::fd::OwnedFd;
        use std::sync::Mutex;
        use std::sync::atomic::{AtomicU32, Ordering};

        use libbus::fdo;
        use libbus::wire::Header;

        use super::Refused;
        use crate::serving::{METHODS, PATH};

        /// One of each at `path`.
        pub(in crate::serving) fn serve_at(path: &str, builder: Builder) -> Builder {
            let builder = builder.serve_at(path, Methods::default()).unwrap();
            let builder = builder.serve_at(path, Counter::default()).unwrap();
            builder.serve_at(path, Properties::default()).unwrap()
        }

        #[derive(Default)]
        pub(in crate::serving) struct Methods {
            notes: Mutex<Vec<String>>,
        }

        /// What methods can be.
        #[interface(name = "org.example.Methods")]
        impl Methods {
            /// Answers what it is told.
            fn echo(&self, text: &str) -> String {
                text.to_owned()
            }

            $($async)? fn add(&self, a: i32, b: i32) -> i32 {
                a.wrapping_add(b)
            }

            fn nothing(&self) {}

            #[zbus(out_args("quotient", "rest"))]
            fn divide(&self, dividend: i32, divisor: i32) -> fdo::Result<(i32, i32)> {
                match divisor {
                    0 => Err(fdo::Error::InvalidArgs("nothing is divided by 0".to_owned())),
                    _ => Ok((dividend / divisor, dividend % divisor)),
                }
            }

            fn refuse(&self) -> Result<(), Refused> {
                Err(Refused)
            }

            $($async)? fn refuse_later(&self) -> Result<u32, Refused> {
                Err(Refused)
            }

            fn structure(&self, of: (u32, &str)) -> ((String, u32),) {
                ((of.1.to_owned(), of.0),)
            }

            fn sum(&self, bytes: &[u8]) -> u64 {
                bytes.iter().copied().map(u64::from).sum()
            }

            fn lengths(&self, of: HashMap<String, Vec<u32>>) -> HashMap<String, u32> {
                of.into_iter().map(|(key, value)| (key, value.len() as u32)).collect()
            }

            #[zbus(name = "call_me_this")]
            fn other_name(&self) -> &str {
                "that"
            }

            #[deprecated]
            fn old(&self) {}

            /// What it learns of a call, without any argument of the caller.
            fn know(
                &self,
                #[zbus(header)] header: Header<'_>,
                #[zbus(connection)] connection: &Connection,
                #[zbus(object_server)] server: &ObjectServer,
                #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
            ) -> Vec<String> {
                let path = header.path.unwrap().as_str();
                let of_server = server.connection().unique_name();
                assert_eq!(of_server, connection.unique_name());
                [header.sender.unwrap().as_str(), path, emitter.path(), of_server.unwrap()]
                    .map(ToOwned::to_owned)
                    .to_vec()
            }

            $($async)? fn tell(
                &self,
                text: &str,
                #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
            ) -> fdo::Result<()> {
                emitter.told(text, 7)$($wait)*?;
                Ok(())
            }

            /// To one recipient alone.
            $($async)? fn tell_one(
                &self,
                whom: &str,
                #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
            ) -> fdo::Result<()> {
                let emitter = emitter.set_destination(whom)?;
                Self::told(&emitter, whom, 8)$($wait)*?;
                Ok(())
            }

            /// Something was told.
            #[zbus(signal)]
            $($async)? fn told(emitter: &SignalEmitter<'_>, text: &str, number: u32) -> libbus::Result<()>;

            fn note(&self, text: &str) {
                self.notes.lock().unwrap().push(text.to_owned());
            }

            fn notes(&self) -> Vec<String> {
                self.notes.lock().unwrap().clone()
            }

            /// Asks another program, and answers what that says.
            $($async)? fn ask(
                &self,
                whom: &str,
                #[zbus(connection)] connection: &Connection,
            ) -> fdo::Result<String> {
                self.note("asks");
                let proxy = Proxy::new(connection, whom, PATH, METHODS)?.timeout(None);
                let answer = proxy.call("Answer", &())$($wait)*?;
                self.note("has asked");
                Ok(answer)
            }

            /// Asks another program, or this one, to echo.
            $($async)? fn relay(
                &self,
                whom: &str,
                text: &str,
                #[zbus(connection)] connection: &Connection,
            ) -> fdo::Result<String> {
                let proxy = Proxy::new(connection, whom, PATH, METHODS)?;
                Ok(proxy.call("Echo", text)$($wait)*?)
            }

            /// Asks another program to ask its caller, which is this one, to echo.
            $($async)? fn relay_back(
                &self,
                whom: &str,
                text: &str,
                #[zbus(connection)] connection: &Connection,
            ) -> fdo::Result<String> {
                let own = connection.unique_name().unwrap();
                let proxy = Proxy::new(connection, whom, PATH, METHODS)?;
                Ok(proxy.call("Relay", &(own, text))$($wait)*?)
            }

            fn read_fd(&self, fd: zbus::OwnedFd) -> fdo::Result<String> {
                let mut text = String::new();
                File::from(OwnedFd::from(fd)).read_to_string(&mut text)?;
                Ok(text)
            }

            fn open_fd(&self, text: &str) -> fdo::Result<zbus::OwnedFd> {
                let (reader, mut writer) = std::io::pipe()?;
                writer.write_all(text.as_bytes())?;
                Ok(OwnedFd::from(reader).into())
            }

            /// Serves another of these.
            $($async)? fn begin(
                &self,
                path: &str,
                #[zbus(object_server)] server: &ObjectServer,
            ) -> fdo::Result<bool> {
                Ok(server.at(path, Counter::default())$($wait)*?)
            }

            $($async)? fn end(
                &self,
                path: &str,
                #[zbus(object_server)] server: &ObjectServer,
            ) -> fdo::Result<bool> {
                Ok(server.remove::<Counter, _>(path)$($wait)*?)
            }
        }

        #[derive(Default)]
        pub(in crate::serving) struct Counter {
            pub(in crate::serving) count: u32,
        }

        #[interface(name = "org.example.Counter")]
        impl Counter {
            fn increase(&mut self, by: u32) -> u32 {
                self.count += by;
                self.count
            }

            $($async)? fn reset(&mut self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) -> fdo::Result<()> {
                self.count = 0;
                self.count_changed(&emitter)$($wait)*?;
                Ok(())
            }

            /// Asks another program while nobody else may use it.
            $($async)? fn hold(
                &mut self,
                whom: &str,
                #[zbus(connection)] connection: &Connection,
            ) -> fdo::Result<String> {
                let proxy = Proxy::new(connection, whom, PATH, METHODS)?.timeout(None);
                Ok(proxy.call("Answer", &())$($wait)*?)
            }

            #[zbus(property)]
            fn count(&self) -> u32 {
                self.count
            }
        }

        pub(in crate::serving) struct Properties {
            volume: AtomicU32,
            label: Mutex<String>,
            secret: Mutex<String>,
        }

        impl Default for Properties {
            fn default() -> Self {
                let text = |text: &str| Mutex::new(text.to_owned());
                Self { volume: AtomicU32::new(5), label: text("none"), secret: text("") }
            }
        }

        #[interface(name = "org.example.Properties")]
        impl Properties {
            /// How loud it is.
            #[zbus(property)]
            fn volume(&self) -> u32 {
                self.volume.load(Ordering::Relaxed)
            }

            #[zbus(property)]
            fn set_volume(&self, volume: u32) -> fdo::Result<()> {
                if volume > 11 {
                    return Err(fdo::Error::InvalidArgs("too loud".to_owned()));
                }
                self.volume.store(volume, Ordering::Relaxed);
                Ok(())
            }

            #[zbus(property(emits_changed_signal = "invalidates"))]
            fn label(&self) -> String {
                self.label.lock().unwrap().clone()
            }

            #[zbus(property)]
            fn set_label(&self, label: &str) {
                label.clone_into(&mut self.label.lock().unwrap());
            }

            #[zbus(property(emits_changed_signal = "const"))]
            fn made(&self) -> (u16, String) {
                (1999, "here".to_owned())
            }

            #[zbus(property(emits_changed_signal = "false"))]
            $($async)? fn quiet(&self) -> bool {
                self.volume() == 0
            }

            #[zbus(property)]
            fn set_quiet(&self, quiet: bool) {
                self.volume.store(if quiet { 0 } else { 5 }, Ordering::Relaxed);
            }

            #[zbus(property)]
            fn set_secret(&self, secret: String) {
                *self.secret.lock().unwrap() = secret;
            }

            #[zbus(property)]
            fn failing(&self) -> fdo::Result<u32> {
                Err(fdo::Error::Failed("it is never known".to_owned()))
            }

            fn reveal(&self) -> String {
                self.secret.lock().unwrap().clone()
            }
        }

        /// Answers with the path at which it is called.
        pub(in crate::serving) struct Everywhere;

        #[interface(name = "org.example.Everywhere")]
        impl Everywhere {
            fn where_is_it(&self, #[zbus(header)] header: Header<'_>) -> String {
                header.path.unwrap().as_str().to_owned()
            }

            #[zbus(property)]
            fn depth(&self) -> u32 {
                1
            }
        }
    };
}

pub(super) mod asynchronous {
    use libbus::{Builder, Connection, ObjectServer, Proxy, SignalEmitter, interface};

    interfaces!([async], [.await]);
}

pub(super) mod blocking {
    use libbus::blocking::{Builder, Connection, ObjectServer, Proxy, SignalEmitter, interface};

    interfaces!([], []);
}
