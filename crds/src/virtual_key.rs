//! `VirtualKey`: one client's key, with who it belongs to, what it may call and what it may spend.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    budget::BudgetLimit,
    condition::Programmed,
    duration::DurationString,
    reference::{BudgetRef, OBJECT_NAME, SecretKeyRef},
    schema,
};

/// What is wanted of a key.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "turnpike.dev",
    version = "v1alpha1",
    kind = "VirtualKey",
    namespaced,
    doc = "A key for one client: who it belongs to, which models it may call and what it may spend.",
    derive = "PartialEq",
    derive = "Default",
    status = "VirtualKeyStatus",
    shortname = "vkey",
    category = "llm",
    printcolumn(name = "KEYID", type_ = "string", json_path = ".status.keyId", description = "Id in logs, metrics and spend"),
    printcolumn(name = "TEAM", type_ = "string", json_path = ".spec.subject.team", description = "Team that the key belongs to"),
    printcolumn(name = "ACTIVE", type_ = "string", json_path = ".status.conditions[?(@.type==\"Active\")].status", description = "Whether the key is accepted"),
    printcolumn(name = "SPENT", type_ = "string", json_path = ".status.spent", description = "USD in the current month"),
    printcolumn(name = "BUDGET", type_ = "string", json_path = ".status.budgetText", description = "The key's own tightest limit"),
    printcolumn(name = "EXPIRES", type_ = "string", json_path = ".status.expires", description = "When the key stops working"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "USER", type_ = "string", priority = 1, json_path = ".spec.subject.user", description = "User that the key belongs to"),
    printcolumn(name = "LASTUSED", type_ = "date", priority = 1, json_path = ".status.lastUsedTime", description = "Last use, to the hour"),
    printcolumn(name = "ROTATES", type_ = "string", priority = 1, json_path = ".status.rotates", description = "When the key is replaced"),
    validation = (
        "self.metadata.name.size() <= 63",
        "metadata.name must have at most 63 characters; choose a shorter name"
    )
)]
#[x_kube(
    validation = (
        "(has(self.generate) ? 1 : 0) + (has(self.secretRef) ? 1 : 0) + (has(self.keyHash) ? 1 : 0) == 1",
        "set exactly one of generate, secretRef and keyHash"
    ),
    validation = (
        "has(self.generate) == has(oldSelf.generate) && has(self.secretRef) == has(oldSelf.secretRef) && has(self.keyHash) == has(oldSelf.keyHash)",
        "generate, secretRef and keyHash cannot be exchanged for one another; create a new VirtualKey and delete this one"
    ),
    validation = (
        "!has(self.expiresAt) || !has(self.ttl)",
        "set expiresAt or ttl, not both"
    ),
    validation = (
        "!has(self.rotation) || has(self.generate)",
        "rotation needs generate, since only a generated key can be replaced"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct VirtualKeySpec {
    /// Have a key made and written to a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// Use a key that already lies in a Secret of the same namespace; at least 32 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Use a key that is kept elsewhere: `sha256:` and the 64 lower-case hexadecimal digits of the SHA-256 of its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = (
        "self.matches('^sha256:[0-9a-f]{64}$')",
        "keyHash must be sha256: followed by 64 lower-case hexadecimal digits; compute it with: printf %s KEY | sha256sum"
    ))]
    pub key_hash: Option<String>,
    /// Who the key belongs to, for reports and budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Models that the key may call, by modelName or alias; a name may end in `*`; `*` alone means all; empty means none.
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
    /// Most that the key is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<KeyLimits>,
    /// Most that the key may spend: in UTC, strict, refusing while spend cannot be counted. For anything else use a Budget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub budget: Vec<BudgetLimit>,
    /// Budgets of the same namespace that also count this key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub budget_refs: Vec<BudgetRef>,
    /// When the key stops working; default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// How long after its creation the object's key stops working, such as 720h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<DurationString>,
    /// Whether the key is refused for now. Default false.
    #[serde(default)]
    pub suspended: bool,
    /// Replacing a generated key in regular intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// Notes, shown in reports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub metadata: BTreeMap<String, String>,
}

/// Where a generated key is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generate {
    /// Name of the Secret to create; default: metadata.name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("pattern" = OBJECT_NAME))]
    pub secret_name: Option<String>,
    /// Key within the Secret's data. Default api-key.
    #[serde(default = "Generate::api_key")]
    #[schemars(length(min = 1, max = 253), extend("pattern" = "^[-._a-zA-Z0-9]+$"))]
    pub secret_key: String,
}

impl Generate {
    fn api_key() -> String {
        "api-key".to_owned()
    }
}

impl Default for Generate {
    fn default() -> Self {
        Self { secret_name: None, secret_key: Self::api_key() }
    }
}

/// Who a key belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Team, for reports and budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub team: Option<String>,
    /// User, for reports and budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub user: Option<String>,
    /// Tags put on every spend row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub tags: BTreeMap<String, String>,
}

/// Most that a key is given.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = (
    "has(self.rpm) || has(self.tpm) || has(self.maxParallel) || (has(self.perModel) && self.perModel.size() > 0)",
    "limits is empty; set rpm, tpm, maxParallel or perModel, or remove it"
))]
#[serde(rename_all = "camelCase")]
pub struct KeyLimits {
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
    /// Further limits for single models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["model"])
    )]
    pub per_model: Vec<ModelLimit>,
}

/// A limit for one model.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = ("has(self.rpm) || has(self.tpm)", "an entry of perModel needs rpm or tpm"))]
#[serde(rename_all = "camelCase")]
pub struct ModelLimit {
    /// modelName, as clients ask for it.
    #[schemars(length(min = 1, max = 253))]
    pub model: String,
    /// Requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub rpm: Option<i64>,
    /// Tokens, in and out, per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub tpm: Option<i64>,
}

/// Replacing a generated key.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = (
    "!has(self.overlap) || duration(self.overlap) < duration(self.interval)",
    "rotation.overlap must be shorter than rotation.interval"
), validation = (
    "duration(self.interval) >= duration('1m')",
    "rotation.interval must be at least 1m"
))]
pub struct Rotation {
    /// Between two replacements, such as 720h; at least 1m.
    pub interval: DurationString,
    /// How long the old key works beside the new one. Default 24h, at most half of the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<DurationString>,
}

/// What was last observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualKeyStatus {
    /// The metadata.generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Id in logs, metrics and spend rows; stable across rotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub key_id: Option<String>,
    /// The keys that work now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub keys: Vec<IssuedKey>,
    /// Where the key lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// USD in the current month.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub spent: Option<String>,
    /// The key's own tightest limit, such as "50.00/Month".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub budget_text: Option<String>,
    /// When spent and lastUsedTime were read; at most every five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_spend_sync: Option<Time>,
    /// Last use, to the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_time: Option<Time>,
    /// When the key stops working, as text for the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub expires: Option<String>,
    /// When the key is replaced, as text for the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub rotates: Option<String>,
    /// What refuses the key now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub blocked_by: Vec<BlockedBy>,
    /// What all gateways have loaded of this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programmed: Option<Programmed>,
    /// State by aspect: Ready, Accepted, ResolvedRefs, Programmed, Active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// One issued key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedKey {
    /// End of the key's hash, to tell keys apart.
    #[schemars(length(max = 32))]
    pub fingerprint: String,
    /// Whether it is the current key, or one that works only until retiresAt.
    pub state: KeyState,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// When it stops working.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<Time>,
}

/// State of an issued key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum KeyState {
    /// The current key.
    #[default]
    Active,
    /// Replaced; works for the rest of the overlap.
    Retiring,
}

/// What refuses a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockedBy {
    /// Kind of the object, such as Budget.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Name of the object in the same namespace.
    #[schemars(length(max = 253))]
    pub name: String,
}
