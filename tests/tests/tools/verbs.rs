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
    activate, call, call_errors, captures, closed, emit_and_wait, env, get_and_set, introspect, json, list, monitor,
    others, peer, policy, run, status, tree,
    usage,
}
