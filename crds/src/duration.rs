//! Durations as users write them ("30s", "1h30m"), kept as text so that a bad one is reported and not a failed parse.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A duration in whole hours, minutes and seconds, such as `30s`, `90m` or `1h30m`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DurationString(#[schemars(length(min = 2, max = 16), extend("pattern" = "^([0-9]+(s|m|h))+$"))] pub String);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Not of the form `^([0-9]+(s|m|h))+$`.
    #[error("\"{0}\" is not a duration; write whole hours, minutes and seconds, such as \"30s\", \"90m\" or \"720h\"")]
    Format(String),
    /// More seconds than 64 bits hold.
    #[error("the duration \"{0}\" is too long")]
    TooLong(String),
}

impl DurationString {
    /// The length of time that the text stands for; zero is allowed.
    pub fn parse(&self) -> Result<Duration, DurationError> {
        parse(&self.0)
    }
}

impl From<&str> for DurationString {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Parses `^([0-9]+(s|m|h))+$`; a unit may repeat and the parts add up.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let format = || DurationError::Format(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let mut total: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return Err(format());
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(format)?;
        let (digits, tail) = rest.split_at(unit_at);
        if digits.is_empty() {
            return Err(format());
        }
        let (seconds, after) = split_unit(tail).ok_or_else(format)?;
        let count: u64 = digits.parse().map_err(|_| too_long())?;
        total = count.checked_mul(seconds).and_then(|part| total.checked_add(part)).ok_or_else(too_long)?;
        rest = after;
    }
    Ok(Duration::from_secs(total))
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    [("s", 1), ("m", 60), ("h", 3600)].into_iter().find_map(|(unit, seconds)| Some((seconds, text.strip_prefix(unit)?)))
}
