//! When the core asks the security module (`mediation.rs`), and what comes of the answer
//! (config.md B076, B110, B116).
//!
//! Where there is no module, nothing is put together and nothing asked.

use std::fmt;

use libbus::wire::Header;

use super::Bus;
use super::client::Client;
use super::driver::error_reply::Refusal;
use super::id::ClientId;
use super::mediation::{Answer, EavesdropQuestion, MessageQuestion, OwnQuestion, Party, Recipient};

/// A client's process in words, put together when somebody wants to read it.
struct Process<'a> {
    bus: &'a Bus,
    client: &'a Client,
}

impl fmt::Display for Process<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bus.describe_process(&self.client.credentials))
    }
}

impl<'a> Process<'a> {
    fn of(bus: &'a Bus, client: ClientId) -> Option<Self> {
        Some(Self { bus, client: bus.clients.get(client)? })
    }

    fn party(&'a self) -> Party<'a> {
        let credentials = &self.client.credentials;
        Party {
            name: self.client.name(),
            label: credentials.security_label.as_deref(),
            pid: credentials.pid,
            process: self,
        }
    }
}

impl Bus {
    /// Whether a message may go from a client to another, or to the bus.
    pub(super) fn mediate_message(
        &mut self,
        header: &Header<'_>,
        sender: ClientId,
        recipient: Option<ClientId>,
        is_requested_reply: bool,
    ) -> Result<(), Refusal> {
        if !self.identity.mediation.is_active() {
            return Ok(());
        }
        let answers = self.ask_about(header, sender, recipient, is_requested_reply);
        answers.into_iter().try_for_each(|answer| self.take(answer))
    }

    /// The sender's answer, and the recipient's if that one allows it.
    fn ask_about(
        &self,
        header: &Header<'_>,
        sender: ClientId,
        recipient: Option<ClientId>,
        is_requested_reply: bool,
    ) -> Vec<Answer> {
        let Some(from) = Process::of(self, sender) else { return Vec::new() };
        let to = recipient.and_then(|id| Process::of(self, id));
        let recipient = to.as_ref().map_or(Recipient::Bus, |to| Recipient::Client(to.party()));
        let question = question(header, &from, recipient, is_requested_reply);
        let sent = self.identity.mediation.may_send(&question);
        if matches!(sent, Answer::Denied(_)) {
            return vec![sent];
        }
        vec![sent, self.identity.mediation.may_receive(&question)]
    }

    /// Those of the recipients in hand whom the module refuses a message that is not meant for them
    /// alone. They are not told.
    pub(super) fn refused_recipients(
        &mut self,
        header: &Header<'_>,
        sender: ClientId,
    ) -> Vec<ClientId> {
        if !self.identity.mediation.is_active() {
            return Vec::new();
        }
        let recipients: Vec<ClientId> = self.scratch.recipients.iter().collect();
        let is_refused =
            |id: &ClientId| self.mediate_message(header, sender, Some(*id), false).is_err();
        recipients.into_iter().filter(is_refused).collect()
    }

    /// Whether a message may go to a service that is to be started for it (protocol.md A223).
    pub(super) fn mediate_activation(
        &mut self,
        header: &Header<'_>,
        sender: ClientId,
        assumed_label: Option<&str>,
    ) -> Result<(), Refusal> {
        if !self.identity.mediation.is_active() {
            return Ok(());
        }
        let Some(from) = Process::of(self, sender) else { return Ok(()) };
        let recipient = Recipient::Activatable { assumed_label };
        let answer = self.identity.mediation.may_send(&question(header, &from, recipient, false));
        self.take(answer)
    }

    /// Whether a client may own a name.
    pub(super) fn mediate_own(&mut self, id: ClientId, name: &str) -> Result<(), Refusal> {
        if !self.identity.mediation.is_active() {
            return Ok(());
        }
        let Some(process) = Process::of(self, id) else { return Ok(()) };
        let question = OwnQuestion { client: process.party(), name };
        let answer = self.identity.mediation.may_own(&question);
        self.take(answer)
    }

    /// Whether a client may see what is meant for others.
    pub(super) fn mediate_eavesdropping(&mut self, id: ClientId) -> Result<(), Refusal> {
        if !self.identity.mediation.is_active() {
            return Ok(());
        }
        let Some(process) = Process::of(self, id) else { return Ok(()) };
        let question = EavesdropQuestion { client: process.party() };
        let answer = self.identity.mediation.may_eavesdrop(&question);
        self.take(answer)
    }

    fn take(&mut self, answer: Answer) -> Result<(), Refusal> {
        match answer {
            Answer::Allowed => Ok(()),
            Answer::AllowedAndLogged(record) => {
                self.log(record);
                Ok(())
            }
            Answer::Denied(denial) => {
                if let Some(record) = denial.log {
                    self.log(record);
                }
                Err(Refusal::Mediated { text: denial.text })
            }
        }
    }
}

fn question<'a>(
    header: &'a Header<'_>,
    from: &'a Process<'_>,
    recipient: Recipient<'a>,
    is_requested_reply: bool,
) -> MessageQuestion<'a> {
    MessageQuestion {
        sender: from.party(),
        recipient,
        message_type: header.message_type,
        path: header.path.as_ref().map(|path| path.as_str()),
        interface: header.interface.as_ref().map(|interface| interface.as_str()),
        member: header.member.as_ref().map(|member| member.as_str()),
        error_name: header.error_name.as_ref().map(|name| name.as_str()),
        destination: header.destination.as_ref().map(|name| name.as_str()),
        is_requested_reply,
    }
}
