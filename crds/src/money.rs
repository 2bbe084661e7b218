//! Money without floating point: decimal strings in manifests, whole nano-USD (10^-9 USD) everywhere else.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Nano-USD in one USD.
pub const NANO_PER_USD: i64 = 1_000_000_000;

/// Most decimals that an amount (a budget's limit) may have.
pub const AMOUNT_DECIMALS: usize = 6;

/// Most decimals that a price (per million tokens, per request, per hour) may have.
pub const PRICE_DECIMALS: usize = 9;

/// An amount of money in nano-USD; negative only as a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub i64);

/// An amount in USD as users write it, with at most six decimals, such as `50.00`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct UsdString(#[schemars(length(min = 1, max = 20))] pub String);

/// A price in USD as users write it, with at most nine decimals, such as `0.075`; zero means free.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PriceString(
    #[schemars(length(min = 1, max = 20), extend("pattern" = "^[0-9]{1,9}([.][0-9]{1,9})?$"))] pub String,
);

/// Why a text is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// Not digits with at most one point.
    #[error("\"{0}\" is not an amount in USD; write digits with a decimal point, such as \"2.50\"")]
    Format(String),
    /// More decimals than the field allows.
    #[error("\"{text}\" has more than {most} decimals")]
    TooPrecise {
        /// What was written.
        text: String,
        /// Decimals that the field allows.
        most: usize,
    },
    /// More than nine digits before the point, which nano-USD in 64 bits cannot be trusted to add up.
    #[error("\"{0}\" is too large; at most 999999999 USD")]
    TooLarge(String),
}

impl UsdString {
    /// The amount; at most [`AMOUNT_DECIMALS`] decimals.
    pub fn nano(&self) -> Result<NanoUsd, MoneyError> {
        NanoUsd::parse(&self.0, AMOUNT_DECIMALS)
    }
}

impl PriceString {
    /// The price; at most [`PRICE_DECIMALS`] decimals.
    pub fn nano(&self) -> Result<NanoUsd, MoneyError> {
        NanoUsd::parse(&self.0, PRICE_DECIMALS)
    }
}

impl From<&str> for UsdString {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&str> for PriceString {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl NanoUsd {
    /// Parses an unsigned decimal with at most `decimals` (and never more than nine) decimals.
    pub fn parse(text: &str, decimals: usize) -> Result<Self, MoneyError> {
        let format = || MoneyError::Format(text.to_owned());
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(format()),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(format());
        }
        let most = decimals.min(PRICE_DECIMALS);
        if fraction.len() > most {
            return Err(MoneyError::TooPrecise { text: text.to_owned(), most });
        }
        if whole.len() > 9 {
            return Err(MoneyError::TooLarge(text.to_owned()));
        }
        let padded = format!("{whole}{fraction:0<PRICE_DECIMALS$}");
        padded.parse().map(Self).map_err(|_| format())
    }

    /// The amount in USD with exactly `places` (at most nine) decimals, rounded half away from zero.
    #[must_use]
    pub fn to_decimal(self, places: usize) -> String {
        let places = places.min(PRICE_DECIMALS);
        let unit = 10_u64.pow(u32::try_from(PRICE_DECIMALS - places).unwrap_or(0));
        let rounded = (self.0.unsigned_abs() + unit / 2) / unit;
        let scale = 10_u64.pow(u32::try_from(places).unwrap_or(0));
        let sign = if self.0 < 0 && rounded > 0 { "-" } else { "" };
        let whole = rounded / scale;
        if places == 0 {
            return format!("{sign}{whole}");
        }
        format!("{sign}{whole}.{:0places$}", rounded % scale)
    }
}

impl fmt::Display for NanoUsd {
    /// Exact, in USD: at least two decimals, no further zeros at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = self.to_decimal(PRICE_DECIMALS);
        let trimmed = full.trim_end_matches('0');
        let decimals = trimmed.rsplit('.').next().map_or(0, str::len);
        write!(f, "{trimmed}{}", "0".repeat(2_usize.saturating_sub(decimals)))
    }
}
