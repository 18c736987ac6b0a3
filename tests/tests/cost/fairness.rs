//! What one client may cost the others in one round.

use crate::core_bus::CoreBus;

/// Rules that a change of the name's owner moves.
const RULE_COUNT: usize = 10_000;
/// Below `max_match_rules_per_connection`.
const RULES_PER_CLIENT: usize = 500;
const CALL_COUNT: usize = 50;

/// The class of CVE-2014-3638: requests that are cheap to make and costly to answer.
#[test]
fn costly_requests_of_one_client_wait_for_others_and_all_are_answered() {
    let mut bus = CoreBus::new();
    let mut watcher = bus.connect();
    for index in 0..RULE_COUNT {
        if index % RULES_PER_CLIENT == 0 {
            watcher = bus.connect();
        }
        let rule = format!("type='signal',sender='org.example.Busy',path='/a/{index}'");
        bus.call(watcher, "AddMatch", &[rule.as_str().into()]);
    }
    let (busy, other) = (bus.connect(), bus.connect());
    let calls: Vec<Vec<u8>> = (0..CALL_COUNT)
        .flat_map(|_| {
            let request = bus.bus_call("RequestName", &["org.example.Busy".into(), 0_u32.into()]);
            [request, bus.bus_call("ReleaseName", &["org.example.Busy".into()])]
        })
        .collect();
    let one_by_one: usize = calls.iter().map(|call| bus.round(busy, call)).sum();

    let mut together = bus.round(busy, &calls.concat());
    let mut rounds = 0;
    while bus.has_put_off() {
        let get_id = bus.bus_call("GetId", &[]);
        assert!(bus.round(other, &get_id) > 0, "the other client has its turn in each round");
        together += bus.begin_round();
        rounds += 1;
    }
    assert_eq!(together, one_by_one, "what was put off is answered all the same");
    let moves_in_one_share = 40_000 / 2 / RULE_COUNT;
    assert!(rounds >= 2 * CALL_COUNT / moves_in_one_share - 2, "only {rounds} rounds were needed");
}
