//! Starting services, as on a bus without service files (protocol.md A176, A177, A180).
//!
//! The environment that started services will get is kept; nothing is started yet, and a name that
//! nobody owns is answered with ServiceUnknown (protocol.md A226).

use std::collections::BTreeMap;

use libbus::wire::Signature;

use super::error_reply::Refusal;
use super::{BUS_NAME, Call};
use crate::bus::Bus;
use crate::bus::limits::{ACTIVATION_ENVIRONMENT_SIZE_MAX, ACTIVATION_VARIABLE_COUNT_MAX};

const STRINGS: Signature<'static> = Signature::from_static("as");
/// StartServiceByName's answer for a name that has an owner already.
const ALREADY_RUNNING: u32 = 2;

/// The variables that started services get, beside those of the bus itself.
///
/// Bounded by [`ACTIVATION_VARIABLE_COUNT_MAX`] and [`ACTIVATION_ENVIRONMENT_SIZE_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivationEnvironment {
    variables: BTreeMap<String, String>,
}

impl ActivationEnvironment {
    /// Sets variables, all of them or none.
    fn update(&mut self, variables: Vec<(String, String)>) -> Result<(), Refusal> {
        let mut updated = self.variables.clone();
        updated.extend(variables);
        let size: usize = updated.iter().map(|(name, value)| name.len() + value.len()).sum();
        if updated.len() > ACTIVATION_VARIABLE_COUNT_MAX || size > ACTIVATION_ENVIRONMENT_SIZE_MAX {
            return Err(Refusal::ActivationEnvironmentFull);
        }
        self.variables = updated;
        Ok(())
    }
}

impl Bus {
    pub(super) fn start_service_by_name(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        let name = call.name_argument()?;
        if name == BUS_NAME.as_str() || self.resolve_text(name).is_some() {
            self.reply_uint32(&call.reply_to, ALREADY_RUNNING);
            return Ok(());
        }
        Err(Refusal::NotActivatable { name: name.to_owned() })
    }

    pub(super) fn update_activation_environment(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        if self.settings.has_service_helper {
            return Err(Refusal::ActivationEnvironmentFixed);
        }
        let mut entries = call.arguments().dict()?;
        let mut variables = Vec::new();
        while !entries.is_empty() {
            entries.structure()?;
            let (name, value) = (entries.string()?, entries.string()?);
            if name.is_empty() || name.contains('=') {
                return Err(Refusal::InvalidVariable { name: name.to_owned() });
            }
            variables.push((name.to_owned(), value.to_owned()));
        }
        self.activation_environment.update(variables)?;
        self.reply_empty(&call.reply_to);
        Ok(())
    }

    /// protocol.md A180: the bus itself is listed too.
    pub(super) fn list_activatable_names(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        self.reply(&call.reply_to, STRINGS, |body| body.strings([BUS_NAME.as_str()]));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_set_all_or_none_and_bounded() {
        let mut environment = ActivationEnvironment::default();
        let many =
            |count: usize| (0..count).map(|n| (format!("V{n}"), String::new())).collect::<Vec<_>>();
        assert_eq!(environment.update(many(ACTIVATION_VARIABLE_COUNT_MAX)), Ok(()));
        let before = environment.clone();
        let full = Err(Refusal::ActivationEnvironmentFull);
        assert_eq!(environment.update(many(ACTIVATION_VARIABLE_COUNT_MAX + 1)), full);
        assert_eq!(environment, before);

        let mut environment = ActivationEnvironment::default();
        let value = |size: usize| vec![("V".to_owned(), "x".repeat(size))];
        assert_eq!(environment.update(value(ACTIVATION_ENVIRONMENT_SIZE_MAX - 1)), Ok(()));
        assert_eq!(environment.update(value(ACTIVATION_ENVIRONMENT_SIZE_MAX)), full);
    }
}
