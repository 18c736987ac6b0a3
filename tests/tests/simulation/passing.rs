//! A message like the one before passes by what the policy said of that one, for as long as it would
//! say the same.

use bus_daemon::bus::Event;
use bus_daemon::bus::limits::{LOGGED_REFUSALS_GAP_MS, LOGGED_REFUSALS_OF_USER_MAX};
use bus_policy::config::Limits;
use bus_tests::policies::policies;
use libbus::standard_error as error;
use libbus::wire::Flags;

use crate::desk::{Desk, Guest, settings};
use crate::mail::{Mail, Value};

const NAME: &str = "org.example.Held";

/// Everything is allowed but what `rules` say.
fn put_in_force(desk: &mut Desk, rules: &str) {
    let mut settings = settings(Limits::default());
    settings.policy = policies(&format!(
        "<policy context='default'><allow user='*'/><allow own='*'/>\
         <allow send_destination='*'/><allow receive_sender='*'/>{rules}</policy>"
    ));
    desk.event(Event::Reloaded { result: Ok(settings) });
}

/// Calls somebody who does not answer, twice, and answers whether that is permitted.
fn may_call(desk: &mut Desk, caller: &Guest, callee: &Guest, member: &str, fds: u32) -> bool {
    let results = [(), ()].map(|()| {
        let serial = desk.next_serial();
        let mut call = Mail::call(serial, &callee.name, "org.example.A", member);
        call.unix_fds = fds;
        desk.send(caller.id, &call);
        let arrived = desk.read(callee.id).iter().any(|got| got.serial == serial);
        let denied = Some(error::ACCESS_DENIED.as_str());
        let refused = desk.read(caller.id).iter().any(|got| got.error.as_deref() == denied);
        assert_ne!(arrived, refused, "{member}");
        arrived
    });
    assert_eq!(results[0], results[1], "{member}");
    results[0]
}

fn take_name(desk: &mut Desk, guest: &Guest) {
    let name = vec![Value::Text(NAME.to_owned()), Value::Number(0)];
    assert_eq!(desk.error_of(guest.id, "RequestName", name), None);
}

fn give_name_up(desk: &mut Desk, guest: &Guest) {
    let name = vec![Value::Text(NAME.to_owned())];
    assert_eq!(desk.error_of(guest.id, "ReleaseName", name), None);
}

#[test]
fn another_header_is_another_question() {
    let mut desk = Desk::new(Limits::default());
    put_in_force(
        &mut desk,
        "<deny send_interface='org.example.A' send_member='Bad'/>\
         <deny send_interface='org.example.A' send_member='Get' min_fds='2'/>",
    );
    let [caller, callee] = [(), ()].map(|()| desk.guest());
    for _ in 0..3 {
        assert!(may_call(&mut desk, &caller, &callee, "Get", 0));
        assert!(!may_call(&mut desk, &caller, &callee, "Bad", 0));
        assert!(may_call(&mut desk, &caller, &callee, "Get", 1));
        assert!(!may_call(&mut desk, &caller, &callee, "Get", 2));
    }
}

/// config.md B072; a message that passes is passed in any case, and of what one user sends the log hears a
/// bounded number of times.
#[test]
fn what_a_rule_wants_logged_is_logged_up_to_a_bound() {
    let mut desk = Desk::new(Limits::default());
    put_in_force(&mut desk, "<allow send_interface='org.example.A' send_member='Get' log='true'/>");
    let [caller, callee] = [(), ()].map(|()| desk.guest());
    let max = LOGGED_REFUSALS_OF_USER_MAX as usize;
    let lines = |desk: &Desk| {
        desk.log.iter().filter(|line| line.starts_with("Would reject message")).count()
    };
    let call = |desk: &mut Desk, member: &str| {
        let serial = desk.next_serial();
        let mut call = Mail::call(serial, &callee.name, "org.example.A", member);
        call.flags = Flags::NO_REPLY_EXPECTED;
        desk.send(caller.id, &call);
        assert!(desk.read(callee.id).iter().any(|got| got.serial == serial), "{member}");
    };
    call(&mut desk, "Get");
    assert_eq!(lines(&desk), 1);
    let line = desk.log.last().unwrap();
    assert!(line.starts_with("Would reject message, 2 matched rules; "), "{line}");
    assert!(line.contains(&caller.name) && line.contains("log=\"true\""), "{line}");
    call(&mut desk, "Set");
    assert_eq!(lines(&desk), 1, "no rule asks for that one");
    (0..max + 6).for_each(|_| call(&mut desk, "Get"));
    assert_eq!(lines(&desk), max);
    desk.pass_time(LOGGED_REFUSALS_GAP_MS);
    call(&mut desk, "Get");
    assert_eq!(lines(&desk), max + 1);
    assert!(desk.log.iter().any(|line| line.starts_with("7 further messages of user")));
}

#[test]
fn another_policy_is_asked_anew() {
    let mut desk = Desk::new(Limits::default());
    let rule = "<deny send_interface='org.example.A' send_member='Get'/>";
    let other = rule.replace("Get", "Other");
    let [caller, callee] = [(), ()].map(|()| desk.guest());
    for _ in 0..2 {
        put_in_force(&mut desk, &other);
        assert!(may_call(&mut desk, &caller, &callee, "Get", 0));
        put_in_force(&mut desk, rule);
        assert!(!may_call(&mut desk, &caller, &callee, "Get", 0));
    }
}

#[test]
fn names_that_come_and_go_count_on_both_sides() {
    let mut desk = Desk::new(Limits::default());
    put_in_force(
        &mut desk,
        &format!(
            "<deny send_interface='org.example.A' send_member='Bad'/>\
             <deny send_destination='{NAME}' send_interface='org.example.A'/>\
             <deny receive_sender='{NAME}' receive_interface='org.example.A'/>"
        ),
    );
    let [caller, callee, third] = [(), (), ()].map(|()| desk.guest());
    for holder in [&callee, &caller] {
        assert!(may_call(&mut desk, &caller, &callee, "Get", 0));
        take_name(&mut desk, holder);
        assert!(!may_call(&mut desk, &caller, &callee, "Get", 0));
        give_name_up(&mut desk, holder);
        assert!(may_call(&mut desk, &caller, &callee, "Get", 0));
    }
    // A name that leads to somebody else now.
    take_name(&mut desk, &third);
    assert!(may_call(&mut desk, &caller, &callee, "Get", 0));
    assert!(!may_call(&mut desk, &caller, &third, "Get", 0));
}

/// What one sender may, another one of the same user may not have to.
#[test]
fn each_sender_has_its_own() {
    let mut desk = Desk::new(Limits::default());
    put_in_force(
        &mut desk,
        &format!(
            "<deny send_interface='org.example.A' send_member='Bad'/>\
             <deny receive_sender='{NAME}' receive_interface='org.example.A'/>"
        ),
    );
    let [caller, other, callee] = [(), (), ()].map(|()| desk.guest());
    take_name(&mut desk, &other);
    for _ in 0..2 {
        assert!(may_call(&mut desk, &caller, &callee, "Get", 0));
        assert!(!may_call(&mut desk, &other, &callee, "Get", 0));
    }
}
