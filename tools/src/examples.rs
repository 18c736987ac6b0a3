//! An example of each verb: the last line of its help, and a hint to who typed it wrong.

use clap::Command;

/// What it is an example of, and the example.
const EXAMPLES: &[(&str, &str)] = &[
    ("list", "bus list freedesktop"),
    ("status", "bus status org.freedesktop.DBus"),
    ("tree", "bus tree org.freedesktop.DBus"),
    ("introspect", "bus introspect org.freedesktop.DBus /org/freedesktop/DBus"),
    (
        "call",
        "bus call org.freedesktop.DBus / org.freedesktop.DBus.GetNameOwner org.freedesktop.DBus",
    ),
    ("get", "bus get org.freedesktop.DBus / org.freedesktop.DBus.Features"),
    ("set", "bus set org.example.A /org/example/A org.example.A.Volume 7"),
    ("emit", "bus emit /org/example/A org.example.A.Changed 'a text'"),
    ("wait", "bus wait /org/example/A org.example.A.Changed"),
    ("monitor", "bus monitor org.example.A"),
    ("capture", "bus capture -o talk.pcapng"),
    ("trace", "bus trace -o talk.html talk.pcapng"),
    ("replay", "bus replay talk.pcapng"),
    ("run", "bus run -- make test"),
    ("env", "bus env LANG=C.UTF-8"),
    ("activate", "bus activate org.example.A"),
    ("stats", "bus stats org.example.A"),
    ("top", "bus top"),
    ("policy", EXPLAIN),
    ("policy check", "bus policy check session.conf"),
    ("policy explain", EXPLAIN),
    ("stdio-bridge", "bus --system stdio-bridge"),
    ("doctor", "bus --system doctor"),
    ("codegen", "bus codegen org.freedesktop.DBus /org/freedesktop/DBus"),
    ("completions", "bus completions bash"),
    ("compat", "bus compat busctl list"),
    ("help", "bus help policy explain"),
];

const EXPLAIN: &str = "bus policy explain user=alice own=org.example.A";

/// The command with an example in the help of each verb.
pub(crate) fn added_to(command: Command) -> Command {
    let add = |command, (verb, example): &(&str, &str)| {
        let words: Vec<&str> = verb.split(' ').collect();
        add(command, &words, example)
    };
    EXAMPLES.iter().fold(command, add)
}

fn add(command: Command, verb: &[&str], example: &str) -> Command {
    match verb {
        [word, rest @ ..] => command.mut_subcommand(word, |verb| add(verb, rest, example)),
        [] => {
            let before = command.get_after_help().map(|help| format!("{help}\n\n"));
            let help = format!("{}Example: {example}", before.unwrap_or_default());
            command.after_help(help)
        }
    }
}

/// The example of a verb; of another one, where nobody knows which was meant.
pub(crate) fn of(verb: &str) -> &'static str {
    let example = EXAMPLES.iter().find(|(name, _)| *name == verb);
    example.map_or("bus list", |(_, example)| example)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{EXAMPLES, of};
    use crate::cli::{Cli, command};

    #[test]
    fn each_verb_has_an_example_that_can_be_typed() {
        for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let (name, of_it) = (verb.get_name(), of(verb.get_name()));
            assert!(of_it.contains(&format!(" {name}")), "{name}: {of_it}");
        }
        for (verb, example) in EXAMPLES {
            let matches = command().try_get_matches_from(example.split(' ')).unwrap();
            let typed = crate::cli::verb(&matches);
            assert!(typed.starts_with(verb), "{typed}: {example}");
        }
    }
}
