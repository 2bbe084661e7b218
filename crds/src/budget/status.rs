//! `status` of a `Budget`: what was used, what is left and since when.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Window;
use crate::{condition::Programmed, schema};

/// What was last observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStatus {
    /// The metadata.generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// USD used in the current window of the tightest limit; of a budget with share PerKey or PerUser in all pots.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub spent: Option<String>,
    /// USD of open leases that are not spent yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub reserved: Option<String>,
    /// USD left: limit less spent; of a budget with share PerKey or PerUser in the fullest pot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub remaining: Option<String>,
    /// Used share of the tightest limit, in percent, of its fullest pot; above 100 when it was overshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub used_percent: Option<i32>,
    /// The limit of which most is used, such as "500.00 USD".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub limit_text: Option<String>,
    /// Window of the tightest limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Window")]
    pub window: Option<Window>,
    /// When the current window began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_start: Option<Time>,
    /// When the window starts again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Time>,
    /// When the tightest limit is used up if use goes on as it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projected_exhaustion: Option<Time>,
    /// Every limit but those of a Minute, with what was used of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub limits: Vec<LimitStatus>,
    /// Tokens of the covered keys in the current window, counted by whole UTC days; absent where the window begins within one, or
    /// the scope narrows what is counted of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenCounts>,
    /// Requests in the current window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestCounts>,
    /// Keys under the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub matched_keys: Option<i32>,
    /// The keys or users that spent most; of a Shared budget counted as tokens are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub top: Vec<TopKey>,
    /// USD in spent that gateways which are lost may have used, and may not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub unattributed: Option<String>,
    /// USD in spent that was let through beyond what gateways held while the database was down (onStoreUnavailable FailOpen).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub overdrawn: Option<String>,
    /// When the figures were read that are shown; condition SpendSynced says whether they are current.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_spend_sync: Option<Time>,
    /// What all gateways have loaded of this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programmed: Option<Programmed>,
    /// State by aspect: Ready, Accepted, ResolvedRefs, Programmed, WithinBudget, ThresholdReached, SpendSynced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// One limit with what was used of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitStatus {
    /// The limit's window.
    pub window: Window,
    /// Used share of the fullest pot, in percent, of the unit of which most is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub used_percent: Option<i32>,
    /// The highest of alertThresholds that was reached in this window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub threshold_reached: Option<i32>,
    /// When the window starts again; absent where it does not, or moves along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Time>,
    /// USD, if the limit has an amount of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd: Option<UsdUse>,
    /// Tokens, if the limit has an amount of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<CountUse>,
    /// Requests, if the limit has an amount of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<CountUse>,
}

/// USD used of a limit, in its fullest pot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsdUse {
    /// USD used.
    #[schemars(length(max = 32))]
    pub used: String,
    /// USD allowed.
    #[schemars(length(max = 32))]
    pub limit: String,
}

/// Tokens or requests used of a limit, in its fullest pot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CountUse {
    /// How many were used.
    #[schemars(range(min = 0))]
    pub used: i64,
    /// How many are allowed.
    #[schemars(range(min = 0))]
    pub limit: i64,
}

/// Tokens in a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenCounts {
    /// Tokens of prompts, cached ones included.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub input: i64,
    /// Tokens of answers.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub output: i64,
    /// Tokens of prompts that the provider had cached.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub cached_input: i64,
}

/// Requests in a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestCounts {
    /// Requests that were let through; only where a limit counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub allowed: Option<i64>,
    /// Requests that a limit of this window refused; absent for Rolling windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub refused: Option<i64>,
}

/// One of the keys or users that spent most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopKey {
    /// Name of the VirtualKey, or with share PerUser the user.
    #[schemars(length(max = 253))]
    pub key: String,
    /// USD in the current window.
    #[schemars(length(max = 32))]
    pub spent: String,
}
