//! The parameters of a URL.

use std::collections::BTreeMap;

use http::Uri;

use super::error::ApiError;

/// Parameters by name; of several of one name the last.
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Those of a URL; empty ones count as absent.
    pub(crate) fn of(uri: &Uri) -> Self {
        let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.into_owned().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, name: &str, (least, most): (usize, usize)) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let fault =
            || ApiError::field(name, format!("{name} must be a whole number from {least} to {most}; correct it"));
        number.map(Some).ok_or_else(fault)
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(ApiError::field(name, format!("{name} must be true or false; correct it"))),
        }
    }

    /// What else was sent is refused by name, unless it is named here as without effect.
    pub(crate) fn finish(self, harmless: &[&str]) -> Result<(), ApiError> {
        match self.0.into_keys().find(|name| !harmless.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let message = format!("{name} is not a parameter of this call; remove it");
                Err(ApiError::field(name, message))
            }
        }
    }
}
