//! `Budget`: what a set of keys may use together in a span of time, and what happens beyond it.

pub mod scope;
pub mod status;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use status::BudgetStatus;

use crate::{money::UsdString, schema};

/// What keys may use together.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "turnpike.dev",
    version = "v1alpha1",
    kind = "Budget",
    namespaced,
    doc = "What a set of keys may spend or use together in a span of time, and what happens beyond it.",
    derive = "PartialEq",
    derive = "Default",
    status = "BudgetStatus",
    shortname = "bud",
    category = "llm",
    printcolumn(name = "LIMIT", type_ = "string", json_path = ".status.limitText", description = "The tightest limit"),
    printcolumn(name = "SPENT", type_ = "string", json_path = ".status.spent", description = "USD in the current window"),
    printcolumn(name = "USED%", type_ = "integer", json_path = ".status.usedPercent", description = "Used share of the tightest limit"),
    printcolumn(name = "WINDOW", type_ = "string", json_path = ".status.window", description = "Window of the tightest limit"),
    printcolumn(name = "RESETS", type_ = "string", json_path = ".status.resetsAt", description = "When the window starts again"),
    printcolumn(name = "OK", type_ = "string", json_path = ".status.conditions[?(@.type==\"WithinBudget\")].status", description = "Whether all limits hold"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "REMAINING", type_ = "string", priority = 1, json_path = ".status.remaining", description = "USD left in the current window"),
    printcolumn(name = "KEYS", type_ = "integer", priority = 1, json_path = ".status.matchedKeys", description = "Keys under the budget"),
    printcolumn(name = "MODE", type_ = "string", priority = 1, json_path = ".spec.mode", description = "Enforce or Shadow"),
    validation = (
        "self.metadata.name.size() <= 63",
        "metadata.name must have at most 63 characters; choose a shorter name"
    )
)]
#[x_kube(
    validation = (
        "self.onExceed != 'Throttle' || has(self.throttle)",
        "onExceed Throttle needs throttle; set throttle.rpm"
    ),
    validation = (
        "!has(self.timeZone) || self.limits.exists(l, l.window in ['Hour', 'Day', 'Week', 'Month', 'Year'] && (!has(l.type) || l.type == 'Calendar'))",
        "timeZone needs a limit of type Calendar; Rolling, Minute and Lifetime windows have no time zone"
    ),
    validation = (
        "!has(self.failOpenUsd) || self.onStoreUnavailable == 'FailOpen'",
        "failOpenUsd needs onStoreUnavailable FailOpen"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct BudgetSpec {
    /// Keys that it covers, beside those that name it in budgetRefs; empty: only those. A key must match every field that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Models that keys under it may call, by modelName or alias; a name may end in `*`; empty: no restriction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 253), regex(pattern = "^([A-Za-z0-9][A-Za-z0-9._:/@+-]*)?[*]?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    #[x_kube(validation = (
        "!self.exists(m, m == '*') || self.size() == 1",
        "* already allows every model; remove the other names, or the *"
    ))]
    pub allowed_models: Vec<String>,
    /// Whether all covered keys share one pot (Shared), or each key (PerKey) or each user (PerUser) has its own. Default Shared.
    #[serde(default)]
    pub share: Share,
    /// The limits; all must hold.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = ("self.size() > 0", "limits is empty; list at least one, such as {window: Month, usd: \"500.00\"}"))]
    pub limits: Vec<BudgetLimit>,
    /// Where calendar windows begin and end, as a name of the IANA database such as Europe/Oslo. Default UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("pattern" = "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"))]
    pub time_zone: Option<String>,
    /// What happens beyond a limit: refuse (Block), slow down (Throttle), or only say so (Notify). Default Block.
    #[serde(default)]
    pub on_exceed: OnExceed,
    /// How slow, with onExceed Throttle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Whether limits act (Enforce) or are only counted (Shadow). Default Enforce.
    #[serde(default)]
    pub mode: Mode,
    /// When usage is counted: Strict reserves the worst case before a request is sent, so that a limit is never overshot; Soft
    /// charges after the answer and may overshoot by what is in flight. Default Strict.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Percents of a limit at which to notify.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 1000)), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = ("self.all(t, self.exists_one(u, u == t))", "alertThresholds must differ from one another; remove the repeated one"))]
    pub alert_thresholds: Vec<i32>,
    /// What happens while usage cannot be counted: refuse (FailClosed), or go on for a while (FailOpen). Default FailClosed.
    #[serde(default)]
    pub on_store_unavailable: OnStoreUnavailable,
    /// With FailOpen: most USD that each gateway lets pass in one outage; default: 5 % of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (
        "self.matches('^[0-9]{1,9}([.][0-9]{1,6})?$') && !self.matches('^[0.]+$')",
        "failOpenUsd must be above 0, with at most 9 digits before and 6 after the point, such as \"5.00\""
    ))]
    pub fail_open_usd: Option<UsdString>,
}

/// Keys that a budget covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// VirtualKeys by their labels; an empty selector matches nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_selector: Option<KeySelector>,
    /// Keys of this team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub team: Option<String>,
    /// Keys of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub user: Option<String>,
    /// Requests with this `user` field; `*` means any, with share PerUser one pot each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub end_user: Option<String>,
    /// Keys with all of these subject tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub tag: BTreeMap<String, String>,
    /// Requests with all of these tags: `tags`, `metadata.tags` and the header `x-litellm-tags`. Clients choose them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub request_tags: Vec<String>,
    /// Every key of this namespace. Default false.
    #[serde(default)]
    pub namespace: bool,
    /// Every key of these namespaces; allowed only in the release namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// Count and limit only requests for these models; a name may end in `*`. Default: all models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 253), regex(pattern = "^([A-Za-z0-9][A-Za-z0-9._:/@+-]*)?[*]?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub models: Vec<String>,
}

/// `VirtualKeys` by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySelector {
    /// Labels that must have these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on labels; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelCondition>,
}

/// A condition on a label.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = (
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
    "operators In and NotIn need values; Exists and DoesNotExist take none"
))]
pub struct LabelCondition {
    /// The label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How it is compared.
    pub operator: LabelOperator,
    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// It is one of the values.
    #[default]
    In,
    /// It is absent or none of the values.
    NotIn,
    /// It is present.
    Exists,
    /// It is absent.
    DoesNotExist,
}

/// Who shares a pot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Share {
    /// All covered keys.
    #[default]
    Shared,
    /// Each key has its own.
    PerKey,
    /// Each user has its own.
    PerUser,
}

/// One limit: amounts in a window.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = (
        "has(self.usd) || has(self.tokens) || has(self.requests)",
        "a limit needs an amount; set usd, tokens or requests"
    ),
    validation = (
        "self.window != 'Minute' || !has(self.type) || self.type == 'Rolling'",
        "a limit with window Minute is always Rolling; remove type"
    ),
    validation = (
        "self.window != 'Lifetime' || !has(self.type) || self.type == 'Calendar'",
        "a limit with window Lifetime never starts again; remove type"
    )
)]
pub struct BudgetLimit {
    /// The span of time; Lifetime never starts again.
    pub window: Window,
    /// Calendar: from one full hour, midnight, Monday, first of month or of January to the next. Rolling: the span before now.
    /// Default Calendar, for Minute Rolling.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WindowType")]
    pub window_type: Option<WindowType>,
    /// Most USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = (
            "self.matches('^[0-9]{1,9}([.][0-9]{1,6})?$')",
            "usd must be digits, at most 9 before and 6 after the point, such as \"50.00\""
        ),
        validation = ("!self.matches('^[0.]+$')", "usd must be above 0; to stop all use, suspend the keys")
    )]
    pub usd: Option<UsdString>,
    /// Most tokens, in and out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_000_i64))]
    pub tokens: Option<i64>,
    /// Most requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub requests: Option<i64>,
}

/// A span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Window {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    #[default]
    Month,
    /// A year.
    Year,
    /// The budget's whole life.
    Lifetime,
}

/// How a window lies in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WindowType {
    /// From a boundary of the calendar to the next.
    Calendar,
    /// The span before now.
    Rolling,
}

/// What happens beyond a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnExceed {
    /// Requests are refused.
    #[default]
    Block,
    /// Requests are slowed down.
    Throttle,
    /// It is only said.
    Notify,
}

/// How slow requests become.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Throttle {
    /// Requests per minute of each covered key.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rpm: i32,
}

/// Whether limits act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// They do.
    #[default]
    Enforce,
    /// They are only counted.
    Shadow,
}

/// When usage is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Enforcement {
    /// The worst case, before a request is sent.
    #[default]
    Strict,
    /// What was used, after the answer.
    Soft,
}

/// What happens while usage cannot be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnStoreUnavailable {
    /// Requests are refused.
    #[default]
    FailClosed,
    /// Requests go on, up to an amount.
    FailOpen,
}
