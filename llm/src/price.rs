//! What a call costs: rates in nano-USD per million tokens, one formula, one rounding.
//!
//! ```text
//! Usage ─ split (parts that never overlap) ─┐
//! Price ─ rates above the prompt's tier ────┼─▶ Σ tokens × rate (i128) ─▶ ceil(÷ 1e6) ─▶ nano-USD (i64)
//! Time that the call took, in milliseconds ─┘
//! ```

use serde::{Deserialize, Serialize};

mod cost;
mod lookup;
mod render;
mod row;
mod worst;
#[rustfmt::skip]
mod table;

pub use cost::{Breakdown, breakdown, cost};
pub use lookup::lookup;
pub use render::{decimal, nano_to_usd_string};
pub use row::Row;
pub use worst::worst;

/// Rates are nano-USD per million tokens (2.50 USD per million = 2 500 000 000), all >= 0.
///
/// An absent rate falls back: cached and cache-write tokens to the input rate (an hour's write to the 5 minutes' one
/// first), reasoning to the output rate, audio to the text rate of its side. An explicit 0 stays 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Prompt tokens.
    pub input: i64,
    /// Completion tokens; 0 for embeddings.
    pub output: i64,
    /// Prompt tokens read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<i64>,
    /// Prompt tokens written to the provider's cache with its default lifetime.
    #[serde(default, rename = "cacheWrite5m", skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<i64>,
    /// Prompt tokens written to the provider's cache for an hour.
    #[serde(default, rename = "cacheWrite1h", skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<i64>,
    /// Completion tokens spent on reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<i64>,
    /// Prompt tokens of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<i64>,
    /// Completion tokens of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<i64>,
    /// Nano-USD for each call.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub per_request: i64,
    /// Nano-USD for each search or the like (`Usage::queries`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub per_query: i64,
    /// Nano-USD for a million milliseconds that the call takes, from dispatch to the end of its answer; on top of its tokens.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub time: i64,
    /// Rates of long prompts, by ascending threshold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// Rates of the provider's batch API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<ServiceRates>,
    /// Rates of `service_tier: flex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flex: Option<ServiceRates>,
    /// Rates of `service_tier: priority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<ServiceRates>,
}

/// Rates that hold for ALL tokens of a call whose prompt is longer than the threshold. An absent rate is the base one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Prompt tokens, cached ones included, above which the tier holds.
    pub above: u64,
    /// As in [`Price`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<i64>,
    /// As in [`Price`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<i64>,
    /// As in [`Price`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<i64>,
    /// As in [`Price`].
    #[serde(default, rename = "cacheWrite5m", skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<i64>,
    /// As in [`Price`].
    #[serde(default, rename = "cacheWrite1h", skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<i64>,
    /// As in [`Price`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<i64>,
}

/// Rates of another class of service; an absent one is the normal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRates {
    /// Prompt tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<i64>,
    /// Completion tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<i64>,
}

impl Price {
    /// Costs nothing, said on purpose; an unknown price is `None`, never this.
    pub const fn free() -> Self {
        Self {
            input: 0,
            output: 0,
            cached_input: None,
            cache_write_5m: None,
            cache_write_1h: None,
            reasoning: None,
            audio_input: None,
            audio_output: None,
            per_request: 0,
            per_query: 0,
            time: 0,
            tiers: Vec::new(),
            batch: None,
            flex: None,
            priority: None,
        }
    }
}

// serde hands references to its predicates.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}
