//! `ModelDeployment`: one model that clients can ask for, with where it runs, how it is reached, priced and guarded.

pub mod engine;
pub mod policy;
pub mod provider;
pub mod route;
pub mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use engine::{Autoscaling, ColdStart, Engine, EngineCache, Gpu, Lora, LoraAdapter, ModelSource, Vllm};
pub use policy::{
    Cache, CacheScope, Capabilities, Fallback, FallbackOn, Health, Limits, Price, Retry, RetryPerClass, SemanticCache,
    Timeouts,
};
pub use provider::{
    AwsCredentials, AzureCredentials, Credentials, GcpCredentials, Header, Params, Provider, ProviderType,
};
pub use route::{Complexity, Hedge, Mirror, Route, Strategy, Target};
pub use status::{Backends, ModelDeploymentStatus, SourceKind};

/// What is wanted of a model.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "turnpike.dev",
    version = "v1alpha1",
    kind = "ModelDeployment",
    namespaced,
    doc = "One model that clients can ask for: a provider's API, an engine in this cluster, a route over other models, or a canned answer.",
    derive = "PartialEq",
    derive = "Default",
    status = "ModelDeploymentStatus",
    shortname = "mdep",
    category = "llm",
    scale(
        spec_replicas_path = ".spec.vllm.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "MODEL", type_ = "string", json_path = ".status.modelName", description = "What clients ask for"),
    printcolumn(name = "KIND", type_ = "string", json_path = ".status.kind", description = "Provider, VLLM, Route or Mock"),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it serves"),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why it does or does not serve"),
    printcolumn(name = "REPLICAS", type_ = "string", json_path = ".status.replicasText", description = "Ready and wanted engines"),
    printcolumn(name = "PROGRAMMED", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].status", description = "Whether every gateway has this generation"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "ENDPOINT", type_ = "string", priority = 1, json_path = ".status.endpoint", description = "Base URL for clients"),
    printcolumn(name = "BACKENDS", type_ = "string", priority = 1, json_path = ".status.backendsText", description = "Healthy and all backends"),
    validation = (
        "self.metadata.name.size() <= 63",
        "metadata.name must have at most 63 characters; choose a shorter name and set spec.modelName to the long one"
    ),
    validation = (
        "!has(self.spec.vllm) || self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
        "with spec.vllm, metadata.name must start with a letter, use only a-z, 0-9 and -, and have at most 40 characters, since pods and Services are named after it"
    ),
    validation = (
        "!has(self.spec.route) || !has(self.spec.route.targets) || self.spec.route.targets.all(t, t.modelRef.name != self.metadata.name)",
        "spec.route.targets must not name this ModelDeployment itself; name other ModelDeployments"
    ),
    validation = (
        "!has(self.spec.route) || !has(self.spec.route.mirror) || self.spec.route.mirror.modelRef.name != self.metadata.name",
        "spec.route.mirror must not name this ModelDeployment itself; name another ModelDeployment"
    ),
    validation = (
        "!has(self.spec.fallbacks) || self.spec.fallbacks.all(f, f.modelRef.name != self.metadata.name)",
        "spec.fallbacks must not name this ModelDeployment itself; name other ModelDeployments"
    ),
    validation = (
        "!has(self.spec.route) || !has(self.spec.route.complexity) || [self.spec.route.complexity.simple, self.spec.route.complexity.medium, self.spec.route.complexity.complex].all(n, n != self.metadata.name)",
        "spec.route.complexity must not name this ModelDeployment itself; name other ModelDeployments"
    )
)]
#[x_kube(
    validation = (
        "(has(self.provider) ? 1 : 0) + (has(self.vllm) ? 1 : 0) + (has(self.route) ? 1 : 0) + (has(self.mock) ? 1 : 0) == 1",
        "set exactly one of provider, vllm, route and mock"
    ),
    validation = (
        "has(self.provider) == has(oldSelf.provider) && has(self.vllm) == has(oldSelf.vllm) && has(self.route) == has(oldSelf.route) && has(self.mock) == has(oldSelf.mock)",
        "provider, vllm, route and mock cannot be exchanged for one another; create a new ModelDeployment with the same modelName and delete this one"
    ),
    validation = (
        "!has(self.modelName) || !self.modelName.contains('*') || has(self.provider)",
        "a modelName with * needs provider; give other kinds a full name"
    ),
    validation = (
        "!has(self.vllm) || !has(self.vllm.autoscaling) || self.vllm.autoscaling.coldStart != 'Fallback' || (has(self.fallbacks) && self.fallbacks.size() > 0)",
        "vllm.autoscaling.coldStart Fallback needs fallbacks; list at least one, or use Hold or Reject"
    ),
    validation = (
        "self.poolStrategy != 'Complexity'",
        "poolStrategy cannot be Complexity, which needs to know the models for simple and complex prompts; use a route with strategy Complexity"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ModelDeploymentSpec {
    /// What clients ask for; default: metadata.name. May end in `*` with provider, such as `openai/*`. Several ModelDeployments
    /// of one namespace with the same modelName form a pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("pattern" = "^([A-Za-z0-9][A-Za-z0-9._:/@+-]*)?[*]?$"))]
    pub model_name: Option<String>,
    /// Further names that clients may use for this model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub aliases: Vec<String>,
    /// Who may ask for it: keys of this namespace (Namespace), of every namespace (Cluster), or nobody directly, only other
    /// ModelDeployments as target or fallback (Internal).
    #[serde(default)]
    pub visibility: Visibility,
    /// A model behind a provider's API or any OpenAI-compatible server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// A model that Turnpike runs in this cluster on an inference engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vllm: Option<Vllm>,
    /// A model that spreads requests over other ModelDeployments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// A canned answer, for trials and tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mock: Option<Mock>,
    /// Share of requests within the pool of one modelName, relative to the others' weights; 0 takes none. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: i32,
    /// Order within the pool: a higher number is used only while no lower one can serve. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub priority: i32,
    /// Labels for routing by tag, such as eu-region: a request that asks for tags goes only to models that have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,
    /// How requests are spread among the ModelDeployments of one modelName, as in route.strategy, but for Complexity. They must
    /// agree: one that differs from the oldest stays out of the pool. Without effect on a route. Default Weighted.
    #[serde(default)]
    pub pool_strategy: Strategy,
    /// Most that this backend is given; more goes to others of the pool or is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// What a call costs; default: the built-in price table, by provider and model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// What the model can do; default: the built-in table, by provider and model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// How long to wait for the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// How often a failed call is tried again within the pool or route that the client asked for. In a pool, the oldest
    /// ModelDeployment that sets it decides; a route's targets have no say in the route's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Other models to use when this one fails, in this order. A pool has those of all its ModelDeployments. Models may fall back
    /// to each other: a request goes to none of them twice, and falls back at most five times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub fallbacks: Vec<Fallback>,
    /// When a backend counts as failed. A route has no backend of its own; set it on the targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Answering repeated requests from a store. What a client asked for counts, not which model answers: a route's targets have
    /// no say in the route's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

impl Default for ModelDeploymentSpec {
    /// No source yet; every other field as the API server defaults it.
    fn default() -> Self {
        Self {
            model_name: None,
            aliases: Vec::new(),
            visibility: Visibility::default(),
            provider: None,
            vllm: None,
            route: None,
            mock: None,
            weight: one(),
            priority: 0,
            tags: Vec::new(),
            pool_strategy: Strategy::default(),
            limits: None,
            price: None,
            capabilities: None,
            timeouts: None,
            retry: None,
            fallbacks: Vec::new(),
            health: None,
            cache: None,
        }
    }
}

/// Who may ask for a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Visibility {
    /// Keys of the same namespace.
    #[default]
    Namespace,
    /// Keys of every namespace.
    Cluster,
    /// Only other ModelDeployments, as target or fallback.
    Internal,
}

/// A canned answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mock {
    /// The text of every answer. Default: a greeting.
    #[serde(default = "Mock::greeting")]
    #[schemars(length(max = 8192))]
    pub response: String,
}

impl Mock {
    fn greeting() -> String {
        "Hello from Turnpike".to_owned()
    }
}

impl Default for Mock {
    fn default() -> Self {
        Self { response: Self::greeting() }
    }
}

impl ModelDeployment {
    /// The name that clients ask for: `spec.modelName`, else `metadata.name` (empty if the object has none).
    pub fn model_name(&self) -> &str {
        self.spec.model_name.as_deref().or(self.metadata.name.as_deref()).unwrap_or_default()
    }
}

fn one() -> i32 {
    1
}
