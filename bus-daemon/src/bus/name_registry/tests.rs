use proptest::prelude::*;

use super::*;

const NAME: &str = "org.example.A";

fn client(letter: char) -> ClientId {
    ClientId { index: letter as u32 - 'A' as u32, generation: 0 }
}

fn letter(client: ClientId) -> char {
    char::from_u32('A' as u32 + client.index).unwrap()
}

fn name(text: &str) -> WellKnownName<'_> {
    WellKnownName::parse(text).unwrap()
}

/// The flags of `a` (ALLOW_REPLACEMENT), `r` (REPLACE_EXISTING) and `q` (DO_NOT_QUEUE).
fn flags(letters: &str) -> RequestFlags {
    let bit = |letter, bit| if letters.contains(letter) { bit } else { 0 };
    RequestFlags::from_bits(bit('a', 1) | bit('r', 2) | bit('q', 4))
}

/// Carries out one step: `A+ar` is a RequestName of A with two flags, `A-` a ReleaseName, `A!` a
/// disconnect. Says what came of it: the reply, and `old>new` when the owner changed.
fn step(registry: &mut NameRegistry, text: &str) -> String {
    let mut letters = text.chars();
    let caller = client(letters.next().unwrap());
    let (reply, change) = match letters.next() {
        Some('+') => {
            let outcome = registry.request(caller, name(NAME), flags(letters.as_str()));
            (outcome.reply as u32, outcome.change)
        }
        Some('-') => {
            let outcome = registry.release(caller, name(NAME));
            (outcome.reply as u32, outcome.change)
        }
        _ => {
            let change = registry.release_next(caller).and_then(|given_up| given_up.change);
            assert_eq!(registry.release_next(caller), None);
            (0, change)
        }
    };
    registry.check_invariants();
    let owner = |owner: Option<ClientId>| owner.map_or('-', letter);
    let change = change.map(|change| {
        assert_eq!(&*change.name, NAME);
        format!("{}>{}", owner(change.old_owner), owner(change.new_owner))
    });
    format!("{reply}{}", change.unwrap_or_default())
}

/// `expected`: what came of each step, then the queue.
fn check(case: &str, script: &str, expected: &str) {
    let mut registry = NameRegistry::new(1);
    let mut seen: Vec<String> = script.split(' ').map(|text| step(&mut registry, text)).collect();
    seen.push(format!("[{}]", registry.queue(NAME).map(letter).collect::<String>()));
    assert_eq!(seen.join(" "), expected, "{case}");
    assert_eq!(registry.owner(NAME), registry.queue(NAME).next(), "{case}");
}

#[test]
fn names_change_hands_as_the_specification_says() {
    check("first owner (A128)", "A+", "1->A [A]");
    check("queue in order of request (A126)", "A+ B+ C+", "1->A 2 2 [ABC]");
    check("asked again by the owner (A129)", "A+ A+", "1->A 4 [A]");
    check("the owner's flags change (A129)", "A+ A+a B+r", "1->A 4 1A>B [BA]");
    check("the owner may stop allowing it (A129)", "A+a A+ B+r", "1->A 4 2 [AB]");
    check("replacement, old owner second (A130)", "A+a B+ C+r", "1->A 2 1A>C [CAB]");
    check("old owner does not queue (A130)", "A+aq B+ C+r", "1->A 2 1A>C [CB]");
    check("one from the queue replaces (A130)", "A+a B+ C+ C+r", "1->A 2 2 1A>C [CAB]");
    check("replacing needs the owner's leave (A131)", "A+ B+rq", "1->A 3 [A]");
    check("replacing has to be asked for (A131)", "A+a B+q", "1->A 3 [A]");
    check("refused replacement waits (A131)", "A+ B+r", "1->A 2 [AB]");
    check("DO_NOT_QUEUE leaves the queue (A131)", "A+ B+ C+ B+q", "1->A 2 2 3 [AC]");
    check("asking twice keeps the place (A131)", "A+ B+ C+ B+", "1->A 2 2 2 [ABC]");
    check("the queue keeps the latest flags (A126)", "A+ B+ B+a A- C+r", "1->A 2 2 1A>B 1B>C [CB]");
    check("REPLACE_EXISTING is not kept (A126)", "A+ B+r A+a", "1->A 2 4 [AB]");
    check("replaced owner with DO_NOT_QUEUE of its queue time (A126)", "A+a B+aq", "1->A 3 [A]");
    check("the owner releases (A132)", "A+ B+ A-", "1->A 2 1A>B [B]");
    check("the last one releases (A132)", "A+ A-", "1->A 1A>- []");
    check("one in the queue releases (A132)", "A+ B+ C+ B-", "1->A 2 2 1 [AC]");
    check("nobody owns it (A132)", "A-", "2 []");
    check("somebody else's (A132)", "A+ B-", "1->A 3 [A]");
    check("the owner disconnects (A134)", "A+ B+ A!", "1->A 2 0A>B [B]");
    check("one in the queue disconnects (A134)", "A+ B+ B!", "1->A 2 0 [A]");
    check("unknown flags are ignored", "A+a A+", "1->A 4 [A]");
}

#[test]
fn a_leaving_client_gives_up_its_latest_place_first() {
    let mut registry = NameRegistry::new(1);
    let (a, b) = (client('A'), client('B'));
    registry.add_client(a);
    registry.request(b, name("org.example.Two"), flags(""));
    for text in ["org.example.One", "org.example.Two", "org.example.Three"] {
        registry.request(a, name(text), flags(""));
    }
    let held: Vec<_> = registry.names_of(a).map(|held| (held.name, held.is_primary)).collect();
    let expected =
        [("org.example.Three", true), ("org.example.Two", false), ("org.example.One", true)];
    assert_eq!(held, expected);
    assert!(registry.has_place("org.example.Two", a));
    assert!(!registry.has_place("org.example.One", b));

    let given_up: Vec<_> = std::iter::from_fn(|| registry.release_next(a))
        .map(|given_up| (given_up.name.to_string(), given_up.change.is_some()))
        .collect();
    assert_eq!(given_up, expected.map(|(name, is_primary)| (name.to_owned(), is_primary)));
    assert!(registry.names().eq(["org.example.Two"]));
    registry.check_invariants();
}

#[test]
fn unique_names_and_queued_places_count() {
    // config.md B040, protocol.md A204 and A205
    let mut registry = NameRegistry::new(1);
    let (a, b) = (client('A'), client('B'));
    registry.add_client(a);
    registry.add_client(b);
    registry.request(a, name("org.example.One"), flags(""));
    registry.request(b, name("org.example.One"), flags(""));
    registry.request(b, name("org.example.Two"), flags(""));
    assert_eq!((registry.owned_count(a), registry.owned_count(b)), (2, 3));
    assert_eq!(registry.total_count(), 5);
    registry.release(b, name("org.example.One"));
    assert_eq!((registry.owned_count(b), registry.peak_owned_count(b)), (2, 3));
    while registry.release_next(b).is_some() {}
    assert_eq!((registry.owned_count(b), registry.total_count()), (0, 2));
    assert_eq!((registry.peak_total_count(), registry.peak_count_per_client()), (5, 3));
    while registry.release_next(a).is_some() {}
    assert_eq!(registry.total_count(), 0);
    assert!(registry.is_empty());
}

#[test]
fn many_names_and_long_queues_come_and_go() {
    let mut registry = NameRegistry::new(1);
    let clients: Vec<_> = (0..2_000).map(|index| ClientId { index, generation: 1 }).collect();
    for &client in &clients {
        registry.request(client, name(NAME), flags(""));
        for number in 0..10 {
            let own = format!("org.example.C{}.N{number}", client.index);
            registry.request(client, name(&own), flags(""));
        }
    }
    assert_eq!(registry.queue(NAME).count(), clients.len());
    for client in clients.iter().skip(500).step_by(2) {
        registry.release(*client, name(NAME));
    }
    registry.check_invariants();
    for client in clients {
        while registry.release_next(client).is_some() {}
    }
    registry.check_invariants();
    assert!(registry.is_empty() && registry.by_client.capacity() < 2_000);
}

#[derive(Clone, Debug)]
enum Operation {
    Request(char, usize, u32),
    Release(char, usize),
    Disconnect(char),
}

const NAMES: [&str; 3] = ["org.example.One", "org.example.Two", "org.example.Three"];

fn operation() -> impl Strategy<Value = Operation> {
    let caller = || prop::sample::select(vec!['A', 'B', 'C', 'D', 'E']);
    prop_oneof![
        6 => (caller(), 0..NAMES.len(), 0..8u32).prop_map(|(c, n, f)| Operation::Request(c, n, f)),
        2 => (caller(), 0..NAMES.len()).prop_map(|(c, n)| Operation::Release(c, n)),
        1 => caller().prop_map(Operation::Disconnect),
    ]
}

/// The rules of A126 to A134 once more, slowly.
#[derive(Default)]
struct Model {
    queues: [Vec<(char, u32)>; NAMES.len()],
    /// Every place, in the order they were taken.
    taken: Vec<(char, usize)>,
}

impl Model {
    fn owner(&self, name: usize) -> Option<char> {
        self.queues[name].first().map(|place| place.0)
    }

    fn drop_place(&mut self, caller: char, name: usize) {
        self.queues[name].retain(|place| place.0 != caller);
        self.taken.retain(|place| *place != (caller, name));
    }

    fn request(&mut self, caller: char, name: usize, flags: u32) -> u32 {
        let place = self.queues[name].iter().position(|place| place.0 == caller);
        if let Some(index) = place {
            self.queues[name][index].1 = flags;
        }
        let head = self.queues[name].first().copied();
        match head {
            Some((owner, _)) if owner == caller => return 4,
            Some((_, owner_flags)) if flags & 2 == 0 || owner_flags & 1 == 0 => {
                if flags & 4 != 0 {
                    self.drop_place(caller, name);
                    return 3;
                }
                if place.is_none() {
                    self.queues[name].push((caller, flags));
                    self.taken.push((caller, name));
                }
                return 2;
            }
            _ => {}
        }
        self.queues[name].retain(|place| place.0 != caller);
        self.queues[name].insert(0, (caller, flags));
        if place.is_none() {
            self.taken.push((caller, name));
        }
        if let Some((owner, owner_flags)) = head
            && owner_flags & 4 != 0
        {
            self.drop_place(owner, name);
        }
        1
    }

    fn release(&mut self, caller: char, name: usize) -> u32 {
        if self.queues[name].is_empty() {
            2
        } else if !self.taken.contains(&(caller, name)) {
            3
        } else {
            self.drop_place(caller, name);
            1
        }
    }
}

/// The change that must be reported when a name's owner went from `old` to `new`.
fn change(index: usize, old: Option<char>, new: Option<char>) -> Option<NameChange> {
    (old != new).then(|| NameChange {
        name: NAMES[index].into(),
        old_owner: old.map(client),
        new_owner: new.map(client),
    })
}

fn run(registry: &mut NameRegistry, model: &mut Model, operation: &Operation) {
    match *operation {
        Operation::Request(caller, index, bits) => {
            let old = model.owner(index);
            let reply = model.request(caller, index, bits);
            let flags = RequestFlags::from_bits(bits);
            let outcome = registry.request(client(caller), name(NAMES[index]), flags);
            assert_eq!(outcome.reply as u32, reply);
            assert_eq!(outcome.change, change(index, old, model.owner(index)));
        }
        Operation::Release(caller, index) => {
            let old = model.owner(index);
            let reply = model.release(caller, index);
            let outcome = registry.release(client(caller), name(NAMES[index]));
            assert_eq!(outcome.reply as u32, reply);
            assert_eq!(outcome.change, change(index, old, model.owner(index)));
        }
        Operation::Disconnect(caller) => {
            while let Some(given_up) = registry.release_next(client(caller)) {
                let latest = model.taken.iter().rfind(|place| place.0 == caller).copied();
                let (_, index) = latest.expect("the model has a place too");
                let old = model.owner(index);
                model.drop_place(caller, index);
                assert_eq!(&*given_up.name, NAMES[index]);
                assert_eq!(given_up.change, change(index, old, model.owner(index)));
            }
            assert!(!model.taken.iter().any(|place| place.0 == caller));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_goes_as_in_the_model(
        operations in prop::collection::vec(operation(), 1..60),
        seed: u64,
    ) {
        let mut registry = NameRegistry::new(seed);
        let mut model = Model::default();
        for operation in &operations {
            run(&mut registry, &mut model, operation);
            registry.check_invariants();
            for (index, name) in NAMES.iter().enumerate() {
                let queue = model.queues[index].iter().map(|place| client(place.0));
                prop_assert!(registry.queue(name).eq(queue), "{name} after {operation:?}");
            }
            prop_assert_eq!(registry.total_count() as usize, model.taken.len());
        }
    }
}
