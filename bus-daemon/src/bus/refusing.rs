//! What is said when a message goes nowhere: to its sender, to the administrator, and to monitors
//! (protocol.md A150, A241).

use bus_policy::question::Circumstances;
use libbus::wire::{Header, MessageType};

use super::Bus;
use super::credentials::PeerCredentials;
use super::driver::error_reply::Refusal;
use super::id::ClientId;
use super::log::{LogRecord, Severity};
use super::policing::{Denial, Party, Passage};
use super::routing::Message;
use super::unique_name::UniqueNameText;

impl Bus {
    /// Tells the sender why its message went nowhere (protocol.md A150), and the administrator when
    /// it was policy or a limit.
    pub(super) fn refuse(&mut self, message: &Message<'_>, refusal: &Refusal) {
        self.refused += 1;
        if let Some(severity) = refusal.log_severity()
            && self.may_log_refusal(message.sender)
        {
            let mut record = if refusal.names_sender() {
                LogRecord::new(severity, &format_args!("{refusal}"))
            } else {
                let who = self.describe(message.sender);
                LogRecord::new(severity, &format_args!("{refusal}; asked by {who}"))
            };
            if severity == Severity::Security {
                record.fields = self.log_fields(message.header, message.sender, refusal.rule());
            }
            self.log(record);
        }
        self.send_error_from_driver(message.sender, Some(message.header.serial), refusal);
    }

    pub(super) fn queue_full(
        &self,
        message: &Message<'_>,
        recipient: ClientId,
        requested_reply: bool,
    ) -> Refusal {
        let why = "Rejected: destination has a full message queue, 0 matched rules";
        let limits = self.limits_of(recipient);
        let (from, to) = (Some(message.sender), Some(recipient));
        let rejection = self.describe_rejection(message.header, from, to, why, requested_reply);
        let client = self.clients.get(recipient);
        let is_full_of_bytes =
            client.is_some_and(|client| client.is_full(&self.settings.limits, false));
        let text = match client.filter(|_| !is_full_of_bytes) {
            Some(client) => format!(
                "{rejection}; {} file descriptors wait for it{} (max_outgoing_unix_fds={})",
                client.outbox.fds(),
                Self::describe_fd_backlog(client),
                limits.outgoing_unix_fds_max
            ),
            None => format!(
                "{rejection}; {} bytes wait for it{} (max_outgoing_bytes={})",
                client.map_or(0, |client| client.outbox.bytes()),
                self.describe_backlog(recipient),
                limits.outgoing_bytes_max
            ),
        };
        Refusal::QueueFull { text }
    }

    pub(super) fn denied(
        &self,
        message: &Message<'_>,
        recipient: Option<ClientId>,
        passage: &Passage<'_>,
        denial: Denial,
    ) -> Refusal {
        let text = self.describe_denial(passage, denial, Some(message.sender), recipient);
        Refusal::PolicyDenied { text, rule: denial.rule() }
    }

    /// The reference's text, and which rule it was.
    pub(super) fn describe_denial(
        &self,
        passage: &Passage<'_>,
        denial: Denial,
        sender: Option<ClientId>,
        recipient: Option<ClientId>,
    ) -> String {
        let (why, rule) = passage.describe_denial(&self.policies, denial);
        let requested_reply = passage.circumstances.requested_reply;
        let text =
            self.describe_rejection(passage.header, sender, recipient, &why, requested_reply);
        format!("{text}; {rule}")
    }

    /// Shows monitors that a recipient does not get a message that is not meant for it alone; its
    /// sender is not told (protocol.md A150).
    pub(super) fn capture_denials(&mut self, message: &Message<'_>, denied: &[ClientId]) {
        let eavesdropping = message.header.destination.is_some();
        for recipient in denied {
            let passage = Passage {
                header: message.header,
                circumstances: Circumstances { requested_reply: false, eavesdropping },
                sender: Party::of(self.clients.get(message.sender)),
                recipient: Party::of(self.clients.get(*recipient)),
            };
            let Err(denial) = passage.check(&self.policies) else { continue };
            let (sender, recipient) = (Some(message.sender), Some(*recipient));
            let text = self.describe_denial(&passage, denial, sender, recipient);
            let destination = self.unique_name_of(message.sender);
            let destination = destination.as_ref().and_then(UniqueNameText::as_bus_name);
            let refusal = Refusal::PolicyDenied { text, rule: denial.rule() };
            self.capture_error(destination, message.header.serial, &refusal);
        }
    }

    /// The text that users and log tools know from the reference (protocol.md A241). `sender` or
    /// `recipient` is `None` if it is the bus.
    pub(super) fn describe_rejection(
        &self,
        header: &Header<'_>,
        sender: Option<ClientId>,
        recipient: Option<ClientId>,
        why: &str,
        requested_reply: bool,
    ) -> String {
        const UNSET: &str = "(unset)";
        let kind = match header.message_type {
            MessageType::MethodCall => "method_call",
            MessageType::MethodReturn => "method_return",
            MessageType::Error => "error",
            MessageType::Signal => "signal",
            MessageType::Unknown(_) => "unknown",
        };
        let process = |client| {
            let client = self.clients.get(client);
            client.map_or_else(String::new, |client| self.describe_process(&client.credentials))
        };
        format!(
            "{why}; type=\"{kind}\", sender=\"{}\" ({}) interface=\"{}\" member=\"{}\" \
             error name=\"{}\" requested_reply=\"{}\" destination=\"{}\" ({})",
            sender.map_or_else(|| UNSET.to_owned(), |sender| self.name_of(sender)),
            sender.map_or_else(|| "(bus)".to_owned(), process),
            header.interface.map_or(UNSET, |interface| interface.as_str()),
            header.member.map_or(UNSET, |member| member.as_str()),
            header.error_name.map_or(UNSET, |name| name.as_str()),
            u8::from(requested_reply),
            header.destination.map_or(UNSET, |name| name.as_str()),
            recipient.map_or_else(|| "bus".to_owned(), process),
        )
    }

    /// Who a client is, for a log line or a refusal: its name and its process (protocol.md A241).
    pub(super) fn describe(&self, id: ClientId) -> String {
        let Some(client) = self.clients.get(id) else { return "(gone)".to_owned() };
        let nobody =
            if client.uid.is_none() && !client.is_incomplete() { "anonymous, " } else { "" };
        format!("{} ({nobody}{})", client.name(), self.describe_process(&client.credentials))
    }

    pub(super) fn describe_process(&self, credentials: &PeerCredentials) -> String {
        let mut parts = Vec::new();
        if let Some(uid) = credentials.uid {
            parts.push(format!("uid={uid}"));
        }
        if let Some(pid) = credentials.pid {
            // Once: what a process is called now is of no more use than what it was called then.
            let name = || (self.identity.process_name)(pid).unwrap_or_default().into();
            let name = credentials.process_name.get_or_init(name);
            parts.push(format!("pid={pid} comm=\"{}\"", name.escape_debug()));
        }
        if let Some(label) = &credentials.security_label {
            let label = String::from_utf8_lossy(label);
            parts.push(format!("label=\"{}\"", label.escape_debug()));
        }
        parts.join(" ")
    }
}
