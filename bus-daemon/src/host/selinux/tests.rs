//! SELinux with a file system of plain files and a kernel that answers from a table.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;

use super::*;
use crate::bus::mediation::Party;
use crate::host::tests_support::{self, TemporaryDirectory, party};

const ALL: &str = "ffffffff ffffffff 0 ffffffff 1 0";
const NONE: &str = "0 ffffffff 0 ffffffff 1 0";

/// Gives the same answer until it is told another one, and counts.
#[derive(Debug, Default)]
struct FakeKernel {
    answer: RefCell<Option<&'static str>>,
    question: RefCell<String>,
    count: Cell<u32>,
}

impl KernelQuery for Rc<FakeKernel> {
    fn ask(&self, question: &[u8]) -> io::Result<Vec<u8>> {
        self.count.set(self.count.get() + 1);
        *self.question.borrow_mut() = String::from_utf8(question.to_vec()).unwrap();
        let answer = *self.answer.borrow();
        answer.map(Into::into).ok_or_else(|| rustix::io::Errno::INVAL.into())
    }
}

struct Machine {
    root: TemporaryDirectory,
    kernel: Rc<FakeKernel>,
}

impl Machine {
    /// Enforcing, with a policy that knows the class.
    fn new() -> Self {
        let machine = Self { root: TemporaryDirectory::new(), kernel: Rc::default() };
        machine.write("proc/self/attr/current", "system_u:system_r:bus_t:s0\0");
        machine.write("sys/fs/selinux/enforce", "1");
        machine.write("sys/fs/selinux/deny_unknown", "0");
        machine.write("sys/fs/selinux/class/dbus/index", "52");
        machine.write("sys/fs/selinux/class/dbus/perms/acquire_svc", "1");
        machine.write("sys/fs/selinux/class/dbus/perms/send_msg", "2");
        machine
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.root.path().join(name)).unwrap();
    }

    fn answer(&self, answer: &'static str) {
        *self.kernel.answer.borrow_mut() = Some(answer);
    }

    fn selinux(&self, has_notices: bool) -> Selinux {
        let contexts = [("a.b".to_owned(), "u:r:name_t:s0".to_owned())].into();
        let mut selinux = Selinux::open(self.root.path(), &contexts, has_notices).unwrap().unwrap();
        selinux.kernel = Box::new(Rc::clone(&self.kernel));
        selinux
    }
}

fn own(name: &str) -> OwnQuestion<'_> {
    OwnQuestion { client: party(":1.1", "u:r:a_t:s0", 11), name }
}

fn call(recipient: Recipient<'_>) -> MessageQuestion<'_> {
    tests_support::call("u:r:a_t:s0", recipient)
}

fn peer() -> Recipient<'static> {
    Recipient::Client(party(":1.2", "u:r:b_t:s0:c1,c2", 12))
}

/// `allowed`, `logged: LINE`, `denied` or `denied: LINE`.
fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Allowed => "allowed".to_owned(),
        Answer::AllowedAndLogged(record) => format!("logged: {}", record.text),
        Answer::Denied(Denial { log: None, .. }) => "denied".to_owned(),
        Answer::Denied(Denial { log: Some(record), .. }) => format!("denied: {}", record.text),
    }
}

// config.md B110
#[test]
fn it_is_there_where_its_file_system_is() {
    let machine = Machine::new();
    let open = || Selinux::open(machine.root.path(), &BTreeMap::new(), true);
    assert_eq!(open().unwrap().unwrap().own_context, b"system_u:system_r:bus_t:s0");
    machine.write("proc/self/attr/current", "");
    assert!(open().unwrap_err().contains("it holds no context"));
    machine.remove("proc/self/attr/current");
    assert!(open().unwrap_err().contains("No such file or directory"));
    machine.remove("sys/fs/selinux/enforce");
    assert!(open().unwrap().is_none());
}

// config.md B025, B110
#[test]
fn the_questions_are_what_the_kernel_expects() {
    let machine = Machine::new();
    machine.answer(ALL);
    let selinux = machine.selinux(true);
    let check = |answer: Answer, expected: &str| {
        assert_eq!(answer, Answer::Allowed);
        assert_eq!(*machine.kernel.question.borrow(), expected);
    };
    check(selinux.may_own(&own("a.b")), "u:r:a_t:s0 u:r:name_t:s0 52 1");
    check(selinux.may_own(&own("a.c")), "u:r:a_t:s0 system_u:system_r:bus_t:s0 52 1");
    check(selinux.may_send(&call(peer())), "u:r:a_t:s0 u:r:b_t:s0:c1,c2 52 2");
    let count = machine.kernel.count.get();
    assert_eq!(selinux.may_receive(&call(peer())), Answer::Allowed);
    let starts = Recipient::Activatable { assumed_label: None };
    assert_eq!(selinux.may_send(&call(starts)), Answer::Allowed);
    let client = own("").client;
    assert_eq!(selinux.may_eavesdrop(&EavesdropQuestion { client }), Answer::Allowed);
    assert_eq!(machine.kernel.count.get(), count, "nothing to ask");
    selinux.set_associations(&[("a.c".to_owned(), "u:r:c_t:s0".to_owned())].into());
    check(selinux.may_own(&own("a.c")), "u:r:a_t:s0 u:r:c_t:s0 52 1");
}

// config.md B112
#[test]
fn denials_say_who_and_what() {
    let machine = Machine::new();
    machine.answer(NONE);
    let selinux = machine.selinux(true);
    let answer = selinux.may_own(&own("a.b"));
    assert_eq!(
        describe(&answer),
        "denied: avc:  denied  { acquire_svc } for service=a.b spid=11 scontext=u:r:a_t:s0 \
         tcontext=u:r:name_t:s0 tclass=dbus permissive=0"
    );
    let Answer::Denied(Denial { text, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(
        text,
        "Connection \":1.1\" is not allowed to own the service \"a.b\" due to SELinux policy"
    );
    let answer = selinux.may_send(&call(peer()));
    assert_eq!(
        describe(&answer),
        "denied: avc:  denied  { send_msg } for msgtype=method_call interface=a.I member=Run \
         dest=a.b spid=11 tpid=12 scontext=u:r:a_t:s0 tcontext=u:r:b_t:s0:c1,c2 tclass=dbus \
         permissive=0"
    );
    let Answer::Denied(Denial { text, .. }) = answer else { panic!("{answer:?}") };
    let start = "An SELinux policy prevents this sender from sending this message to this \
                 recipient, 0 matched rules; type=\"method_call\", sender=\":1.1\" (uid=0)";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn each_word_of_the_answer_counts() {
    let check = |case: &str, enforce: &str, answer: &'static str, expected: &str| {
        let machine = Machine::new();
        machine.write("sys/fs/selinux/enforce", enforce);
        machine.answer(answer);
        let answer = describe(&machine.selinux(true).may_send(&call(peer())));
        assert!(answer.starts_with(expected), "{case}: {answer}");
        let permissive = answer.contains("permissive=1");
        assert_eq!(permissive, expected.starts_with("logged: avc:  denied"), "{case}: {answer}");
    };
    check("allowed", "1", ALL, "allowed");
    check("allowed, audited", "1", "2 0 2 0 1 0", "logged: avc:  granted  { send_msg }");
    check("another permission", "1", "1 0 0 2 1 0", "denied: avc:  denied  { send_msg }");
    check("denied quietly", "1", "0 0 0 0 1 0", "denied");
    check("permissive mode", "0", NONE, "logged: avc:  denied  { send_msg }");
    check("permissive mode, quietly", "0", "0 0 0 0 1 0", "allowed");
    check("permissive domain", "1", "0 0 0 2 1 1", "logged: avc:  denied  { send_msg }");
}

// config.md B111
#[test]
fn answers_are_remembered_until_a_notice() {
    let machine = Machine::new();
    machine.answer(ALL);
    let selinux = machine.selinux(true);
    for _ in 0..3 {
        assert_eq!(selinux.may_send(&call(peer())), Answer::Allowed);
    }
    assert_eq!(machine.kernel.count.get(), 1);
    machine.answer(NONE);
    machine.write("sys/fs/selinux/class/dbus/index", "60");
    machine.write("sys/fs/selinux/class/dbus/perms/send_msg", "3");
    assert_eq!(selinux.may_send(&call(peer())), Answer::Allowed);
    assert_eq!(selinux.refresh(), []);
    assert!(matches!(selinux.may_send(&call(peer())), Answer::Denied(_)));
    assert!(machine.kernel.question.borrow().ends_with(" 60 4"), "the new numbers");
    machine.write("sys/fs/selinux/enforce", "0");
    let records = selinux.refresh();
    assert_eq!(records[0].text, "avc:  received setenforce notice (enforcing=0)");
    assert!(matches!(selinux.may_send(&call(peer())), Answer::AllowedAndLogged(_)));
}

#[test]
fn without_notices_nothing_is_remembered() {
    let machine = Machine::new();
    machine.answer(ALL);
    let selinux = machine.selinux(false);
    assert_eq!(selinux.may_send(&call(peer())), Answer::Allowed);
    machine.answer(NONE);
    assert!(matches!(selinux.may_send(&call(peer())), Answer::Denied(_)));
    machine.write("sys/fs/selinux/enforce", "0");
    assert!(matches!(selinux.may_send(&call(peer())), Answer::AllowedAndLogged(_)));
    machine.remove("sys/fs/selinux/enforce");
    assert!(matches!(selinux.may_send(&call(peer())), Answer::Denied(_)), "as it was at the start");
}

#[test]
fn who_cannot_be_asked_about_is_refused_and_the_reason_logged() {
    let check = |machine: &Machine, question: &MessageQuestion<'_>, why: &str| {
        let answer = describe(&machine.selinux(true).may_send(question));
        assert!(answer.starts_with("denied: SELinux cannot be asked for send_msg ("), "{answer}");
        assert!(answer.contains(why) && answer.contains("refused; check"), "{answer}");
        machine.write("sys/fs/selinux/enforce", "0");
        let answer = describe(&machine.selinux(true).may_send(question));
        assert!(answer.starts_with("logged: ") && answer.contains(why), "{answer}");
        machine.write("sys/fs/selinux/enforce", "1");
    };
    let machine = Machine::new();
    check(&machine, &call(peer()), "/sys/fs/selinux/access: Invalid argument");
    machine.answer("nonsense");
    check(&machine, &call(peer()), "the kernel's answer is not understood");
    let nobody = Party { label: None, ..party(":1.2", "", 12) };
    check(&machine, &call(Recipient::Client(nobody)), "the kernel gave no context");
    let spaced = Recipient::Client(party(":1.2", "u:r:b_t:s0 52 2", 12));
    check(&machine, &call(spaced), "a security context has spaces or is empty");
}

#[test]
fn a_policy_without_the_class_decides_by_its_own_rule() {
    let machine = Machine::new();
    let answer = || describe(&machine.selinux(true).may_send(&call(peer())));
    machine.remove("sys/fs/selinux/class/dbus/perms/send_msg");
    assert_eq!(answer(), "allowed", "the permission is unknown");
    machine.remove("sys/fs/selinux/class/dbus/index");
    assert_eq!(answer(), "allowed", "the class is unknown");
    machine.write("sys/fs/selinux/deny_unknown", "1");
    assert!(answer().starts_with("denied: SELinux cannot be asked"), "{}", answer());
    machine.write("sys/fs/selinux/enforce", "0");
    assert!(answer().starts_with("logged: "), "{}", answer());
}
