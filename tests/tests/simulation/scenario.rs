//! What a run is like: how many clients, which limits, which policy.

use std::sync::Arc;

use bus_daemon::bus::Settings;
use bus_daemon::bus::services::Starter;
use bus_policy::config::Limits;
use bus_policy::config::limit_overrides::LimitOverrides;
use bus_tests::policies::policies;

use crate::random::Random;
use crate::world::OWN_UID;

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// About so many clients at a time.
    pub(crate) client_count: usize,
    pub(crate) steps: usize,
    /// `Bus::check_invariants` after the events of every how-many-th step.
    pub(crate) check_every: usize,
    pub(crate) has_witness: bool,
    pub(crate) any_reply_passes: bool,
    /// Whether the policy lets clients overhear what is meant for others.
    pub(crate) may_eavesdrop: bool,
    pub(crate) rude_percent: usize,
    pub(crate) name_count: usize,
    pub(crate) rule_count: usize,
    pub(crate) uids: Vec<Option<u32>>,
    limits: Limits,
}

impl Scenario {
    /// A few dozen clients in a bus whose limits all of them run into. Invariants are checked after
    /// every event.
    pub(crate) fn small(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5ce7_a210);
        let client_count = random.between(8, 50);
        Self {
            seed,
            client_count,
            steps: 2500,
            check_every: 1,
            has_witness: random.chance(50),
            any_reply_passes: random.chance(50),
            may_eavesdrop: random.chance(50),
            rude_percent: *random.pick(&[0, 30, 100]),
            name_count: random.between(1, 12),
            rule_count: random.between(5, 60),
            uids: vec![Some(OWN_UID), Some(0), Some(1000), Some(1001), None],
            limits: Limits {
                incoming_unix_fds_max: *random.pick(&[1, 4, 8]),
                outgoing_bytes_max: 160 * 1024,
                outgoing_unix_fds_max: 8,
                message_size_max: 1 << 20,
                message_unix_fds_max: 3,
                auth_timeout_ms: 30_000,
                pending_fd_timeout_ms: 10_000,
                completed_connections_max: client_count as u32 - 2,
                incomplete_connections_max: 8,
                connections_per_user_max: (client_count / 3) as u32,
                names_per_connection_max: 5,
                match_rules_per_connection_max: 8,
                replies_per_connection_max: 4,
                reply_timeout_ms: random.chance(70).then_some(5000),
                ..Limits::default()
            },
        }
    }

    /// Thousands of clients. Invariants are checked after the events of every 500th step.
    pub(crate) fn large(seed: u64) -> Self {
        Self {
            client_count: 3000,
            steps: 25_000,
            check_every: 500,
            has_witness: false,
            name_count: 400,
            rule_count: 150,
            rude_percent: 10,
            limits: Limits {
                completed_connections_max: 2900,
                incomplete_connections_max: 200,
                connections_per_user_max: 1500,
                ..Self::small(seed).limits
            },
            ..Self::small(seed)
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        let requested = !self.any_reply_passes;
        let receive = match self.may_eavesdrop {
            true => "<allow eavesdrop='true'/>".to_owned(),
            false => format!("<allow receive_requested_reply='{requested}'/>"),
        };
        let policy = policies(&format!(
            "<policy context='default'><allow user='*'/><allow own='*'/>\
             <allow send_requested_reply='{requested}'/>{receive}</policy>"
        ));
        let limit_overrides = LimitOverrides::default();
        Settings {
            starter: Starter::Bus,
            limits: self.limits.clone(),
            limit_overrides,
            policy,
            services: Arc::default(),
        }
    }

    /// Other limits for a reload; none that would end what a client has begun.
    pub(crate) fn vary_settings(&self, random: &mut Random) -> Settings {
        let mut settings = self.settings();
        let limits = &mut settings.limits;
        for limit in [
            &mut limits.completed_connections_max,
            &mut limits.incomplete_connections_max,
            &mut limits.connections_per_user_max,
            &mut limits.names_per_connection_max,
            &mut limits.match_rules_per_connection_max,
            &mut limits.replies_per_connection_max,
        ] {
            *limit = *random.pick(&[*limit, *limit / 2, *limit * 2]);
        }
        limits.auth_timeout_ms = *random.pick(&[30_000, 20_000]);
        limits.reply_timeout_ms = *random.pick(&[None, Some(2000), Some(5000)]);
        settings
    }
}
