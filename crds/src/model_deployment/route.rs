//! `spec.route`: one model name over several ModelDeployments.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one;
use crate::reference::ModelRef;

/// Spreads requests over other ModelDeployments.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = (
        "self.strategy != 'Complexity' || has(self.complexity)",
        "strategy Complexity needs route.complexity"
    ),
    validation = (
        "self.strategy == 'Complexity' || (has(self.targets) && self.targets.size() > 0)",
        "route needs at least one entry in targets"
    ),
    validation = (
        "!has(self.targets) || self.targets.size() == 0 || self.targets.exists(t, t.weight > 0)",
        "at least one of route.targets must have a weight above 0"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// How a target is chosen: Weighted by weights; RoundRobin in turn; LeastBusy by requests in flight; Latency by time to first
    /// token; Usage by tokens of the last minute; LowestCost by price; Priority by order; PrefixAffinity by the prompt's beginning,
    /// for engines' caches; Complexity by the prompt's length and words. Where a target is a route itself, its targets take its
    /// place and its own strategy counts for nothing. Default Weighted.
    #[serde(default)]
    pub strategy: Strategy,
    /// What keeps a caller on one target: None, Key, User (the request's `user`), or `Header:<name>`. Default None.
    #[serde(default = "Route::no_stickiness")]
    #[schemars(length(max = 72), extend("pattern" = "^(None|Key|User|Header:[A-Za-z0-9!#$%&'*+.^_`|~-]+)$"))]
    pub sticky_by: String,
    /// The models to choose from. With strategy Complexity, those that complexity does not name serve while none of the three can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub targets: Vec<Target>,
    /// Settings of strategy Complexity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complexity: Option<Complexity>,
    /// Sends a copy of some requests to another model and drops its answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// Sends a second request to another target when the first is slow, and takes the first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
}

impl Route {
    fn no_stickiness() -> String {
        "None".to_owned()
    }
}

impl Default for Route {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            sticky_by: Self::no_stickiness(),
            targets: Vec::new(),
            complexity: None,
            mirror: None,
            hedge: None,
        }
    }
}

/// How one of several models is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// At random, in proportion to weights.
    #[default]
    Weighted,
    /// In turn.
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastBusy,
    /// The one with the shortest time to first token.
    Latency,
    /// The one with the fewest tokens in the last minute.
    Usage,
    /// The cheapest.
    LowestCost,
    /// The first, by priority, that can serve.
    Priority,
    /// The one that served the same beginning of a prompt.
    PrefixAffinity,
    /// By the prompt's length and words.
    Complexity,
}

/// One of a route's models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The model.
    pub model_ref: ModelRef,
    /// Share of requests, relative to the other targets' weights; 0 takes none. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: i32,
    /// A higher number is used only while no lower one can serve. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub priority: i32,
    /// Serve only requests that carry one of these tags; empty: all requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,
}

impl Default for Target {
    fn default() -> Self {
        Self { model_ref: ModelRef::default(), weight: 1, priority: 0, tags: Vec::new() }
    }
}

/// Settings of strategy Complexity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Complexity {
    /// A prompt of fewer words is simple. Default 50.
    #[serde(default = "Complexity::words")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub simple_below_words: i32,
    /// A prompt with one of these words is complex; case does not matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub complex_keywords: Vec<String>,
    /// `metadata.name` of the ModelDeployment for simple prompts.
    #[schemars(length(min = 1, max = 63))]
    pub simple: String,
    /// `metadata.name` of the ModelDeployment for all other prompts.
    #[schemars(length(min = 1, max = 63))]
    pub medium: String,
    /// `metadata.name` of the ModelDeployment for complex prompts.
    #[schemars(length(min = 1, max = 63))]
    pub complex: String,
}

impl Complexity {
    fn words() -> i32 {
        50
    }
}

impl Default for Complexity {
    fn default() -> Self {
        Self {
            simple_below_words: Self::words(),
            complex_keywords: Vec::new(),
            simple: String::new(),
            medium: String::new(),
            complex: String::new(),
        }
    }
}

/// A copy of some requests for another model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// The model that gets the copies; its answers are dropped, its cost is counted.
    pub model_ref: ModelRef,
    /// Share of requests that is copied, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub percent: i32,
}

/// A second request when the first is slow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hedge {
    /// A request counts as slow once it is slower than this percentile of recent ones.
    #[schemars(range(min = 50, max = 99))]
    pub after_percentile: i32,
}
