//! What a provider cannot be asked: refused with the parameter's name, or left out where the backend or the request says so.

use serde_json::value::RawValue;

use crate::{error::EncodeError, provider::Target};

/// The judge of parameters that a dialect lacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Support<'a> {
    provider: &'static str,
    model: &'a str,
    drop: bool,
}

impl<'a> Support<'a> {
    /// `provider` as in messages to people.
    pub(crate) fn new(provider: &'static str, target: &Target<'a>) -> Self {
        Self { provider, model: target.model, drop: target.drop_unsupported }
    }

    /// A parameter that this model cannot take; `given` = the client set it to something that matters.
    ///
    /// # Errors
    /// It matters, and nobody said that it may be dropped.
    pub(crate) fn lacks(&self, param: &'static str, given: bool) -> Result<(), EncodeError> {
        if !given || self.drop {
            return Ok(());
        }
        Err(EncodeError {
            message: format!(
                "Unsupported parameter: '{param}' is not supported by model '{}' of {}. Leave it out, send \"drop_params\": true, \
                 or set spec.provider.params.dropUnsupported on the model.",
                self.model, self.provider
            )
            .into(),
            param: Some(param.into()),
            code: "unsupported_parameter",
        })
    }

    /// What is left of the client's demands after the adapter took out those that it can say.
    ///
    /// # Errors
    /// As [`Support::lacks`], for the first of them.
    pub(crate) fn rest(&self, demands: &[(&'static str, Box<RawValue>)]) -> Result<(), EncodeError> {
        demands.iter().try_for_each(|(param, _)| self.lacks(param, true))
    }

    /// A part of a message that this provider cannot take: never dropped, since the answer would be to another question.
    pub(crate) fn no_content(&self, what: &str) -> EncodeError {
        EncodeError {
            message: format!("Model '{}' of {} does not take {what}.", self.model, self.provider).into(),
            param: Some("messages".into()),
            code: "unsupported_content",
        }
    }
}

/// Takes a demand of the client's out, for an adapter that can say it.
pub(crate) fn demanded(demands: &mut Vec<(&'static str, Box<RawValue>)>, name: &str) -> Option<Box<RawValue>> {
    let at = demands.iter().position(|(demand, _)| *demand == name)?;
    Some(demands.swap_remove(at).1)
}
