//! Introspection of the bus at every path (protocol.md A211, A212).

use super::Call;
use super::error_reply::Refusal;
use crate::bus::Bus;

impl Bus {
    pub(super) fn introspect(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        self.reply_string(&call.reply_to, "<node/>");
        Ok(())
    }
}
