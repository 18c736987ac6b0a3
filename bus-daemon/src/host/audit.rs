//! The kernel's audit, which is told what a security module says (config.md B113, B118; linux/audit.h,
//! netlink(7)).
//!
//! A record is one netlink message whose text ends as those of all programs do that are asked for
//! permissions: by which program, for whom. The kernel adds process, user and session. Nothing waits
//! for an answer: the log has the same line in any case.

use std::os::fd::OwnedFd;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};

use super::resource_limits::may_audit;
use crate::bus::log::AuditType;

/// Bytes of a netlink message before its text.
const HEADER_SIZE: usize = 16;
/// The kernel takes less than 8,970 bytes.
const TEXT_SIZE_MAX: usize = 8_192;
/// `NLM_F_REQUEST`
const REQUEST: u16 = 1;

/// Where records go.
#[derive(Debug)]
pub(super) struct Audit {
    socket: OwnedFd,
    /// How each text ends.
    end: String,
}

impl Audit {
    /// The kernel's audit, if there is one and this thread may write to it.
    pub(super) fn open() -> Option<Self> {
        if !may_audit() {
            return None;
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::AUDIT);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol).ok()?;
        Some(Self { socket, end: end_of_text() })
    }

    /// Hands over one record; the kernel may drop it when it has too many.
    pub(super) fn write(&self, audit_type: AuditType, text: &str) {
        let message = message(audit_type, REQUEST, text, &self.end);
        let _ = sendto(&self.socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0));
    }
}

/// By which program, for whom.
fn end_of_text() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let uid = rustix::process::getuid().as_raw();
    let program = quoted(&program.to_string_lossy());
    format!(" exe=\"{program}\" sauid={uid} hostname=? addr=? terminal=?")
}

fn message(audit_type: AuditType, flags: u16, text: &str, end: &str) -> Vec<u8> {
    let mut text = quoted(text);
    while text.len() + end.len() > TEXT_SIZE_MAX {
        if text.pop().is_none() {
            break;
        }
    }
    text.push_str(end);
    let size = HEADER_SIZE + text.len() + 1;
    let mut message = Vec::with_capacity(size);
    // INVARIANT: the text is bounded.
    message.extend((size as u32).to_ne_bytes());
    message.extend(number_of(audit_type).to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence number and port: nobody asks.
    message.extend([0; 8]);
    message.extend(text.as_bytes());
    message.push(0);
    message
}

/// `AUDIT_USER_AVC` (linux/audit.h), `AUDIT_USER_MAC_POLICY_LOAD` and `AUDIT_USER_MAC_STATUS`
/// (the latter two are among the numbers that it leaves to programs).
const fn number_of(audit_type: AuditType) -> u16 {
    match audit_type {
        AuditType::Verdict => 1107,
        AuditType::PolicyLoad => 2310,
        AuditType::ModeChange => 2313,
    }
}

/// A record stands between apostrophes.
fn quoted(text: &str) -> String {
    text.replace('\'', "?")
}

#[cfg(test)]
mod tests {
    use rustix::net::{RecvFlags, recv};

    use super::*;

    /// `NLM_F_ACK`
    const ACKNOWLEDGE: u16 = 4;
    /// Where an acknowledgement has its error number.
    const ERROR: std::ops::Range<usize> = 16..20;

    // config.md B113
    #[test]
    fn the_kernel_takes_each_kind_of_record() {
        let Some(audit) = Audit::open() else { return };
        for audit_type in [AuditType::Verdict, AuditType::PolicyLoad, AuditType::ModeChange] {
            let flags = REQUEST | ACKNOWLEDGE;
            let message = message(audit_type, flags, "avc:  test of the bus", &audit.end);
            let kernel = SocketAddrNetlink::new(0, 0);
            sendto(&audit.socket, &message, SendFlags::empty(), &kernel).unwrap();
            let mut answer = [0; 64];
            recv(&audit.socket, &mut answer, RecvFlags::empty()).unwrap();
            let error = i32::from_ne_bytes(answer[ERROR].try_into().unwrap());
            // A container's kernel may have none to write to.
            let none = -rustix::io::Errno::CONNREFUSED.raw_os_error();
            assert!([0, none].contains(&error), "{audit_type:?}: {error}");
        }
    }

    #[test]
    fn a_record_ends_as_those_of_all_programs_and_stays_between_its_apostrophes() {
        let of = |text: &str| message(AuditType::Verdict, REQUEST, text, &end_of_text());
        let message = of("a' b");
        assert_eq!(message[..4], (message.len() as u32).to_ne_bytes());
        assert_eq!(message[4..6], 1107_u16.to_ne_bytes());
        let text = std::str::from_utf8(&message[HEADER_SIZE..]).unwrap();
        assert!(text.starts_with("a? b exe=\"/"), "{text}");
        assert!(text.ends_with(" hostname=? addr=? terminal=?\0"), "{text}");
        let long = of(&"ä".repeat(TEXT_SIZE_MAX));
        assert!(long.len() <= HEADER_SIZE + TEXT_SIZE_MAX + 1 && long.ends_with(b"terminal=?\0"));
    }
}
