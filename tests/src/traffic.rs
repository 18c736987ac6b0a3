//! What is said on the bus of a desktop, made up: the same messages for the same seed, as many as are wanted.
//!
//! For tests and measurements of what reads captures. Times are those of a Sunday morning with a busy desktop: calls
//! of a few services whose answers take as long as they do, errors among them, calls that nobody answers, signals.

use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::time::Duration;

use libbus::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{BodyWriter, Flags, Header, MessageType, Signature, write_message};

/// When a message was sent, and its bytes.
pub type Sent = (Duration, Vec<u8>);

const BEGIN: Duration = Duration::from_secs(1_790_000_000);
const BUS: &str = "org.freedesktop.DBus";

/// One that owns a name and answers.
struct Service {
    unique: &'static str,
    name: &'static str,
}

/// A method or signal of a service.
struct Member {
    service: usize,
    path: &'static str,
    interface: &'static str,
    member: &'static str,
    /// How often it is called, beside the others.
    weight: u64,
    /// Microseconds that the answer usually takes; none is a signal.
    takes: Option<u64>,
    /// Of a thousand calls so many end in an error.
    errors: u64,
}

const SERVICES: [Service; 9] = [
    Service { unique: ":1.2", name: "org.freedesktop.login1" },
    Service { unique: ":1.4", name: "org.freedesktop.NetworkManager" },
    Service { unique: ":1.7", name: "org.bluez" },
    Service { unique: ":1.11", name: "org.freedesktop.UPower" },
    Service { unique: ":1.15", name: "org.freedesktop.Notifications" },
    Service { unique: ":1.18", name: "org.gnome.Mutter.DisplayConfig" },
    Service { unique: ":1.21", name: "ca.desrt.dconf" },
    Service { unique: ":1.26", name: "org.mpris.MediaPlayer2.player" },
    Service { unique: ":1.30", name: "org.freedesktop.portal.Desktop" },
];

const CALLERS: [&str; 7] = [":1.15", ":1.40", ":1.41", ":1.44", ":1.52", ":1.60", ":1.77"];

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

#[rustfmt::skip]
const MEMBERS: [Member; 16] = [
    Member { service: 1, path: "/org/freedesktop/NetworkManager", interface: PROPERTIES, member: "GetAll", weight: 9, takes: Some(900), errors: 0 },
    Member { service: 1, path: "/org/freedesktop/NetworkManager/Devices/3", interface: "org.freedesktop.NetworkManager.Device.Wireless", member: "RequestScan", weight: 2, takes: Some(85_000), errors: 160 },
    Member { service: 0, path: "/org/freedesktop/login1", interface: "org.freedesktop.login1.Manager", member: "ListSessions", weight: 4, takes: Some(700), errors: 0 },
    Member { service: 0, path: "/org/freedesktop/login1", interface: "org.freedesktop.login1.Manager", member: "Inhibit", weight: 2, takes: Some(1_900), errors: 30 },
    Member { service: 2, path: "/org/bluez/hci0", interface: "org.bluez.Adapter1", member: "StartDiscovery", weight: 1, takes: Some(40_000), errors: 220 },
    Member { service: 2, path: "/", interface: "org.freedesktop.DBus.ObjectManager", member: "GetManagedObjects", weight: 2, takes: Some(6_000), errors: 0 },
    Member { service: 3, path: "/org/freedesktop/UPower", interface: "org.freedesktop.UPower", member: "EnumerateDevices", weight: 3, takes: Some(500), errors: 0 },
    Member { service: 4, path: "/org/freedesktop/Notifications", interface: "org.freedesktop.Notifications", member: "Notify", weight: 4, takes: Some(2_600), errors: 8 },
    Member { service: 5, path: "/org/gnome/Mutter/DisplayConfig", interface: "org.gnome.Mutter.DisplayConfig", member: "GetCurrentState", weight: 3, takes: Some(3_200), errors: 0 },
    Member { service: 6, path: "/ca/desrt/dconf/Writer/user", interface: "ca.desrt.dconf.Writer", member: "Change", weight: 5, takes: Some(9_000), errors: 0 },
    Member { service: 7, path: "/org/mpris/MediaPlayer2", interface: "org.mpris.MediaPlayer2.Player", member: "PlayPause", weight: 2, takes: Some(14_000), errors: 20 },
    Member { service: 8, path: "/org/freedesktop/portal/desktop", interface: "org.freedesktop.portal.Settings", member: "Read", weight: 6, takes: Some(1_100), errors: 50 },
    Member { service: 1, path: "/org/freedesktop/NetworkManager", interface: PROPERTIES, member: "PropertiesChanged", weight: 7, takes: None, errors: 0 },
    Member { service: 3, path: "/org/freedesktop/UPower/devices/battery_BAT0", interface: PROPERTIES, member: "PropertiesChanged", weight: 3, takes: None, errors: 0 },
    Member { service: 6, path: "/ca/desrt/dconf/Writer/user", interface: "ca.desrt.dconf.Writer", member: "Notify", weight: 4, takes: None, errors: 0 },
    Member { service: 7, path: "/org/mpris/MediaPlayer2", interface: "org.mpris.MediaPlayer2.Player", member: "Seeked", weight: 2, takes: None, errors: 0 },
];

/// `count` messages of a desktop, in the order of their times.
pub fn desktop(count: usize, seed: u64) -> Vec<Sent> {
    let mut traffic = Traffic { random: seed | 1, serial: 0, waiting: BinaryHeap::new() };
    let mut sent = Vec::with_capacity(count);
    let mut now = BEGIN;
    for service in &SERVICES {
        now += Duration::from_micros(40);
        sent.push((now, owner_changed(service)));
    }
    while sent.len() < count {
        now += Duration::from_micros(traffic.gap());
        while let Some(answer) = traffic.answer_before(now) {
            sent.push(answer);
        }
        let message = traffic.begin(now);
        sent.push((now, message));
    }
    sent.truncate(count);
    sent
}

fn owner_changed(service: &Service) -> Vec<u8> {
    let mut header = header(MessageType::Signal, 1, BUS);
    header.path = Some(ObjectPath::from_static("/org/freedesktop/DBus"));
    header.interface = Some(InterfaceName::from_static(BUS));
    header.member = Some(MemberName::from_static("NameOwnerChanged"));
    header.signature = Signature::from_static("sss");
    written(&header, |body| {
        [service.name, "", service.unique].into_iter().for_each(|text| body.string(text));
    })
}

/// An answer that is yet to come; the heap's greatest is the earliest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting(std::cmp::Reverse<(Duration, Vec<u8>)>);

struct Traffic {
    random: u64,
    serial: u32,
    waiting: BinaryHeap<Waiting>,
}

impl Traffic {
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Messages come in bursts.
    fn gap(&mut self) -> u64 {
        match self.random(40) {
            0 => 40_000 + self.random(160_000),
            1..8 => 1_500 + self.random(7_000),
            _ => 30 + self.random(700),
        }
    }

    fn answer_before(&mut self, now: Duration) -> Option<Sent> {
        let Waiting(std::cmp::Reverse((time, _))) = self.waiting.peek()?;
        if *time > now {
            return None;
        }
        self.waiting.pop().map(|Waiting(std::cmp::Reverse(answer))| answer)
    }

    fn member(&mut self) -> &'static Member {
        let all = MEMBERS.iter().map(|member| member.weight).sum();
        let mut at = self.random(all);
        let chosen = MEMBERS.iter().find(|member| {
            let is_it = at < member.weight;
            at = at.saturating_sub(member.weight);
            is_it
        });
        chosen.unwrap_or(&MEMBERS[0])
    }

    /// A signal, or a call whose answer comes later.
    fn begin(&mut self, now: Duration) -> Vec<u8> {
        let member = self.member();
        let service = &SERVICES[member.service];
        self.serial += 1;
        let serial = self.serial;
        let Some(takes) = member.takes else {
            return signal(member, service, serial);
        };
        let caller = CALLERS[self.random(CALLERS.len() as u64) as usize];
        // One in four thousand is never heard of again.
        if self.random(4000) > 0 {
            let long = if self.random(60) == 0 { 8 } else { 1 };
            let time = now + Duration::from_micros(takes / 2 + self.random(takes) * long);
            let fails = self.random(1000) < member.errors;
            let answer = answer(member, service, caller, serial, fails);
            self.waiting.push(Waiting(std::cmp::Reverse((time, answer))));
        }
        call(member, service, caller, serial)
    }
}

fn header(message_type: MessageType, serial: u32, sender: &'static str) -> Header<'static> {
    let mut header = Header::new(message_type, NonZeroU32::new(serial).unwrap());
    header.sender = Some(BusName::from_static(sender));
    header
}

fn written(header: &Header<'_>, body: impl FnOnce(&mut BodyWriter<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_message(header, &mut bytes, body);
    bytes
}

fn about(header: &mut Header<'static>, member: &Member) {
    header.path = Some(ObjectPath::from_static(member.path));
    header.interface = Some(InterfaceName::from_static(member.interface));
    header.member = Some(MemberName::from_static(member.member));
}

fn signal(member: &Member, service: &Service, serial: u32) -> Vec<u8> {
    let mut header = header(MessageType::Signal, serial, service.unique);
    about(&mut header, member);
    header.flags = Flags::NO_REPLY_EXPECTED;
    header.signature = Signature::from_static("sa{sv}as");
    written(&header, |body| {
        body.string(service.name);
        entries(body, serial);
        body.strings(["Percentage"]);
    })
}

fn call(member: &Member, service: &Service, caller: &'static str, serial: u32) -> Vec<u8> {
    let mut header = header(MessageType::MethodCall, serial, caller);
    about(&mut header, member);
    header.destination = Some(BusName::from_static(service.name));
    header.signature = Signature::from_static("sa{sv}");
    written(&header, |body| {
        body.string(service.name);
        entries(body, serial);
    })
}

fn answer(
    member: &Member,
    service: &Service,
    caller: &'static str,
    serial: u32,
    fails: bool,
) -> Vec<u8> {
    let message_type = if fails { MessageType::Error } else { MessageType::MethodReturn };
    let mut header = header(message_type, serial, service.unique);
    header.destination = Some(BusName::from_static(caller));
    header.reply_serial = NonZeroU32::new(serial);
    header.flags = Flags::NO_REPLY_EXPECTED;
    if fails {
        header.error_name = Some(ErrorName::from_static("org.freedesktop.DBus.Error.AccessDenied"));
        header.signature = Signature::from_static("s");
        return written(&header, |body| {
            body.string(&format!("{} is not allowed to do that now", member.member));
        });
    }
    header.signature = Signature::from_static("a{sv}");
    written(&header, |body| entries(body, serial))
}

fn entries(body: &mut BodyWriter<'_>, serial: u32) {
    body.dict(|body| {
        body.dict_entry(|body| {
            body.string("Percentage");
            body.variant(Signature::from_static("d"), |body| {
                body.double(f64::from(serial % 1000) / 10.0)
            });
        });
        body.dict_entry(|body| {
            body.string("State");
            body.variant(Signature::from_static("u"), |body| body.uint32(serial % 7));
        });
        body.dict_entry(|body| {
            body.string("Label");
            body.variant(Signature::from_static("s"), |body| body.string("Café ☕"));
        });
    });
}
