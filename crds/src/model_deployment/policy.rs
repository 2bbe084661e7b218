//! What guards a model whatever its source: limits, price, capabilities, timeouts, retries, fallbacks, health, cache.

use std::time::Duration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    duration::{DurationError, DurationString},
    money::PriceString,
    reference::ModelRef,
};

/// Most that a backend or key is given.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = (
    "has(self.rpm) || has(self.tpm) || has(self.maxParallel)",
    "limits is empty; set rpm, tpm or maxParallel, or remove it"
))]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub rpm: Option<i64>,
    /// Tokens, in and out, per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub tpm: Option<i64>,
    /// Requests at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_parallel: Option<i32>,
}

/// Prices in USD; a field that is absent keeps the built-in price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// USD for a million tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_per_million: Option<PriceString>,
    /// USD for a million tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_per_million: Option<PriceString>,
    /// USD for a million tokens of the prompt that the provider had cached; default: inputPerMillion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input_per_million: Option<PriceString>,
    /// USD for every request, on top of its tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_request: Option<PriceString>,
    /// USD for each of what is billed one by one: a search, up to 100 ranked documents, an image, a second of sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_query: Option<PriceString>,
    /// USD for an hour of one GPU, for engines in this cluster: a request pays for the time that it takes, its share being one of
    /// autoscaling.targetInFlight, on top of the other prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_hour: Option<PriceString>,
}

/// What a model can do; a field that is absent keeps the built-in table's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Most tokens of prompt and answer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub context_window: Option<i64>,
    /// Most tokens of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_output_tokens: Option<i64>,
    /// Takes images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision: Option<bool>,
    /// Calls tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Answers in a given JSON schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<bool>,
    /// Makes embeddings instead of chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embeddings: Option<bool>,
    /// Thinks before it answers, and bills for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
}

/// How long to wait for the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// Until a connection stands, TLS included. Default 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<DurationString>,
    /// Until the first byte of a stream's body; other answers come under total. Default 300s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<DurationString>,
    /// Between two pieces of a body. Default 300s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<DurationString>,
    /// For the whole call, retries included. Default 600s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<DurationString>,
}

impl Timeouts {
    /// Default of `connect`.
    pub const CONNECT: Duration = Duration::from_secs(5);
    /// Default of `firstByte`.
    pub const FIRST_BYTE: Duration = Duration::from_mins(5);
    /// Default of `idle`.
    pub const IDLE: Duration = Duration::from_mins(5);
    /// Default of `total`.
    pub const TOTAL: Duration = Duration::from_mins(10);

    /// Connect timeout, or its default.
    pub fn connect(&self) -> Result<Duration, DurationError> {
        or_default(self.connect.as_ref(), Self::CONNECT)
    }

    /// First-byte timeout, or its default.
    pub fn first_byte(&self) -> Result<Duration, DurationError> {
        or_default(self.first_byte.as_ref(), Self::FIRST_BYTE)
    }

    /// Idle timeout, or its default.
    pub fn idle(&self) -> Result<Duration, DurationError> {
        or_default(self.idle.as_ref(), Self::IDLE)
    }

    /// Total timeout, or its default.
    pub fn total(&self) -> Result<Duration, DurationError> {
        or_default(self.total.as_ref(), Self::TOTAL)
    }
}

/// Milliseconds in a duration.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn or_default(text: Option<&DurationString>, default: Duration) -> Result<Duration, DurationError> {
    text.map_or(Ok(default), DurationString::parse)
}

/// How often a failed call is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Further attempts after the first, for classes that perClass does not name. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub attempts: Option<i32>,
    /// Further attempts by class of failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_class: Option<RetryPerClass>,
}

impl Retry {
    /// Default of `attempts`.
    pub const ATTEMPTS: i32 = 2;
    /// Further attempts of classes that `attempts` does not cover.
    pub const NEVER: i32 = 0;
}

/// Further attempts by class of failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RetryPerClass {
    /// The upstream refused for its rate limit. Default: attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub rate_limit: Option<i32>,
    /// The upstream was too slow. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub timeout: Option<i32>,
    /// The upstream refused for its content policy. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub content_policy: Option<i32>,
    /// The upstream refused the credentials. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub authentication: Option<i32>,
    /// The upstream failed (5xx) or broke the connection. Default: attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub server_error: Option<i32>,
}

/// Another model to use when this one fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// The other model.
    pub model_ref: ModelRef,
    /// For which failures; default: Error, RateLimit and Timeout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6), extend("x-kubernetes-list-type" = "set"))]
    pub on: Vec<FallbackOn>,
    /// The same as on: what readers of YAML 1.1, such as kubectl and Helm, make of a bare `on`. Write on.
    #[serde(default, rename = "true", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6), extend("x-kubernetes-list-type" = "set"))]
    pub bare_on: Vec<FallbackOn>,
    /// Most of the last hour's requests that may go there, in percent; default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: Option<i32>,
}

impl Fallback {
    /// For which failures, the default filled in.
    pub fn on(&self) -> Vec<FallbackOn> {
        let mut on: Vec<FallbackOn> = self.on.iter().chain(&self.bare_on).copied().collect();
        if on.is_empty() {
            on = vec![FallbackOn::Error, FallbackOn::RateLimit, FallbackOn::Timeout];
        }
        on.sort_unstable();
        on.dedup();
        on
    }
}

/// A failure that a fallback answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FallbackOn {
    /// The upstream failed, could not be reached, or refused the credentials or the model.
    Error,
    /// The upstream refused for its rate limit.
    RateLimit,
    /// The upstream was too slow.
    Timeout,
    /// The prompt is longer than the model takes.
    ContextWindow,
    /// The upstream refused for its content policy.
    ContentPolicy,
    /// The engine has no replica yet.
    ColdStart,
}

/// When a backend counts as failed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = (
    "!has(self.interval) || duration(self.interval) > duration('0s')",
    "health.interval must be above 0s; use at least 1s, or remove it for the default"
))]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Whether to probe, beside watching the traffic. Default: true for engines, VLLM, HuggingFaceTGI and Ollama, and wherever baseURL
    /// is plain http; false for https, as public APIs have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Between two probes. Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<DurationString>,
    /// What to probe, relative to the server's root. Default: /health of engines, else the list of the provider's models.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), extend("pattern" = "^/[^\\s?#]*$"))]
    pub path: Option<String>,
    /// Failures in a minute after which the backend is left alone for the cooldown. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub allowed_fails: Option<i32>,
    /// How long a failed backend is left alone; 0s: never. Default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<DurationString>,
}

impl Health {
    /// Default of `interval`.
    pub const INTERVAL: Duration = Duration::from_secs(30);
    /// Default of `allowedFails`.
    pub const ALLOWED_FAILS: i32 = 3;
    /// Default of `cooldown`.
    pub const COOLDOWN: Duration = Duration::from_mins(1);

    /// Time between two probes, or its default.
    pub fn interval(&self) -> Result<Duration, DurationError> {
        or_default(self.interval.as_ref(), Self::INTERVAL)
    }

    /// Cooldown, or its default.
    pub fn cooldown(&self) -> Result<Duration, DurationError> {
        or_default(self.cooldown.as_ref(), Self::COOLDOWN)
    }
}

/// Answering repeated requests from a store.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = (
    "!has(self.ttl) || duration(self.ttl) > duration('0s')",
    "cache.ttl must be above 0s; use at least 1s, or remove it for the default"
))]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// Whether answers are kept and reused. Default false.
    #[serde(default)]
    pub enabled: bool,
    /// How long an answer is kept. Default 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<DurationString>,
    /// Who shares kept answers: one key, one team of a namespace, or all. Default Key.
    #[serde(default)]
    pub scope: CacheScope,
    /// Also answer requests that only mean the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semantic: Option<SemanticCache>,
}

impl Cache {
    /// Default of `ttl`.
    pub const TTL: Duration = Duration::from_hours(1);

    /// How long an answer is kept, or its default.
    pub fn ttl(&self) -> Result<Duration, DurationError> {
        or_default(self.ttl.as_ref(), Self::TTL)
    }
}

/// Who shares kept answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CacheScope {
    /// Each key has its own.
    #[default]
    Key,
    /// The keys of one team share.
    Team,
    /// All keys share.
    Cluster,
}

/// Answering requests that mean the same.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = (
    "double(self.threshold) > 0.0",
    "cache.semantic.threshold must be above 0, else every prompt means the same; use one such as \"0.92\""
))]
#[serde(rename_all = "camelCase")]
pub struct SemanticCache {
    /// Least likeness (cosine) of two prompts that counts as the same, above 0 and up to 1, such as "0.92".
    #[schemars(length(min = 1, max = 8), extend("pattern" = "^(0([.][0-9]{1,6})?|1([.]0{1,6})?)$"))]
    pub threshold: String,
    /// The embedding model that compares prompts, by a name that keys of this namespace may ask for.
    #[schemars(length(min = 1, max = 253))]
    pub embedding_model: String,
}
