//! Introspection of the bus at every path (protocol.md A211, A212).

use libbus::names::ObjectPath;

use super::Call;
use super::error_reply::Refusal;
use crate::bus::Bus;

impl Bus {
    pub(super) fn introspect(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let path = call.header.path.unwrap_or(super::CANONICAL_PATH);
        self.reply_string(&call.reply_to, &xml_at(path));
        Ok(())
    }
}

pub(super) fn xml_at(_path: ObjectPath<'_>) -> String {
    "<node/>\n".to_owned()
}
