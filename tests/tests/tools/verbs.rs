//! Each verb, by its transcript (tools.md D001–D012, D064–D074).

use crate::scene::Scene;
use crate::transcript::check;

macro_rules! transcripts {
    ($($name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            check(stringify!($name), &Scene::new());
        }
    )* };
}

transcripts! {
    activate, call, call_errors, captures, closed, emit_and_wait, env, get_and_set, help, introspect, json, list, monitor,
    others, peer, policy, run, status, tree,
    usage,
}

#[test]
fn the_help_of_every_verb_is_pinned() {
    let pinned = include_str!("transcripts/help.txt");
    let command = bus_tools::command();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name();
        assert!(pinned.contains(&format!("$ bus {name} --help")), "{name} is not in help.txt");
        for task in verb.get_subcommands() {
            let line = format!("$ bus {name} {} --help", task.get_name());
            assert!(pinned.contains(&line), "{line} is not in help.txt");
        }
    }
}
