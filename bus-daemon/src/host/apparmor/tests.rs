//! AppArmor with a kernel that answers from a list.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;

use libbus::wire::MessageType;

use super::*;
use crate::host::tests_support::{TemporaryDirectory, call, party};

/// Answers each question in turn, and notes it.
#[derive(Debug, Default)]
struct FakeKernel {
    answers: RefCell<Vec<io::Result<Vec<u8>>>>,
    questions: RefCell<Vec<Vec<u8>>>,
}

impl KernelQuery for Rc<FakeKernel> {
    fn ask(&self, question: &[u8]) -> io::Result<Vec<u8>> {
        self.questions.borrow_mut().push(question.to_vec());
        self.answers.borrow_mut().pop().expect("a question that the test does not expect")
    }
}

fn permissions(allow: u32, deny: u32, audit: u32, quiet: u32) -> io::Result<Vec<u8>> {
    Ok(format!(
        "allow 0x{allow:08x}\ndeny 0x{deny:08x}\naudit 0x{audit:08x}\nquiet 0x{quiet:08x}\n"
    )
    .into_bytes())
}

/// AppArmor that gets these answers.
fn apparmor(answers: Vec<io::Result<Vec<u8>>>) -> (AppArmor, Rc<FakeKernel>) {
    let kernel = Rc::new(FakeKernel::default());
    kernel.answers.borrow_mut().extend(answers.into_iter().rev());
    let apparmor = AppArmor {
        kernel: Box::new(Rc::clone(&kernel)),
        bus_type: "system".to_owned(),
        own_label: b"/usr/bin/bus (enforce)".to_vec(),
    };
    (apparmor, kernel)
}

fn line(answer: &Answer) -> &str {
    match answer {
        Answer::AllowedAndLogged(record) => &record.text,
        Answer::Denied(Denial { log: Some(record), .. }) => &record.text,
        other => panic!("nothing logged: {other:?}"),
    }
}

fn text(answer: &Answer) -> &str {
    match answer {
        Answer::Denied(denial) => &denial.text,
        other => panic!("not refused: {other:?}"),
    }
}

// config.md B115, B026
#[test]
fn support_is_found_by_its_files() {
    let root = TemporaryDirectory::new();
    let write = |name: &str, content: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let open = |mode| AppArmor::open(root.path(), mode, Some("system"));
    let check = |case: &str, enabled: bool, required: bool| {
        let found = |mode| open(mode).ok().map(|found| found.is_some());
        assert_eq!(found(AppArmorMode::Disabled), Some(false), "{case}");
        assert_eq!(found(AppArmorMode::Enabled), Some(enabled), "{case}");
        assert_eq!(found(AppArmorMode::Required), required.then_some(true), "{case}");
    };
    write("proc/self/attr/current", "/usr/bin/bus (enforce)\n");
    check("no AppArmor", false, false);
    write("sys/module/apparmor/parameters/enabled", "N\n");
    write("sys/kernel/security/apparmor/features/dbus/mask", "acquire send receive\n");
    check("turned off", false, false);
    write("sys/module/apparmor/parameters/enabled", "Y\n");
    check("turned on", true, true);
    assert_eq!(open(AppArmorMode::Required).unwrap().unwrap().own_label, b"/usr/bin/bus (enforce)");
    fs::remove_file(root.path().join("sys/kernel/security/apparmor/features/dbus/mask")).unwrap();
    check("it does not mediate D-Bus", false, false);
    let error = open(AppArmorMode::Required).unwrap_err();
    let expected = "AppArmor mediation required but not present: \
                    /sys/kernel/security/apparmor/features/dbus/mask: No such file or directory;";
    assert!(error.starts_with(expected), "{error}");
    write("sys/kernel/security/apparmor/features/dbus/mask", "");
    fs::remove_file(root.path().join("proc/self/attr/current")).unwrap();
    assert!(open(AppArmorMode::Enabled).is_err(), "no label of its own");
}

#[test]
fn labels_have_a_name_and_a_mode() {
    let check = |label: &str, name: &str, mode: Option<&str>, unconfined: bool| {
        let split = Label::split(label.as_bytes());
        assert_eq!(split, Label { name: name.as_bytes(), mode: mode.map(str::as_bytes) });
        assert_eq!(split.is_unconfined(), unconfined, "{label}");
    };
    check("unconfined", "unconfined", None, true);
    check("/usr/bin/x (enforce)\n", "/usr/bin/x", Some("enforce"), false);
    check("x (y) (complain)", "x (y)", Some("complain"), false);
    check("flatpak (unconfined)", "flatpak", Some("unconfined"), true);
    check("unconfined (enforce)", "unconfined", Some("enforce"), false);
    check("a)", "a)", None, false);
}

// config.md B116, B117
#[test]
fn the_questions_are_what_the_kernel_expects() {
    let all = || permissions(u32::MAX, 0, 0, 0);
    let (apparmor, kernel) = apparmor((0..6).map(|_| all()).collect());
    let client = party(":1.1", "me (enforce)", 11);
    assert_eq!(apparmor.may_own(&OwnQuestion { client, name: "a.b" }), Answer::Allowed);
    assert_eq!(apparmor.may_eavesdrop(&EavesdropQuestion { client }), Answer::Allowed);
    let peer = Recipient::Client(party(":1.2", "peer (enforce)", 12));
    assert_eq!(apparmor.may_send(&call("me (enforce)", peer)), Answer::Allowed);
    assert_eq!(apparmor.may_receive(&call("me (enforce)", peer)), Answer::Allowed);
    let mut bare = call("me (enforce)", Recipient::Bus);
    (bare.interface, bare.destination) = (None, None);
    assert_eq!(apparmor.may_send(&bare), Answer::Allowed);
    let starts = Recipient::Activatable { assumed_label: Some("svc") };
    assert_eq!(apparmor.may_send(&call("me (enforce)", starts)), Answer::Allowed);
    let questions = kernel.questions.borrow();
    let questions: Vec<_> = questions.iter().map(|one| String::from_utf8_lossy(one)).collect();
    assert_eq!(
        *questions,
        [
            "label\0me\0 system\0a.b",
            "label\0me\0 system",
            "label\0me\0 system\0a.b\0peer\0/a\0a.I\0Run",
            "label\0peer\0 system\0:1.1\0me\0/a\0a.I\0Run",
            "label\0me\0 system\0org.freedesktop.DBus\0/usr/bin/bus\0/a\0\0Run",
            "label\0me\0 system\0a.b\0svc\0/a\0a.I\0Run",
        ]
    );
}

// config.md B117
#[test]
fn some_are_allowed_without_a_question() {
    let (apparmor, _kernel) = apparmor(Vec::new());
    let client = party(":1.1", "unconfined", 11);
    assert_eq!(apparmor.may_own(&OwnQuestion { client, name: "a.b" }), Answer::Allowed);
    assert_eq!(apparmor.may_eavesdrop(&EavesdropQuestion { client }), Answer::Allowed);
    let peer = Recipient::Client(party(":1.2", "peer (enforce)", 12));
    assert_eq!(apparmor.may_send(&call("unconfined", peer)), Answer::Allowed);
    let reply = MessageQuestion { is_requested_reply: true, ..call("me (enforce)", peer) };
    assert_eq!(apparmor.may_send(&reply), Answer::Allowed);
    assert_eq!(apparmor.may_receive(&reply), Answer::Allowed);
    let starts = Recipient::Activatable { assumed_label: None };
    assert_eq!(apparmor.may_receive(&call("me (enforce)", starts)), Answer::Allowed);
}

// config.md B118, B119
#[test]
fn each_bit_of_the_answer_counts() {
    let check =
        |case: &str, label: &str, answer: [u32; 4], expected: Option<&str>, denied: bool| {
            let [allow, deny, audit, quiet] = answer;
            let (apparmor, _kernel) = apparmor(vec![permissions(allow, deny, audit, quiet)]);
            let answer =
                apparmor.may_own(&OwnQuestion { client: party(":1.1", label, 11), name: "a.b" });
            assert_eq!(matches!(answer, Answer::Denied(_)), denied, "{case}");
            let silent =
                matches!(answer, Answer::Allowed | Answer::Denied(Denial { log: None, .. }));
            assert_eq!(silent, expected.is_none(), "{case}");
            if let Some(word) = expected {
                assert!(line(&answer).starts_with(&format!("apparmor=\"{word}\"")), "{case}");
            }
        };
    let (bind, other) = (0x40, 0x26);
    check("allowed", "me (enforce)", [bind, 0, 0, 0], None, false);
    check("allowed, audited", "me (enforce)", [bind, 0, bind, 0], Some("AUDIT"), false);
    check("allowed, audited, quiet", "me (enforce)", [bind, 0, bind, bind], None, false);
    check("other bits", "me (enforce)", [other, 0, 0, 0], Some("DENIED"), true);
    check("denied explicitly", "me (enforce)", [bind, bind, 0, 0], Some("DENIED"), true);
    check("denied quietly", "me (enforce)", [0, 0, 0, bind], None, true);
    check("complain", "me (complain)", [0, 0, 0, 0], Some("ALLOWED"), false);
    check("complain, quiet", "me (complain)", [0, 0, 0, bind], None, false);
}

// config.md B118
#[test]
fn denials_say_who_and_what() {
    let none = || permissions(0, 0, 0, 0);
    let (apparmor, _kernel) = apparmor((0..5).map(|_| none()).collect());
    let client = party(":1.1", "me (enforce)", 11);
    let answer = apparmor.may_own(&OwnQuestion { client, name: "a.b" });
    assert_eq!(
        text(&answer),
        "Connection \":1.1\" is not allowed to own the service \"a.b\" due to AppArmor policy"
    );
    assert_eq!(
        line(&answer),
        "apparmor=\"DENIED\" operation=\"dbus_bind\" bus=\"system\" name=\"a.b\" mask=\"bind\" \
         pid=11 label=\"me\""
    );
    let answer = apparmor.may_eavesdrop(&EavesdropQuestion { client });
    assert_eq!(
        text(&answer),
        "Connection \":1.1\" is not allowed to eavesdrop due to AppArmor policy"
    );
    assert!(
        line(&answer).contains("operation=\"dbus_eavesdrop\" bus=\"system\" mask=\"eavesdrop\"")
    );
    let peer = Recipient::Client(party(":1.2", "a \"b\" (enforce)", 12));
    let answer = apparmor.may_send(&call("me (enforce)", peer));
    let start = "An AppArmor policy prevents this sender from sending this message to this \
                 recipient; type=\"method_call\", sender=\":1.1\" (uid=0) interface=\"a.I\"";
    assert!(text(&answer).starts_with(start), "{}", text(&answer));
    assert_eq!(
        line(&answer),
        "apparmor=\"DENIED\" operation=\"dbus_method_call\" bus=\"system\" path=\"/a\" \
         interface=\"a.I\" member=\"Run\" mask=\"send\" name=\"a.b\" pid=11 label=\"me\" \
         peer_pid=12 peer_label=6120226222"
    );
    let answer = apparmor.may_receive(&call("me (enforce)", peer));
    assert!(
        line(&answer).ends_with(
            "mask=\"receive\" name=\":1.1\" pid=12 label=6120226222 peer_pid=11 peer_label=\"me\""
        ),
        "{}",
        line(&answer)
    );
    let reply = MessageQuestion { message_type: MessageType::Error, ..call("me (enforce)", peer) };
    let answer = apparmor.may_send(&reply);
    assert!(matches!(answer, Answer::Denied(Denial { log: None, .. })), "replies are not audited");
}

#[test]
fn who_cannot_be_asked_about_is_refused_and_the_reason_logged() {
    let errors = || io::Error::from(rustix::io::Errno::NOENT);
    let strange = || Ok(b"allow 0x1\n".to_vec());
    let check = |label: Option<&str>, answer: io::Result<Vec<u8>>, denied: bool, why: &str| {
        let (apparmor, _kernel) = apparmor(vec![answer]);
        let client = Party { label: label.map(str::as_bytes), ..party(":1.1", "", 11) };
        let answer = apparmor.may_own(&OwnQuestion { client, name: "a.b" });
        assert_eq!(matches!(answer, Answer::Denied(_)), denied, "{answer:?}");
        assert!(line(&answer).contains(why), "{}", line(&answer));
    };
    let unknown = "info=\"/sys/kernel/security/apparmor/.access: No such file or directory; load";
    check(Some("me (enforce)"), Err(errors()), true, unknown);
    check(Some("me (complain)"), Err(errors()), false, unknown);
    check(Some("me (enforce)"), strange(), true, "the kernel's answer is not understood");
    check(Some("me (enforce)"), Ok(vec![0xff; 80]), true, "the kernel's answer is not understood");
    check(None, strange(), true, "the kernel gave no label");
    check(Some("me\0x (enforce)"), strange(), true, "the kernel gave no label");
}
