//! org.freedesktop.DBus.Peer (protocol.md A202, A237).

use super::Call;
use super::error_reply::Refusal;
use crate::bus::Bus;

impl Bus {
    pub(super) fn ping(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        self.reply_empty(&call.reply_to);
        Ok(())
    }

    pub(super) fn get_machine_id(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        match self.identity.machine_id.clone() {
            Ok(id) => {
                self.reply_string(&call.reply_to, &id.to_string());
                Ok(())
            }
            Err(error) => Err(Refusal::NoMachineId(error)),
        }
    }
}
