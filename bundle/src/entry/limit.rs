//! What limits compile to: money in nano-USD, windows with their type filled in.

use serde::{Deserialize, Serialize};
use turnpike_crds::budget::{
    Enforcement, Mode, OnExceed, OnStoreUnavailable, Scope, Share, Window, WindowType,
    scope::{self, KeyFacts},
};

use super::{KeyEntry, ObjectRef};

/// `spec.limits` of a `ModelDeployment`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelLimits {
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpm: Option<i64>,
    /// Tokens, in and out, per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<i64>,
    /// Requests at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<i64>,
}

/// `spec.limits` of a `VirtualKey`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyLimits {
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpm: Option<i64>,
    /// Tokens, in and out, per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<i64>,
    /// Requests at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<i64>,
    /// Further limits for single models, each named once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_model: Vec<PerModelLimit>,
}

/// A key's limit for one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerModelLimit {
    /// `modelName`, as clients ask for it.
    pub model: String,
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpm: Option<i64>,
    /// Tokens, in and out, per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<i64>,
}

/// Amounts in a window; at least one, all above 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitEntry {
    /// The span of time.
    pub window: Window,
    /// How it lies in time, the default filled in; `None` = it is a Lifetime.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub window_type: Option<WindowType>,
    /// Most money, in nano-USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_nano: Option<i64>,
    /// Most tokens, in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<i64>,
    /// Most requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<i64>,
}

/// One `Budget`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetEntry {
    /// The object.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// Keys that it covers beside those that name it, and which of their requests; `None` = only those that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Names and patterns of models that keys under it may call; empty = no restriction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_models: Vec<String>,
    /// Who shares a pot.
    #[serde(default, skip_serializing_if = "is_default")]
    pub share: Share,
    /// The limits, all of which must hold; never empty.
    pub limits: Vec<LimitEntry>,
    /// Name in the IANA database of where its calendar windows begin and end; `None` = UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What happens beyond a limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_exceed: OnExceed,
    /// Requests per minute of each key beyond a limit; set where `on_exceed` is Throttle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_rpm: Option<i64>,
    /// Whether limits act.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// When usage is counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub enforcement: Enforcement,
    /// Percents of a limit at which to notify, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alert_thresholds: Vec<i32>,
    /// What happens while usage cannot be counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_store_unavailable: OnStoreUnavailable,
    /// Most nano-USD that each gateway lets pass in one outage; `None` = 5 % of the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_open_usd: Option<i64>,
    /// Value of the annotation [`RESET`]: another value is another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<String>,
}

/// Annotation of a `Budget` or `VirtualKey` whose every new value has its limits counted from zero again.
pub const RESET: &str = "turnpike.dev/reset";

impl BudgetEntry {
    /// Whether going beyond a limit changes what requests get.
    pub fn acts(&self) -> bool {
        self.mode == Mode::Enforce && self.on_exceed != OnExceed::Notify
    }

    /// Whether pots are those of the `user` in requests.
    pub fn is_of_end_users(&self) -> bool {
        let names_end_users = self.scope.as_ref().is_some_and(|scope| scope.end_user.is_some());
        self.share == Share::PerUser && names_end_users
    }
}

/// Whether a budget counts a key's requests: `Budget::covers`, of what the two compiled to.
pub fn covers(budget: &BudgetEntry, key: &KeyEntry) -> bool {
    let facts = KeyFacts {
        namespace: &key.object.namespace,
        team: key.team.as_deref(),
        user: key.user.as_deref(),
        tags: Some(&key.tags),
        labels: Some(&key.labels),
        names_budget: key.budget_refs.contains(&budget.object.name),
    };
    scope::covers(&budget.object.namespace, budget.scope.as_ref(), facts)
}

/// For what entries leave out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
