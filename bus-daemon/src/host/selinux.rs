//! SELinux, asked through its own file system (config.md B025, B110–B114).
//!
//! The loaded policy knows a class `dbus` with two permissions: `acquire_svc`, from the client's
//! context to the one that the configuration associates with the name, and `send_msg`, from the
//! sender's context to the recipient's. What has no context of its own stands under that of the bus.
//! The question is text, `SOURCE TARGET CLASS PERMISSION`, and so is the answer:
//!
//! ```text
//! ALLOWED DECIDED AUDIT-ALLOW AUDIT-DENY POLICY-NUMBER FLAGS
//! ```
//!
//! all hexadecimal but the number of the policy. A refusal counts if SELinux enforces and the
//! source's domain is not permissive; otherwise it is only logged. A question that cannot be asked
//! is refused in the same way.
//!
//! Answers are remembered (`DecisionCache`) until the kernel gives notice of another policy or
//! mode ([`notices::SelinuxNotices`]) and the host calls [`Mediation::refresh`]. Where there are no
//! notices nothing is remembered, and the mode is read again before each refusal.

mod decision;
pub mod notices;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use super::config_files::read_at_most;
use super::kernel_query::{KernelQuery, QueryFile};
use super::phrase;
use crate::bus::log::{AuditType, LogRecord, Severity};
use crate::bus::mediation::{
    Answer, Denial, EavesdropQuestion, Mediation, MessageQuestion, OwnQuestion, Recipient,
};
use decision::{Decision, DecisionCache};

/// SELinux's file system.
const FILE_SYSTEM: &str = "sys/fs/selinux";
/// The context of this process.
const OWN_CONTEXT_FILE: &str = "proc/self/attr/current";
/// All files read here are a line.
const FILE_SIZE_MAX: usize = 64 * 1024;

/// A permission of the class `dbus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    AcquireService,
    SendMessage,
}

impl Permission {
    const fn name(self) -> &'static str {
        match self {
            Self::AcquireService => "acquire_svc",
            Self::SendMessage => "send_msg",
        }
    }
}

/// SELinux, ready to be asked.
#[derive(Debug)]
pub struct Selinux {
    directory: PathBuf,
    kernel: Box<dyn KernelQuery>,
    own_context: Vec<u8>,
    /// Whether the kernel gives notice of changes, so that answers may be remembered.
    has_notices: bool,
    policy: RefCell<Policy>,
    cache: RefCell<DecisionCache>,
    /// Contexts of names (config.md B025).
    associations: RefCell<BTreeMap<String, String>>,
}

/// What is known of the loaded policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    enforcing: bool,
    /// Whether what the policy does not know is refused.
    denies_unknown: bool,
    /// The number of the class `dbus`, if the policy has it.
    class: Option<u16>,
    acquire_service: Option<u32>,
    send_message: Option<u32>,
}

impl Policy {
    const fn bit(&self, permission: Permission) -> Option<u32> {
        match permission {
            Permission::AcquireService => self.acquire_service,
            Permission::SendMessage => self.send_message,
        }
    }
}

impl Selinux {
    /// SELinux of the machine whose file system starts at `root`; `None` if it is not enabled.
    /// `has_notices`: whether the host will call [`Mediation::refresh`] after each change.
    ///
    /// # Errors
    /// When the context of this process cannot be read.
    pub fn open(
        root: &Path,
        associations: &BTreeMap<String, String>,
        has_notices: bool,
    ) -> Result<Option<Self>, String> {
        let directory = root.join(FILE_SYSTEM);
        if !Self::is_enabled(root) {
            return Ok(None);
        }
        let context = read_at_most(&root.join(OWN_CONTEXT_FILE), FILE_SIZE_MAX);
        let context = context.map(Option::unwrap_or_default);
        let own_context = match context.as_deref().map(trimmed) {
            Ok(context) if is_sound(context) => context.to_vec(),
            Ok(_) => return Err(no_own_context("it holds no context")),
            Err(error) => return Err(no_own_context(&phrase(error))),
        };
        let selinux = Self {
            kernel: Box::new(QueryFile::new(&directory.join("access"))),
            policy: RefCell::new(read_policy(&directory)),
            directory,
            own_context,
            has_notices,
            cache: RefCell::new(DecisionCache::default()),
            associations: RefCell::new(BTreeMap::new()),
        };
        selinux.set_associations(associations);
        Ok(Some(selinux))
    }

    /// Whether the machine whose file system starts at `root` has SELinux.
    #[must_use]
    pub fn is_enabled(root: &Path) -> bool {
        root.join(FILE_SYSTEM).join("enforce").exists()
    }

    /// Checks one permission. `target`: the bus, if it is `None`.
    fn check(
        &self,
        permission: Permission,
        source: Option<&[u8]>,
        target: Target<'_>,
        subject: &dyn fmt::Display,
    ) -> Verdict {
        let target = match target {
            Target::Bus => Some(&*self.own_context),
            Target::Context(context) => context,
        };
        let (Some(source), Some(target)) = (source, target) else {
            return self.cannot_ask(
                permission,
                subject,
                "the kernel gave no context for a connection",
            );
        };
        let policy = *self.policy.borrow();
        let (Some(class), Some(bit)) = (policy.class, policy.bit(permission)) else {
            return self.unknown(permission, subject);
        };
        let decision = match self.decide(source, target, class, bit) {
            Ok(decision) => decision,
            Err(error) => {
                let reason = format!("/{FILE_SYSTEM}/access: {}", phrase(&error));
                return self.cannot_ask(permission, subject, &reason);
            }
        };
        let permitted = decision.allowed & bit != 0;
        let is_denied = !permitted && !decision.is_permissive && self.is_enforcing();
        let audited = if permitted { decision.audit_allow } else { decision.audit_deny };
        let line = (audited & bit != 0).then(|| {
            let (source, target) =
                (String::from_utf8_lossy(source), String::from_utf8_lossy(target));
            let verb = if permitted { "granted" } else { "denied" };
            let mut line = format!(
                "avc:  {verb}  {{ {} }} for {subject} scontext={source} tcontext={target} \
                 tclass=dbus",
                permission.name()
            );
            if !permitted {
                // INVARIANT: writing to a String cannot fail.
                let _ = write!(line, " permissive={}", u8::from(!is_denied));
            }
            line
        });
        Verdict { is_denied, line }
    }

    fn decide(&self, source: &[u8], target: &[u8], class: u16, bit: u32) -> io::Result<Decision> {
        if let Some(known) = self.cache.borrow_mut().find(source, target) {
            return Ok(known);
        }
        if !is_sound(source) || !is_sound(target) {
            return Err(io::Error::other("a security context has spaces or is empty"));
        }
        let mut question = Vec::with_capacity(source.len() + target.len() + 20);
        question.extend_from_slice(source);
        question.push(b' ');
        question.extend_from_slice(target);
        question.extend_from_slice(format!(" {class} {bit:x}").as_bytes());
        let decision = Decision::parse(&self.kernel.ask(&question)?)?;
        if self.has_notices {
            self.cache.borrow_mut().insert(source, target, decision);
        }
        Ok(decision)
    }

    /// The mode, read anew if nobody says when it changes.
    fn is_enforcing(&self) -> bool {
        let remembered = self.policy.borrow().enforcing;
        if self.has_notices {
            remembered
        } else {
            read_flag(&self.directory, "enforce", remembered)
        }
    }

    /// A question that has no answer is refused where SELinux enforces.
    fn cannot_ask(&self, permission: Permission, subject: &dyn fmt::Display, why: &str) -> Verdict {
        let is_denied = self.is_enforcing();
        let line = format!(
            "SELinux cannot be asked for {} ({subject}): {why}; {}; check that the contexts are \
             valid in the loaded policy and that the bus may ask for decisions",
            permission.name(),
            if is_denied { "refused" } else { "allowed, since SELinux is permissive" }
        );
        Verdict { is_denied, line: Some(line) }
    }

    /// The policy does not know the class or the permission.
    fn unknown(&self, permission: Permission, subject: &dyn fmt::Display) -> Verdict {
        if !self.policy.borrow().denies_unknown {
            return Verdict { is_denied: false, line: None };
        }
        let why = "the loaded policy does not know this permission of class dbus and refuses what \
                   it does not know";
        self.cannot_ask(permission, subject, why)
    }
}

impl Mediation for Selinux {
    fn is_active(&self) -> bool {
        true
    }

    fn may_own(&self, question: &OwnQuestion<'_>) -> Answer {
        let OwnQuestion { client, name } = question;
        let associations = self.associations.borrow();
        let associated = associations.get(*name);
        let target =
            associated.map_or(Target::Bus, |context| Target::Context(Some(context.as_bytes())));
        let subject = OwnSubject(question);
        let verdict = self.check(Permission::AcquireService, client.label, target, &subject);
        verdict.answer(|| client.own_denied(name, "SELinux"))
    }

    /// Asks for both directions: the permission is about the pair.
    fn may_send(&self, question: &MessageQuestion<'_>) -> Answer {
        let target = match &question.recipient {
            Recipient::Client(party) => Target::Context(party.label),
            Recipient::Bus => Target::Bus,
            // Nobody knows the context yet; the message is asked about when the service runs.
            Recipient::Activatable { .. } => return Answer::Allowed,
        };
        let subject = MessageSubject(question);
        let verdict = self.check(Permission::SendMessage, question.sender.label, target, &subject);
        verdict.answer(|| {
            question.denied(
                "An SELinux policy prevents this sender from sending this message to this \
                 recipient, 0 matched rules",
            )
        })
    }

    fn may_receive(&self, _question: &MessageQuestion<'_>) -> Answer {
        Answer::Allowed
    }

    /// There is no permission for it: each message is asked about.
    fn may_eavesdrop(&self, _question: &EavesdropQuestion<'_>) -> Answer {
        Answer::Allowed
    }

    fn set_associations(&self, contexts: &BTreeMap<String, String>) {
        self.associations.replace(contexts.clone());
    }

    fn refresh(&self) -> Vec<LogRecord> {
        let fresh = read_policy(&self.directory);
        self.cache.borrow_mut().clear();
        let old = self.policy.replace(fresh);
        let mut records = Vec::new();
        let mut say = |text: String| {
            let record = LogRecord::of(Severity::Info, text);
            records.push(record.audited(AuditType::ModeChange));
        };
        if old.enforcing != fresh.enforcing {
            let enforcing = u8::from(fresh.enforcing);
            say(format!("avc:  received setenforce notice (enforcing={enforcing})"));
        }
        if fresh.class.is_none() && old.class.is_some() {
            say("avc:  the loaded policy has no class dbus any more".to_owned());
        }
        records
    }
}

/// What a permission is for.
#[derive(Clone, Copy)]
enum Target<'a> {
    Bus,
    /// `None`: the kernel did not say which.
    Context(Option<&'a [u8]>),
}

/// What comes of one check.
struct Verdict {
    is_denied: bool,
    line: Option<String>,
}

impl Verdict {
    fn answer(self, text: impl FnOnce() -> String) -> Answer {
        let severity = if self.is_denied { Severity::Security } else { Severity::Info };
        let record = |text| LogRecord::of(severity, text).audited(AuditType::Verdict);
        let log = self.line.map(record);
        match (self.is_denied, log) {
            (true, log) => Answer::Denied(Denial { text: text(), log }),
            (false, Some(record)) => Answer::AllowedAndLogged(record),
            (false, None) => Answer::Allowed,
        }
    }
}

/// config.md B112
struct OwnSubject<'a>(&'a OwnQuestion<'a>);

impl fmt::Display for OwnSubject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OwnQuestion { client, name } = self.0;
        write!(f, "service={name}")?;
        client.pid.map_or(Ok(()), |pid| write!(f, " spid={pid}"))
    }
}

/// config.md B112
struct MessageSubject<'a>(&'a MessageQuestion<'a>);

impl fmt::Display for MessageSubject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let question = self.0;
        write!(f, "msgtype={}", question.type_name())?;
        let parts = [
            ("interface", question.interface),
            ("member", question.member),
            ("error_name", question.error_name),
            ("dest", Some(question.destination_or_bus())),
        ];
        for (key, value) in parts {
            value.map_or(Ok(()), |value| write!(f, " {key}={value}"))?;
        }
        let recipient = match &question.recipient {
            Recipient::Client(party) => party.pid,
            Recipient::Bus | Recipient::Activatable { .. } => None,
        };
        for (key, pid) in [("spid", question.sender.pid), ("tpid", recipient)] {
            pid.map_or(Ok(()), |pid| write!(f, " {key}={pid}"))?;
        }
        Ok(())
    }
}

/// Whether a context can stand in a question, whose parts are separated by spaces.
fn is_sound(context: &[u8]) -> bool {
    !context.is_empty() && !context.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0)
}

fn no_own_context(why: &str) -> String {
    format!("Error getting context of bus: /{OWN_CONTEXT_FILE}: {why}; mount /proc")
}

fn read_policy(directory: &Path) -> Policy {
    let class = directory.join("class/dbus");
    let bit = |permission: Permission| {
        let number: u32 = read_number(&class.join("perms").join(permission.name()))?;
        // Permissions count from 1.
        1_u32.checked_shl(number.checked_sub(1)?)
    };
    Policy {
        // What cannot be read is taken for the stricter of the two.
        enforcing: read_flag(directory, "enforce", true),
        denies_unknown: read_flag(directory, "deny_unknown", true),
        class: read_number(&class.join("index")),
        acquire_service: bit(Permission::AcquireService),
        send_message: bit(Permission::SendMessage),
    }
}

fn read_flag(directory: &Path, name: &str, default: bool) -> bool {
    read_number::<u32>(&directory.join(name)).map_or(default, |number| number != 0)
}

fn read_number<N: std::str::FromStr>(path: &Path) -> Option<N> {
    let content = read_at_most(path, FILE_SIZE_MAX).ok()??;
    std::str::from_utf8(trimmed(&content)).ok()?.parse().ok()
}

/// Without the NUL or line end behind it.
fn trimmed(content: &[u8]) -> &[u8] {
    let end = content.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(content.len());
    content.get(..end).unwrap_or_default()
}
