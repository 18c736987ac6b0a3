//! AppArmor, asked through its own file system (config.md B026, B115–B119).
//!
//! The kernel keeps the profiles and knows what rules of class `dbus` mean; the bus only asks
//! "which permissions has this label for this?" and acts on the answer. The question is bytes:
//!
//! ```text
//! label \0 LABEL \0 CLASS BUS [\0 NAME [\0 PEER-LABEL \0 PATH \0 INTERFACE \0 MEMBER]]
//! ```
//!
//! with the name for owning it, all of it for a message, nothing behind the bus's type for
//! eavesdropping; a part that does not exist is empty. The answer is four words of permission bits:
//! allowed, denied, to be logged, not to be logged.
//!
//! A label as the socket tells it is a name and, in parentheses, a mode. `unconfined` labels are not
//! asked about (B117); in the mode `complain` nothing is refused, but what would be is logged (B119).
//! A label that the kernel cannot be asked about is refused, unless its mode is `complain`.
//!
//! Nothing is remembered: profiles change at any time, and nobody would say so.

mod audit_line;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::Path;

use bus_policy::config::AppArmorMode;

use super::config_files::read_at_most;
use super::kernel_query::{KernelQuery, QueryFile};
use super::phrase;
use crate::bus::log::{AuditType, LogRecord, Severity};
use crate::bus::mediation::{
    Answer, Denial, EavesdropQuestion, Mediation, MessageQuestion, OwnQuestion, Party, Recipient,
};
use audit_line::AuditLine;

/// Where the kernel says whether AppArmor is on.
const ENABLED_FILE: &str = "sys/module/apparmor/parameters/enabled";
/// AppArmor's file system.
const FILE_SYSTEM: &str = "sys/kernel/security/apparmor";
/// The label of this process; the first that can be read.
const OWN_LABEL_FILES: [&str; 2] = ["proc/self/attr/apparmor/current", "proc/self/attr/current"];
/// All these files are a line.
const FILE_SIZE_MAX: usize = 64 * 1024;

/// The number of the class `dbus` in AppArmor's policies.
const CLASS_DBUS: u8 = 32;

/// A permission of that class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    Send,
    Receive,
    Eavesdrop,
    Bind,
}

impl Permission {
    const fn bit(self) -> u32 {
        match self {
            Self::Send => 1 << 1,
            Self::Receive => 1 << 2,
            Self::Eavesdrop => 1 << 5,
            Self::Bind => 1 << 6,
        }
    }

    /// As log lines have it.
    const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Eavesdrop => "eavesdrop",
            Self::Bind => "bind",
        }
    }
}

/// AppArmor, ready to be asked.
#[derive(Debug)]
pub struct AppArmor {
    kernel: Box<dyn KernelQuery>,
    /// Empty for a bus without a type.
    bus_type: String,
    own_label: Vec<u8>,
}

impl AppArmor {
    /// AppArmor of the machine whose file system starts at `root`, for a bus of this type; `None`
    /// if it is not wanted or not there.
    ///
    /// # Errors
    /// When it is required and not there, or does not say which label this process has.
    pub fn open(
        root: &Path,
        mode: AppArmorMode,
        bus_type: Option<&str>,
    ) -> Result<Option<Self>, String> {
        if mode == AppArmorMode::Disabled {
            return Ok(None);
        }
        match (is_supported(root), mode) {
            (Ok(()), _) => {}
            (Err(reason), AppArmorMode::Required) => {
                return Err(format!(
                    "AppArmor mediation required but not present: {reason}; start a kernel with \
                     AppArmor that mediates D-Bus, or write <apparmor mode=\"enabled\"/>"
                ));
            }
            (Err(_), _) => return Ok(None),
        }
        let kernel = QueryFile::new(&root.join(FILE_SYSTEM).join(".access"));
        Ok(Some(Self {
            kernel: Box::new(kernel),
            bus_type: bus_type.unwrap_or_default().to_owned(),
            own_label: own_label(root)?,
        }))
    }

    /// Asks for one permission.
    fn ask(&self, label: Option<&[u8]>, permission: Permission, rest: &[&[u8]]) -> Verdict {
        let Some(label) = label.map(Label::split).filter(|label| label.is_sound()) else {
            let reason = "the kernel gave no label for this connection; connect through a Unix \
                          socket, or disable <apparmor> in the configuration";
            return Verdict {
                decision: Decision::Denied,
                failure: Some(reason.to_owned()),
                ..Verdict::SILENT
            };
        };
        if label.is_unconfined() {
            return Verdict::SILENT;
        }
        let asked = self.kernel.ask(&question(label.name, &self.bus_type, rest));
        match asked.and_then(|answer| Permissions::parse(&answer)) {
            Ok(permissions) => Verdict {
                decision: label.decision(permissions.allows(permission)),
                is_audited: permissions.audits(permission),
                failure: None,
            },
            Err(error) => Verdict {
                decision: label.decision(false),
                is_audited: true,
                failure: Some(failure(&error)),
            },
        }
    }

    /// The label of whoever gets a message.
    fn recipient_label<'a>(&'a self, recipient: &Recipient<'a>) -> Option<&'a [u8]> {
        match recipient {
            Recipient::Client(party) => party.label,
            Recipient::Bus => Some(&self.own_label),
            Recipient::Activatable { assumed_label } => assumed_label.map(str::as_bytes),
        }
    }

    fn line(&self, verdict: &Verdict, operation: &str) -> AuditLine {
        let bus = if self.bus_type.is_empty() { "unknown" } else { &self.bus_type };
        let mut line = AuditLine::new(verdict.decision.name(), operation);
        line.text("bus", bus);
        line
    }

    fn message_line(
        &self,
        verdict: &Verdict,
        permission: Permission,
        question: &MessageQuestion<'_>,
    ) -> AuditLine {
        let mut line = self.line(verdict, question.type_name());
        line.optional("path", question.path);
        line.optional("interface", question.interface);
        line.optional("member", question.member);
        line.optional("error_name", question.error_name);
        line.text("mask", permission.name());
        let recipient = match &question.recipient {
            Recipient::Client(party) => (party.pid, party.label),
            other => (None, self.recipient_label(other)),
        };
        let sender = (question.sender.pid, question.sender.label);
        let (name, subject, peer) = match permission {
            Permission::Receive => (question.sender.name, recipient, sender),
            _ => (question.destination_or_bus(), sender, recipient),
        };
        line.text("name", name);
        line.party("pid", subject.0, "label", label_name(subject.1));
        line.party("peer_pid", peer.0, "peer_label", label_name(peer.1));
        line.optional("info", verdict.failure.as_deref());
        line
    }

    fn message_answer(
        &self,
        verdict: &Verdict,
        permission: Permission,
        question: &MessageQuestion<'_>,
    ) -> Answer {
        // AppArmor's language has no replies: one that is refused is dropped without a word.
        let is_audited = verdict.failure.is_some() || !question.is_reply();
        verdict.answer(
            || {
                question.denied(
                    "An AppArmor policy prevents this sender from sending this message to this \
                     recipient",
                )
            },
            || is_audited.then(|| self.message_line(verdict, permission, question)),
        )
    }

    fn client_line(
        &self,
        verdict: &Verdict,
        permission: Permission,
        client: &Party<'_>,
        name: Option<&str>,
    ) -> AuditLine {
        let mut line = self.line(verdict, permission.name());
        line.optional("name", name);
        line.text("mask", permission.name());
        line.party("pid", client.pid, "label", label_name(client.label));
        line.optional("info", verdict.failure.as_deref());
        line
    }
}

impl Mediation for AppArmor {
    fn is_active(&self) -> bool {
        true
    }

    fn may_own(&self, question: &OwnQuestion<'_>) -> Answer {
        let OwnQuestion { client, name } = question;
        let verdict = self.ask(client.label, Permission::Bind, &[name.as_bytes()]);
        verdict.answer(
            || client.own_denied(name, "AppArmor"),
            || Some(self.client_line(&verdict, Permission::Bind, client, Some(name))),
        )
    }

    fn may_send(&self, question: &MessageQuestion<'_>) -> Answer {
        // config.md B117: to allow a call is to allow its reply.
        if question.is_requested_reply {
            return Answer::Allowed;
        }
        let peer = label_name(self.recipient_label(&question.recipient)).unwrap_or_default();
        let rest = message_parts(question.destination_or_bus(), peer, question);
        let verdict = self.ask(question.sender.label, Permission::Send, &rest);
        self.message_answer(&verdict, Permission::Send, question)
    }

    fn may_receive(&self, question: &MessageQuestion<'_>) -> Answer {
        // A service that does not run is asked when it does.
        let starts = matches!(question.recipient, Recipient::Activatable { .. });
        if question.is_requested_reply || starts {
            return Answer::Allowed;
        }
        let peer = label_name(question.sender.label).unwrap_or_default();
        let rest = message_parts(question.sender.name, peer, question);
        let label = self.recipient_label(&question.recipient);
        let verdict = self.ask(label, Permission::Receive, &rest);
        self.message_answer(&verdict, Permission::Receive, question)
    }

    fn may_eavesdrop(&self, question: &EavesdropQuestion<'_>) -> Answer {
        let client = &question.client;
        let verdict = self.ask(client.label, Permission::Eavesdrop, &[]);
        verdict.answer(
            || client.eavesdrop_denied("AppArmor"),
            || Some(self.client_line(&verdict, Permission::Eavesdrop, client, None)),
        )
    }
}

/// The file is opened and not only looked for: a container may see a file that it may not open,
/// and then it may not ask either (config.md B115). The error is what is missing.
fn is_supported(root: &Path) -> Result<(), String> {
    let enabled = read_at_most(&root.join(ENABLED_FILE), FILE_SIZE_MAX);
    match enabled {
        Ok(Some(text)) if text.first() == Some(&b'Y') => {}
        // Older kernels let only root read it; the other file decides then.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        _ => return Err("AppArmor is not enabled".to_owned()),
    }
    let mask = Path::new("/").join(FILE_SYSTEM).join("features/dbus/mask");
    File::open(root.join(FILE_SYSTEM).join("features/dbus/mask"))
        .map(drop)
        .map_err(|error| format!("{}: {}", mask.display(), phrase(&error)))
}

fn own_label(root: &Path) -> Result<Vec<u8>, String> {
    let read = |name: &&str| read_at_most(&root.join(name), FILE_SIZE_MAX).ok().flatten();
    let label = OWN_LABEL_FILES.iter().find_map(read).unwrap_or_default();
    let label = label.split(|byte| matches!(byte, 0 | b'\n')).next().unwrap_or_default();
    if label.is_empty() {
        return Err(format!(
            "Error getting AppArmor context of bus: no label in /{}; mount /proc, or write \
             <apparmor mode=\"disabled\"/>",
            OWN_LABEL_FILES.join(" nor in /")
        ));
    }
    Ok(label.to_vec())
}

/// A label in its two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label<'a> {
    name: &'a [u8],
    mode: Option<&'a [u8]>,
}

impl<'a> Label<'a> {
    fn split(label: &'a [u8]) -> Self {
        let label = label.strip_suffix(b"\n").unwrap_or(label);
        let parts = label.strip_suffix(b")").and_then(|rest| {
            let at = rest.windows(2).rposition(|pair| pair == b" (")?;
            Some((rest.get(..at)?, rest.get(at + 2..)?))
        });
        match parts {
            Some((name, mode)) => Self { name, mode: Some(mode) },
            None => Self { name: label, mode: None },
        }
    }

    /// Whether it can stand in a question.
    fn is_sound(&self) -> bool {
        !self.name.is_empty() && !self.name.contains(&0)
    }

    fn is_unconfined(&self) -> bool {
        self.mode.unwrap_or(self.name) == b"unconfined"
    }

    fn decision(&self, allowed: bool) -> Decision {
        match (allowed, self.mode) {
            (true, _) => Decision::Allowed,
            (false, Some(b"complain")) => Decision::Tolerated,
            (false, _) => Decision::Denied,
        }
    }
}

fn label_name(label: Option<&[u8]>) -> Option<&[u8]> {
    label.map(|label| Label::split(label).name)
}

fn message_parts<'a>(
    name: &'a str,
    peer: &'a [u8],
    question: &MessageQuestion<'a>,
) -> [&'a [u8]; 5] {
    let bytes = |part: Option<&'a str>| part.unwrap_or_default().as_bytes();
    let MessageQuestion { path, interface, member, .. } = *question;
    [name.as_bytes(), peer, bytes(path), bytes(interface), bytes(member)]
}

fn question(label: &[u8], bus_type: &str, rest: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"label\0".to_vec();
    bytes.extend_from_slice(label);
    bytes.extend_from_slice(&[0, CLASS_DBUS]);
    bytes.extend_from_slice(bus_type.as_bytes());
    for part in rest {
        bytes.push(0);
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The kernel's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Permissions {
    allow: u32,
    deny: u32,
    audit: u32,
    quiet: u32,
}

impl Permissions {
    fn parse(answer: &[u8]) -> io::Result<Self> {
        let strange = || io::Error::other("the kernel's answer is not understood");
        let text = std::str::from_utf8(answer).map_err(|_| strange())?;
        let mut lines = text.lines();
        let mut word = |name: &str| {
            let line = lines.next()?.strip_prefix(name)?.strip_prefix(" 0x")?;
            u32::from_str_radix(line, 16).ok()
        };
        let mut words = || {
            let (allow, deny) = (word("allow")?, word("deny")?);
            Some(Self { allow, deny, audit: word("audit")?, quiet: word("quiet")? })
        };
        words().ok_or_else(strange)
    }

    const fn allows(self, permission: Permission) -> bool {
        self.allow & !self.deny & permission.bit() != 0
    }

    /// What is refused is logged, unless the profile says to be quiet.
    const fn audits(self, permission: Permission) -> bool {
        let audit = if self.allows(permission) { self.audit } else { u32::MAX };
        audit & !self.quiet & permission.bit() != 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Allowed,
    /// Refused by a profile that is in the mode `complain`.
    Tolerated,
    Denied,
}

impl Decision {
    /// config.md B118, B119
    // deviation: the reference writes ALLOWED for what a profile allows and audits, too; the
    // kernel's own lines, and tools that read them, tell the two apart.
    const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "AUDIT",
            Self::Tolerated => "ALLOWED",
            Self::Denied => "DENIED",
        }
    }
}

/// What comes of one question.
#[derive(Clone, Debug)]
struct Verdict {
    decision: Decision,
    is_audited: bool,
    /// Why the kernel did not answer, and what to do about it.
    failure: Option<String>,
}

impl Verdict {
    const SILENT: Self = Self { decision: Decision::Allowed, is_audited: false, failure: None };

    fn answer(
        &self,
        text: impl FnOnce() -> String,
        line: impl FnOnce() -> Option<AuditLine>,
    ) -> Answer {
        let denied = self.decision == Decision::Denied;
        let severity = if denied { Severity::Security } else { Severity::Info };
        let is_logged = self.is_audited || self.failure.is_some();
        let line = if is_logged { line() } else { None };
        let log =
            line.map(|line| LogRecord::of(severity, line.finish()).audited(AuditType::Verdict));
        match (denied, log) {
            (true, log) => Answer::Denied(Denial { text: self.denial_text(text), log }),
            (false, Some(record)) => Answer::AllowedAndLogged(record),
            (false, None) => Answer::Allowed,
        }
    }

    fn denial_text(&self, text: impl FnOnce() -> String) -> String {
        self.failure
            .as_ref()
            .map_or_else(text, |failure| format!("Failed to query AppArmor policy: {failure}"))
    }
}

/// Why a question failed, and what to do.
fn failure(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "load the profile of this label, or restart the program",
        io::ErrorKind::PermissionDenied => "allow the bus to write to that file",
        _ => "see the log of the kernel",
    };
    format!("/{FILE_SYSTEM}/.access: {}; {remedy}", phrase(error))
}
