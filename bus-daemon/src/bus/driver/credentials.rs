//! Who is behind a name (protocol.md A185–A188, A191–A193).

use std::borrow::Cow;

use libbus::wire::{BodyWriter, Signature};

use super::error_reply::Refusal;
use super::names::no_owner;
use super::{BUS_NAME, Call, UINT32};
use crate::bus::Bus;
use crate::bus::credentials::{PeerCredentials, ProcessFdSource};

const BYTES: Signature<'static> = Signature::from_static("ay");
const DICTIONARY: Signature<'static> = Signature::from_static("a{sv}");
const FD: Signature<'static> = Signature::from_static("h");
const UINT32S: Signature<'static> = Signature::from_static("au");

impl Bus {
    pub(super) fn get_connection_unix_user(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        let uid = self.credentials_of(name, "UID")?.uid;
        let uid = uid.ok_or_else(|| Refusal::UnknownUser { name: name.to_owned() })?;
        self.reply_uint32(&call.reply_to, uid);
        Ok(())
    }

    pub(super) fn get_connection_unix_process_id(
        &mut self,
        call: &Call<'_>,
    ) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        let pid = self.credentials_of(name, "PID")?.pid.and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| Refusal::UnknownProcessId { name: name.to_owned() })?;
        self.reply_uint32(&call.reply_to, pid);
        Ok(())
    }

    /// Solaris knows such data, Linux does not (protocol.md A187).
    pub(super) fn get_adt_audit_session_data(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        self.credentials_of(name, "audit session data")?;
        Err(Refusal::UnknownAuditData { name: name.to_owned() })
    }

    /// Answered only while SELinux mediates, as in the reference; the label of another security
    /// module is no SELinux context (protocol.md A188).
    pub(super) fn get_connection_selinux_security_context(
        &mut self,
        call: &Call<'_>,
    ) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        let label = self.credentials_of(name, "security context")?.security_label.clone();
        match label.filter(|_| self.identity.selinux_enabled) {
            Some(label) => {
                self.reply(&call.reply_to, BYTES, |body| body.bytes(&label));
                Ok(())
            }
            None => Err(Refusal::UnknownSecurityContext { name: name.to_owned() }),
        }
    }

    /// protocol.md A192: what is not known is left out, and so is a descriptor for whom too many wait
    /// already.
    pub(super) fn get_connection_credentials(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        let credentials = self.credentials_of(name, "credentials")?.into_owned();
        // One that does not read what it asks for would take them from everybody.
        let (users, pools, limits) = (self.clients.users(), &self.pools, &self.settings.limits);
        let takes_fd = self.clients.get(call.client()).is_some_and(|client| {
            client.unix_fds
                && (client.outbox.fds() as u64) < client.limits(limits).outgoing_unix_fds_max
                && client.has_room(users, pools, true)
        });
        let process_fd = credentials.process_fd.as_ref().filter(|_| takes_fd);
        let fds = process_fd.and_then(ProcessFdSource::open);
        self.reply_with_fds(&call.reply_to, DICTIONARY, fds.as_ref(), |_, body| {
            body.dict(|entries| {
                write_credentials(entries, &credentials, fds.is_some());
            });
        });
        Ok(())
    }

    /// Both kinds of name are accepted, and the bus's own (protocol.md A193). A client is the user
    /// as whom it authenticated: over TCP the socket knows none, and an anonymous client is nobody
    /// whoever its process runs as.
    fn credentials_of(
        &self,
        name: &str,
        what: &'static str,
    ) -> Result<Cow<'_, PeerCredentials>, Refusal> {
        if name == BUS_NAME.as_str() {
            return Ok(Cow::Borrowed(&self.identity.own_credentials));
        }
        let client = self.resolve_text(name).and_then(|client| self.clients.get(client));
        let client = client.ok_or_else(|| no_owner(what, name))?;
        if client.uid == client.credentials.uid {
            return Ok(Cow::Borrowed(&client.credentials));
        }
        let of_socket = client.credentials.clone();
        let uid = client.uid;
        Ok(Cow::Owned(PeerCredentials { uid, gid: None, groups: None, ..of_socket }))
    }
}

fn write_credentials(
    entries: &mut BodyWriter<'_>,
    credentials: &PeerCredentials,
    with_process_fd: bool,
) {
    let mut entry = |key: &str, signature, value: &dyn Fn(&mut BodyWriter<'_>)| {
        entries.dict_entry(|entry| {
            entry.string(key);
            entry.variant(signature, |body| value(body));
        });
    };
    if let Some(uid) = credentials.uid {
        entry("UnixUserID", UINT32, &|body| body.uint32(uid));
    }
    if let Some(groups) = &credentials.groups {
        entry("UnixGroupIDs", UINT32S, &|body| {
            body.array(UINT32, |ids| groups.iter().for_each(|gid| ids.uint32(*gid)));
        });
    }
    if let Some(pid) = credentials.pid.and_then(|pid| u32::try_from(pid).ok()) {
        entry("ProcessID", UINT32, &|body| body.uint32(pid));
    }
    if with_process_fd {
        entry("ProcessFD", FD, &|body| body.unix_fd(0));
    }
    if let Some(label) = &credentials.security_label {
        entry("LinuxSecurityLabel", BYTES, &|body| {
            body.bytes(&[&**label, b"\0"].concat());
        });
    }
}
