//! What one object compiles to: the entries that shards carry and gateways read.
//!
//! Entries are resolved: defaults applied, prices looked up, durations in milliseconds, money in nano-USD,
//! secrets moved to a [`CredentialEntry`]. A gateway never sees a CR.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
pub use turnpike_crds::model_deployment::ColdStart;
use turnpike_crds::model_deployment::Strategy;
use turnpike_llm::{
    price::Price,
    provider::{Capabilities, ProviderKind},
};

use crate::canonical;

mod identity;
mod limit;
mod routing;

pub use identity::{AssumedRole, AwsIdentity, AwsKeys, EntraApplication, GoogleAccount, Identity, ServiceAccount};
use limit::is_default;
pub use limit::{BudgetEntry, KeyLimits, LimitEntry, ModelLimits, PerModelLimit, RESET, covers};
pub use routing::{Cache, Complexity, Fallback, Health, Mirror, Retry, RouteBackend, RouteTarget, Semantic, Sticky};

/// Namespace and name of the object that an entry came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Kubernetes namespace.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Who may ask for a model by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// Keys of the same namespace.
    Namespace,
    /// Keys of every namespace.
    Cluster,
    /// Nobody; only as a target or fallback of another model.
    Internal,
}

/// One `ModelDeployment`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// The object.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// `metadata.creationTimestamp`, seconds since the epoch; 0 where unknown (standalone). The oldest wins a name.
    pub created: i64,
    /// Public name; may hold one `*` where `backend` is a provider.
    pub model_name: String,
    /// Other public names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Who may ask for it.
    pub visibility: Visibility,
    /// What answers.
    pub backend: Backend,
    /// Share of its pool's traffic, 0..=1000.
    pub weight: u32,
    /// Lower is tried first.
    pub priority: i32,
    /// Free labels for routing by tag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Price of its tokens; `None` = unknown (cost is recorded as unknown, not as free).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// What the model can do and its sizes.
    pub capabilities: Capabilities,
    /// All in milliseconds.
    pub timeouts: Timeouts,
    /// Most that the backend is given, whoever asks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: ModelLimits,
    /// How one of the models of its pool is chosen; a route has its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// Further attempts; `None` = the spec does not say, see [`Retry::default`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Where requests go that it does not answer, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Fallback>,
    /// When it counts as failed; a route has none of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub health: Health,
    /// Answering repeated requests; `None` = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

/// What answers for a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Backend {
    /// An HTTP API.
    Provider(ProviderBackend),
    /// A virtual model that points at others.
    Route(RouteBackend),
    /// A canned answer, produced by the gateway itself.
    Mock {
        /// The assistant's text.
        response: String,
    },
}

/// An upstream HTTP API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderBackend {
    /// Which adapter speaks to it.
    pub provider: ProviderKind,
    /// Upstream's model name; `*` keeps what the wildcard of `model_name` matched.
    pub model: String,
    /// Base URL without a trailing slash, `provider`'s default filled in.
    pub base_url: String,
    /// Azure's `api-version`, where set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Cloud region, where set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Cloud project, where set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Digest naming the [`CredentialEntry`] that holds its key and headers; `None` = no authentication and no extra headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Changes to the request's parameters.
    #[serde(default)]
    pub params: Params,
    /// Where calls may go.
    #[serde(default, skip_serializing_if = "Egress::is_guarded")]
    pub egress: Egress,
    /// It is an engine in this cluster: each address of its host is a replica; `None` = it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineEntry>,
}

/// An engine that the operator runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineEntry {
    /// What a request meets while no replica is there.
    pub cold_start: ColdStart,
    /// How long a request is held at most, milliseconds.
    pub hold_ms: u64,
    /// Replicas come and go by demand: a request while there are none brings one.
    #[serde(default)]
    pub is_scaled: bool,
    /// Names of adapters that replicas may have loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<String>,
}

/// Where the pods of an engine are that the operator has seen ready: a hint, for the while until DNS tells of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointEntry {
    /// The `ModelDeployment`.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// Where each of them listens.
    pub port: u16,
    /// Lowest first.
    pub addresses: Vec<IpAddr>,
}

/// Which addresses a gateway that guards its calls may connect to for a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Egress {
    /// Public ones, and private ones that the gateway's flags allow.
    #[default]
    Guarded,
    /// Private ones too: the base URL names a Service of the model's own namespace. Never loopback, link-local, metadata or
    /// unspecified ones.
    OwnService,
}

impl Egress {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    const fn is_guarded(&self) -> bool {
        matches!(self, Self::Guarded)
    }
}

/// `provider.params`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Params {
    /// Added where the client sent nothing: name to JSON value.
    pub defaults: BTreeMap<String, serde_json::Value>,
    /// Removed.
    pub drop: Vec<String>,
    /// Renamed, from to.
    pub rename: BTreeMap<String, String>,
    /// Remove what the provider does not support instead of refusing it.
    pub drop_unsupported: bool,
}

/// `spec.timeouts`, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: u64,
    /// Until the first event of a stream.
    pub first_byte: u64,
    /// Between two chunks of a body.
    pub idle: u64,
    /// The whole call.
    pub total: u64,
}

/// One client key that is or was valid. Lives in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyEntry {
    /// The `VirtualKey`.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// `vk_…`, stable across rotations; what logs and spend rows name.
    pub key_id: String,
    /// sha256 of each live key, lower-case hex.
    pub hashes: Vec<KeyHash>,
    /// `subject.team`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `subject.user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `subject.tags`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Names and patterns with a trailing or inner `*`; a lone `*` = every visible model; empty = none.
    pub allowed_models: Vec<String>,
    /// Seconds since the epoch after which the key is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Refused while true.
    #[serde(default)]
    pub suspended: bool,
    /// Rates, and requests at the same time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: KeyLimits,
    /// `spec.budget`, the key's own limits: in UTC, enforced, strict, refusing while use cannot be counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<LimitEntry>,
    /// Names of Budgets of the same namespace that also count the key; some may not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget_refs: Vec<String>,
    /// `metadata.labels`, for the selectors of Budgets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Value of the annotation [`RESET`]: another value is another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<String>,
}

/// One hash of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyHash {
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// Seconds since the epoch after which this hash is refused (rotation overlap).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<i64>,
}

/// What authenticates a provider call. Lives in a Secret, named by a digest of its content so that equal ones are shared.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialEntry {
    /// Digest of the content: the entry's name.
    pub digest: String,
    /// The API key, where the provider wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// An identity in a cloud, which stands in for the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Extra headers in order (literal and from Secrets).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for CredentialEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CredentialEntry({}, ***)", self.digest)
    }
}

/// Everything a gateway serves from, sorted by object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Models.
    pub models: Vec<ModelEntry>,
    /// Client keys.
    pub keys: Vec<KeyEntry>,
    /// Budgets.
    pub budgets: Vec<BudgetEntry>,
    /// Credentials by digest.
    pub credentials: BTreeMap<String, CredentialEntry>,
    /// Of engines of which the operator sees a pod that is ready.
    pub endpoints: Vec<EndpointEntry>,
}

impl Contents {
    /// sha256 of everything but endpoints, lower-case hex: equal for equal contents, whatever they were rendered from.
    pub fn hash(&self) -> String {
        let Self { models, keys, budgets, credentials, endpoints: _ } = self;
        canonical::sha256_hex(canonical::to_string(&(models, keys, budgets, credentials)).as_bytes())
    }
}
