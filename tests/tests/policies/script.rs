//! Plays trials on one daemon.

use std::os::fd::OwnedFd;

use bus_tests::harness::{
    BUS_INTERFACE, BUS_NAME, BUS_PATH, Bus, Client, Config, Daemon, Message, borrow_all, field,
    kind,
};

use crate::generate::{
    Kind, LISTENER_NAME, RECIPIENT_NAMES, RECIPIENT_UID, SENDER_UID, Sent, TEST_INTERFACE, To,
    Trial, WANTED,
};

/// A daemon and its clients.
pub(crate) struct Stage {
    bus: Bus,
    /// Reloads; root.
    manager: Client,
    sender: Client,
    /// Gets what is sent to it, and broadcasts that it asked for.
    recipient: Client,
    /// Overhears; root.
    listener: Client,
    trials: usize,
}

impl Stage {
    pub(crate) fn new(daemon: &Daemon) -> Self {
        let config = Config { elements: ALLOW_ALL_USERS, ..Config::SESSION };
        let bus = Bus::start(daemon, &config);
        let mut sender = Client::register(bus.connect_as(SENDER_UID));
        let mut recipient = Client::register(bus.connect_as(RECIPIENT_UID));
        let mut listener = bus.connect();
        for name in RECIPIENT_NAMES {
            assert_eq!(recipient.request_name(name, 0), 1);
        }
        assert_eq!(listener.request_name(LISTENER_NAME, 0), 1);
        recipient.add_match("type='signal',sender='org.freedesktop.DBus'");
        recipient.add_match("type='signal',path='/a'");
        recipient.add_match("type='signal',path='/b'");
        listener.add_match("eavesdrop='true'");
        for client in [&mut sender, &mut recipient] {
            client.add_match(&format!("interface='{TEST_INTERFACE}'"));
        }
        let manager = bus.connect();
        Self { bus, manager, sender, recipient, listener, trials: 0 }
    }

    /// The answer to each of the trial's questions.
    pub(crate) fn run(&mut self, trial: &Trial) -> Vec<String> {
        self.trials += 1;
        self.reload(&trial.policies);
        let asked = self.ask_for_replies(trial);
        let mut serials = Vec::new();
        let mut asked = asked.into_iter();
        for sent in &trial.messages {
            let message = self.written(sent, &mut asked);
            serials.push(self.send(message, sent.with_fd));
        }
        let owned: Vec<u32> = WANTED.iter().map(|name| self.request(name)).collect();
        for name in WANTED {
            self.sender.send(&call_of_bus("ReleaseName").arg(*name));
        }
        let seen = self.everybody_until_marker();
        let messages = trial.messages.iter().zip(serials).map(|(sent, serial)| match sent.to {
            // deviation: ours lets calls to the bus be overheard that the bus then refuses.
            To::Bus => seen.answer(serial),
            _ => seen.of(serial),
        });
        messages.chain(owned.into_iter().map(|serial| seen.answer(serial))).collect()
    }

    fn reload(&mut self, policies: &str) {
        let listen = format!("<listen>unix:path={}/bus</listen>", self.bus.dir.display());
        let text = format!(
            "<busconfig><type>session</type>{listen}<auth>EXTERNAL</auth>{policies}\
             <limit name='max_replies_per_connection'>10000</limit></busconfig>"
        );
        std::fs::write(self.bus.dir.join("bus.conf"), text).expect("the configuration");
        let answer = self.manager.try_call("ReloadConfig", &[]);
        assert_eq!(answer.kind, kind::METHOD_RETURN, "{} {policies}", answer.describe());
    }

    /// The recipient calls the sender as often as there are requested replies among the messages.
    fn ask_for_replies(&mut self, trial: &Trial) -> Vec<u32> {
        let requested = [Kind::Return { requested: true }, Kind::Error { requested: true }];
        let replies = trial.messages.iter().filter(|sent| requested.contains(&sent.kind));
        let to = self.sender.name.clone();
        let asked: Vec<u32> = replies
            .map(|_| {
                let call = Message::method_call("/", TEST_INTERFACE, "Ask").to(&to);
                self.recipient.send(&call)
            })
            .collect();
        // All of them have passed the bus when the last has come.
        let mut missing = asked.len();
        while missing > 0 {
            missing -= usize::from(self.sender.next().member() == "Ask");
        }
        asked
    }

    fn written(&self, sent: &Sent, asked: &mut impl Iterator<Item = u32>) -> Message {
        let recipient = self.recipient.name.as_str();
        let never_asked = 0x7fff_0000;
        let mut serial = |requested| match requested {
            true => asked.next().expect("a call for each"),
            false => never_asked,
        };
        let message = match sent.kind {
            Kind::Call => {
                Message::method_call(sent.path, sent.interface.unwrap_or("i.A"), sent.member)
            }
            Kind::Signal => {
                Message::signal(sent.path, sent.interface.unwrap_or("i.A"), sent.member)
            }
            Kind::Return { requested } => {
                Message::reply_to(kind::METHOD_RETURN, serial(requested), recipient)
            }
            Kind::Error { requested } => {
                Message::reply_to(kind::ERROR, serial(requested), recipient)
                    .with(field::ERROR_NAME, sent.error)
            }
        };
        let message = match sent.interface {
            None => message.without(field::INTERFACE),
            Some(_) => message,
        };
        match sent.to {
            To::Recipient => message.to(recipient),
            To::Bus => message.to(BUS_NAME),
            To::Everybody => message,
        }
    }

    fn send(&mut self, message: Message, with_fd: bool) -> u32 {
        if !with_fd {
            return self.sender.send(&message);
        }
        let fds = [OwnedFd::from(std::fs::File::open("/dev/null").expect("a descriptor"))];
        self.sender.send_with_fds(&message.with(field::UNIX_FDS, 1_u32), &borrow_all(&fds))
    }

    fn request(&mut self, name: &str) -> u32 {
        self.sender.send(&call_of_bus("RequestName").arg(name).arg(4_u32))
    }

    /// What each client got of the sender's messages, and what the sender was answered.
    fn everybody_until_marker(&mut self) -> Seen {
        let mark = format!("Mark{}", self.trials);
        self.sender.send(&Message::signal("/", TEST_INTERFACE, &mark));
        let sender = self.sender.name.clone();
        let until_mark = |client: &mut Client| {
            let gone = || panic!("disconnected; the log says: {}", self.bus.log());
            let next = std::iter::from_fn(|| client.next_or_end().or_else(gone));
            next.take_while(|message| message.member() != mark).collect::<Vec<_>>()
        };
        let answers = until_mark(&mut self.sender);
        let from_sender = |client: &mut Client| {
            let messages = until_mark(client).into_iter();
            messages.filter(|m| m.sender() == sender).map(|m| m.serial).collect::<Vec<u32>>()
        };
        let received = from_sender(&mut self.recipient);
        let overheard = from_sender(&mut self.listener);
        let answers = answers.into_iter().filter(|message| message.sender() == BUS_NAME);
        let answers = answers.map(|message| (message.reply_serial(), message)).collect();
        Seen { received, overheard, answers }
    }
}

fn call_of_bus(member: &str) -> Message {
    Message::method_call(BUS_PATH, BUS_INTERFACE, member).to(BUS_NAME)
}

const ALLOW_ALL_USERS: &str = "<policy context='default'><allow user='*'/></policy>";

/// What came of the sender's messages, by their serials.
struct Seen {
    received: Vec<u32>,
    overheard: Vec<u32>,
    answers: Vec<(u32, Message)>,
}

impl Seen {
    fn of(&self, serial: u32) -> String {
        let times = |serials: &[u32]| serials.iter().filter(|one| **one == serial).count();
        let (received, overheard) = (times(&self.received), times(&self.overheard));
        let answer = self.answer(serial);
        format!("received {received}, overheard {overheard}, answered {answer}")
    }

    fn answer(&self, serial: u32) -> String {
        let answer = self.answers.iter().find(|(answered, _)| *answered == serial);
        let answer = answer.map_or("nothing".to_owned(), |(_, answer)| match answer.kind {
            kind::ERROR => answer.error_name(),
            _ => answer.body.first().map_or("reply".to_owned(), |value| format!("{value:?}")),
        });
        // The bus's id differs.
        if answer.starts_with("String") { "text".to_owned() } else { answer }
    }
}
