//! A bus, and a service on it that has one of everything.

use std::collections::HashMap;
use std::thread::{self, JoinHandle};

use bus_tests::harness::{Bus, Config, Daemon};
use libbus::blocking::{Builder, Connection, SignalEmitter, interface};
use libbus::fdo;
use libbus::wire_types::OwnedVariant;

/// Makes tea.
pub(crate) struct Kettle {
    temperature: i32,
}

/// Boils water.
#[interface(name = "org.example.Kettle")]
impl Kettle {
    /// Makes tea of this kind, for so many minutes.
    fn brew(&self, kind: &str, minutes: u32) -> fdo::Result<String> {
        match kind {
            "coffee" => Err(fdo::Error::NotSupported("this is a kettle".to_owned())),
            kind => Ok(format!("{kind}, {minutes} min")),
        }
    }

    fn set_options(&self, options: HashMap<String, OwnedVariant>) -> u32 {
        options.len() as u32
    }

    fn echo(&self, value: OwnedVariant) -> OwnedVariant {
        value
    }

    fn counts(&self) -> HashMap<u32, String> {
        HashMap::from([(5, "five".to_owned())])
    }

    fn read(&self, file: libbus::wire_types::OwnedFd) -> fdo::Result<String> {
        use std::io::Read as _;
        let mut text = String::new();
        let file: std::os::fd::OwnedFd = file.into();
        let read = std::fs::File::from(file).read_to_string(&mut text);
        read.map_err(|error| fdo::Error::Failed(error.to_string()))?;
        Ok(text)
    }

    fn whistle(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) -> fdo::Result<()> {
        Ok(emitter.boiled(100)?)
    }

    #[zbus(property)]
    fn temperature(&self) -> i32 {
        self.temperature
    }

    #[zbus(property)]
    fn set_temperature(&mut self, temperature: i32) -> fdo::Result<()> {
        if temperature > 100 {
            return Err(fdo::Error::InvalidArgs("water is no hotter".to_owned()));
        }
        self.temperature = temperature;
        Ok(())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn kinds(&self) -> Vec<String> {
        vec!["black".to_owned(), "green\u{1b}[31m".to_owned()]
    }

    #[zbus(property)]
    fn broken(&self) -> fdo::Result<String> {
        Err(fdo::Error::Failed("nobody knows".to_owned()))
    }

    #[zbus(signal)]
    fn boiled(emitter: &SignalEmitter<'_>, temperature: i32) -> libbus::Result<()>;
}

/// The bus and the service on it.
pub(crate) struct Scene {
    pub(crate) bus: Bus,
    service: Connection,
    serving: Option<JoinHandle<()>>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::on(&Config::SESSION)
    }

    pub(crate) fn on(config: &Config) -> Self {
        let bus = Bus::start(&Daemon::ours(), config);
        let builder = Builder::address(bus.addresses().next().unwrap()).unwrap();
        let builder = builder.serve_at("/org/example/Kettle", Kettle { temperature: 20 }).unwrap();
        let builder = builder.serve_at("/org/example/Other", Kettle { temperature: 5 }).unwrap();
        let service = builder.name("org.example.Kettle").unwrap().build().unwrap();
        let connection = service.clone();
        // It ends with the connection.
        let serving = thread::spawn(move || drop(connection.serve()));
        Self { bus, service, serving: Some(serving) }
    }

    pub(crate) fn address(&self) -> String {
        self.bus.addresses().next().unwrap().to_owned()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.service.close();
        if let Some(serving) = self.serving.take() {
            drop(serving.join());
        }
    }
}
