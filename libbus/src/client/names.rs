//! Names on a bus (tools.md D083).

use super::call::MethodCall;
use super::error::{Error, Result};
use super::link::{Link, Style};
use crate::connection::{BUS, BUS_INTERFACE, BUS_PATH, LostCall};
use crate::names::{MemberName, WellKnownName};

/// A call of a method of the bus itself.
pub(crate) const fn bus_call(member: &'static str) -> MethodCall<'static> {
    let mut call = MethodCall::of(BUS_PATH, MemberName::from_static(member));
    call.destination = Some(BUS);
    call.interface = Some(BUS_INTERFACE);
    call
}

/// How a name is requested (protocol.md A130).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestNameFlags {
    /// Others may take the name over who ask for that.
    pub allow_replacement: bool,
    /// Take it over from an owner who allows that.
    pub replace_existing: bool,
    /// Do not wait in the queue for it if somebody else keeps it.
    pub do_not_queue: bool,
}

impl RequestNameFlags {
    const fn bits(self) -> u32 {
        self.allow_replacement as u32
            | (self.replace_existing as u32) << 1
            | (self.do_not_queue as u32) << 2
    }
}

/// What became of a request for a name (protocol.md A131).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestNameReply {
    /// The program is the name's owner now.
    PrimaryOwner,
    /// It will be when those before it let go of it.
    InQueue,
    /// Somebody else keeps it.
    Exists,
    /// The program had it before.
    AlreadyOwner,
}

/// What became of a name that was let go (protocol.md A134).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseNameReply {
    /// The program has it no more, and waits for it no more.
    Released,
    /// Nobody had it.
    NonExistent,
    /// Somebody else has it.
    NotOwner,
}

impl<S: Style> Link<S> {
    pub(crate) async fn request_name(
        &self,
        name: WellKnownName<'_>,
        flags: RequestNameFlags,
    ) -> Result<RequestNameReply> {
        self.connected(self.call_deadline()).await?;
        let serial = self.with_state(|state| state.request_name(name, flags.bits()))??;
        let reply = self.reply_to(serial).await?;
        match reply.deserialize::<u32>()? {
            1 => Ok(RequestNameReply::PrimaryOwner),
            2 => Ok(RequestNameReply::InQueue),
            3 => Ok(RequestNameReply::Exists),
            4 => Ok(RequestNameReply::AlreadyOwner),
            other => Err(unknown("RequestName", other)),
        }
    }

    pub(crate) async fn release_name(&self, name: WellKnownName<'_>) -> Result<ReleaseNameReply> {
        self.connected(self.call_deadline()).await?;
        let serial = self.with_state(|state| state.release_name(name, true))?;
        let reply = self.reply_to(serial.ok_or(Error::CallLost(LostCall::NotSent))?).await?;
        match reply.deserialize::<u32>()? {
            1 => Ok(ReleaseNameReply::Released),
            2 => Ok(ReleaseNameReply::NonExistent),
            3 => Ok(ReleaseNameReply::NotOwner),
            other => Err(unknown("ReleaseName", other)),
        }
    }
}

fn unknown(member: &str, answer: u32) -> Error {
    use crate::typed::TypeError;
    TypeError::Custom(format!("the bus answered {member} with {answer}, which means nothing"))
        .into()
}
