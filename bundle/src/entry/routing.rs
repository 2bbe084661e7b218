//! What decides where a model's requests go, and what happens when one fails there. Resolved: no field is optional that has
//! a default, but for those where not setting it says something.

use serde::{Deserialize, Serialize};
use turnpike_crds::model_deployment::{
    CacheScope, FallbackOn, Health as HealthSpec, Retry as RetrySpec, Strategy, policy::millis,
};

use super::{ObjectRef, limit::is_default};

/// `spec.route`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteBackend {
    /// Resolved targets, in the order of the spec.
    pub targets: Vec<RouteTarget>,
    /// How one of them is chosen.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// What keeps a sender on one of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sticky: Sticky,
    /// Who gets copies of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// A second attempt starts once the first is slower than this percentile of recent ones, 50..=99.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<u8>,
    /// Whose prompts are simple, and whose complex; set where the strategy is Complexity, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complexity: Option<Complexity>,
    /// Milliseconds for a whole request, over all attempts; `None` = as long as the longest of the targets takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// One target of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteTarget {
    /// The `ModelDeployment` by object name (same namespace). It may be missing from the contents (when it cannot be
    /// compiled) and then takes no traffic; it may be a route itself, but none that leads back here.
    pub model: ObjectRef,
    /// Share of the route's traffic.
    pub weight: u32,
    /// Lower is tried first.
    pub priority: i32,
    /// It serves only requests with one of these tags; empty = all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What keeps a sender on one target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sticky {
    /// Nothing.
    #[default]
    None,
    /// Its key.
    Key,
    /// The request's `user`.
    User,
    /// A header, by its name in lower case.
    Header(String),
}

/// A copy of some requests. Like a [`RouteTarget`], its model may be missing from the contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// Who gets it.
    pub model: ObjectRef,
    /// Of a hundred requests, 1..=100.
    pub percent: u8,
}

/// Which models serve which prompts. Like a [`RouteTarget`], they may be missing from the contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Complexity {
    /// A prompt of fewer words is simple.
    pub simple_below_words: u32,
    /// A prompt with one of these is complex; lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Serves simple prompts.
    pub simple: ObjectRef,
    /// Serves all other prompts.
    pub medium: ObjectRef,
    /// Serves complex prompts.
    pub complex: ObjectRef,
}

/// Further attempts after the first, by why the last one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Refused for a rate limit.
    pub rate_limit: u8,
    /// Too slow.
    pub timeout: u8,
    /// Refused for its content.
    pub content_policy: u8,
    /// Our credentials were refused.
    pub authentication: u8,
    /// The upstream failed, or has no replica yet.
    pub server_error: u8,
}

impl Default for Retry {
    fn default() -> Self {
        let count = |retries: i32| u8::try_from(retries).unwrap_or(0);
        let (busy, never) = (count(RetrySpec::ATTEMPTS), count(RetrySpec::NEVER));
        Self { rate_limit: busy, timeout: never, content_policy: never, authentication: never, server_error: busy }
    }
}

/// Another model that may answer instead. Like a [`RouteTarget`], it may be missing from the contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// The other model.
    pub model: ObjectRef,
    /// For which failures; never empty.
    pub on: Vec<FallbackOn>,
    /// Most of the last hour's requests that may go there, in percent; `None` = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_percent: Option<u8>,
}

/// When a backend counts as failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Probe it, beside watching the traffic.
    pub active: bool,
    /// Milliseconds between two probes.
    pub interval_ms: u64,
    /// What to probe, relative to the server's root; `None` = what suits the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Failures in a minute after which it is left alone.
    pub allowed_fails: u32,
    /// For how many milliseconds; 0 = it never is.
    pub cooldown_ms: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            active: false,
            interval_ms: millis(HealthSpec::INTERVAL),
            path: None,
            allowed_fails: u32::try_from(HealthSpec::ALLOWED_FAILS).unwrap_or(0),
            cooldown_ms: millis(HealthSpec::COOLDOWN),
        }
    }
}

/// Answering repeated requests from a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// Milliseconds that an answer is kept; above 0.
    pub ttl_ms: u64,
    /// Who shares kept answers.
    pub scope: CacheScope,
    /// Also answer requests that only mean the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic: Option<Semantic>,
}

/// Answering requests that mean the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Semantic {
    /// Least likeness (cosine) of two prompts that counts as the same, above 0 and up to 1.
    pub threshold: f64,
    /// The model that compares prompts, by a name that the namespace sees.
    pub embedding_model: String,
}
