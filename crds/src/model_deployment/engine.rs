//! `spec.vllm`: a model that runs in this cluster on an inference engine.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::one;
use crate::{duration::DurationString, reference, reference::SecretKeyRef, schema};

/// A model on an inference engine in this cluster.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = (
        "self.gpu.count == 0 || (has(self.tensorParallelSize) ? self.tensorParallelSize : self.gpu.count) * (has(self.pipelineParallelSize) ? self.pipelineParallelSize : 1) <= self.gpu.count",
        "tensorParallelSize x pipelineParallelSize must not exceed gpu.count (tensorParallelSize is gpu.count unless set); raise gpu.count or lower them"
    ),
    validation = (
        "!has(self.cache) || self.cache.accessMode != 'ReadWriteOnce' || (has(self.autoscaling) ? self.autoscaling.maxReplicas : self.replicas) <= 1",
        "a cache with accessMode ReadWriteOnce serves one replica; use ReadWriteMany, or at most one replica"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Vllm {
    /// Which engine: VLLM, or LlamaCpp for GGUF files and machines without GPU. Default VLLM.
    #[serde(default)]
    pub engine: Engine,
    /// Where the model's files come from.
    pub source: ModelSource,
    /// The engine's container image; default: the version that this release was tested with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Wanted engines; ignored while autoscaling is set. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// GPUs of one replica. Default: one nvidia.com/gpu.
    #[serde(default)]
    pub gpu: Gpu,
    /// GPUs that each layer is split over. Default: gpu.count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub tensor_parallel_size: Option<i32>,
    /// Groups of GPUs that the layers are shared out to. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub pipeline_parallel_size: Option<i32>,
    /// Most tokens of prompt and answer together; default: the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_model_len: Option<i64>,
    /// Share of GPU memory that the engine takes, above 0 and up to 1, such as "0.90"; default: the engine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), extend("pattern" = "^(0[.][0-9]{1,6}|1([.]0{1,6})?)$"))]
    pub gpu_memory_utilization: Option<String>,
    /// Quantization method, such as awq or fp8; default: as the model's files say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("pattern" = "^[A-Za-z0-9_.-]*$"))]
    pub quantization: Option<String>,
    /// Number format of weights and activations, such as auto or bfloat16. Default auto.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("pattern" = "^[A-Za-z0-9_.-]*$"))]
    pub dtype: Option<String>,
    /// Number format of the key-value cache, such as auto or fp8. Default auto.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("pattern" = "^[A-Za-z0-9_.-]*$"))]
    pub kv_cache_dtype: Option<String>,
    /// Key that engines ask of their callers; minted when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<SecretKeyRef>,
    /// Size of /dev/shm. Default 2Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub shared_memory: Option<Quantity>,
    /// CPU and memory of one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where downloaded files are kept; without it they go with the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<EngineCache>,
    /// Adapters that are served beside the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<Lora>,
    /// The engine's parser for tool calls, such as hermes; empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("pattern" = "^[A-Za-z0-9_.-]*$"))]
    pub tool_call_parser: Option<String>,
    /// The engine's parser for reasoning, such as `deepseek_r1`; empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("pattern" = "^[A-Za-z0-9_.-]*$"))]
    pub reasoning_parser: Option<String>,
    /// Further arguments for the engine, after all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub extra_args: Vec<String>,
    /// Environment variables of the engine's container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvVar>,
    /// How long a replica may take to download, load and answer. Default 30m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_timeout: Option<DurationString>,
    /// Replicas by demand, down to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// How a change reaches running replicas: Recreate replaces one after the other without a spare GPU; Surge starts a new one
    /// first. Default Recreate.
    #[serde(default)]
    pub rollout: Rollout,
    /// Whether the engine runs as root, for images that cannot do otherwise. Default false: user 2000.
    #[serde(default)]
    pub run_as_root: bool,
    /// Parts of a pod template laid over the engine's pods; only labels, annotations, nodeSelector, tolerations, affinity,
    /// topologySpreadConstraints, runtimeClassName, priorityClassName, resources and emptyDir or PVC volumes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::any_object")]
    pub pod_overlay: Map<String, Value>,
}

impl Default for Vllm {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            source: ModelSource::default(),
            image: None,
            replicas: one(),
            gpu: Gpu::default(),
            tensor_parallel_size: None,
            pipeline_parallel_size: None,
            max_model_len: None,
            gpu_memory_utilization: None,
            quantization: None,
            dtype: None,
            kv_cache_dtype: None,
            api_key_secret_ref: None,
            shared_memory: None,
            resources: None,
            cache: None,
            lora: None,
            tool_call_parser: None,
            reasoning_parser: None,
            extra_args: Vec::new(),
            env: Vec::new(),
            startup_timeout: None,
            autoscaling: None,
            rollout: Rollout::default(),
            run_as_root: false,
            pod_overlay: Map::new(),
        }
    }
}

impl Vllm {
    /// Default of `autoscaling.targetInFlight`.
    pub const TARGET_IN_FLIGHT: i32 = 32;

    /// Requests in flight that one replica should have; the default where nothing scales.
    pub fn target_in_flight(&self) -> i32 {
        self.autoscaling.as_ref().and_then(|scaling| scaling.target_in_flight).unwrap_or(Self::TARGET_IN_FLIGHT)
    }
}

/// An inference engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Engine {
    /// vLLM.
    #[default]
    #[serde(rename = "VLLM")]
    Vllm,
    /// llama.cpp's server.
    LlamaCpp,
}

/// Where a model's files come from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = (
    "(has(self.huggingFace) ? 1 : 0) + (has(self.pvc) ? 1 : 0) + (has(self.uri) ? 1 : 0) == 1",
    "set exactly one of huggingFace, pvc and uri in source"
))]
#[serde(rename_all = "camelCase")]
pub struct ModelSource {
    /// A repository of the Hugging Face hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugging_face: Option<HuggingFace>,
    /// Files that already lie on a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcSource>,
    /// An address: `s3://bucket/path`, or `oci://registry/image:tag` for an image volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), extend("pattern" = "^(s3|oci)://[^\\s?#@]+(@sha256:[0-9a-f]{64})?$"))]
    pub uri: Option<String>,
}

/// A repository of the Hugging Face hub.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HuggingFace {
    /// Owner and name, such as Qwen/Qwen2.5-7B-Instruct.
    #[schemars(length(min = 1, max = 193), extend("pattern" = "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$"))]
    pub repo: String,
    /// Branch, tag or commit. Default main.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), extend("pattern" = "^[A-Za-z0-9._/-]+$"))]
    pub revision: Option<String>,
    /// Token for private repositories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,
}

/// Files on a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PvcSource {
    /// Name of a PersistentVolumeClaim in the same namespace; mounted read-only.
    #[schemars(length(min = 1, max = 253), extend("pattern" = reference::OBJECT_NAME))]
    pub claim_name: String,
    /// Folder or file within the volume; default: its root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub path: Option<String>,
}

/// GPUs of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gpu {
    /// How many; 0 runs without. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 64))]
    pub count: i32,
    /// The resource that nodes offer. Default nvidia.com/gpu.
    #[serde(default = "Gpu::nvidia")]
    #[schemars(length(min = 1, max = 253))]
    pub resource_name: String,
}

impl Gpu {
    fn nvidia() -> String {
        "nvidia.com/gpu".to_owned()
    }
}

impl Default for Gpu {
    fn default() -> Self {
        Self { count: one(), resource_name: Self::nvidia() }
    }
}

/// CPU and memory of one replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// What a node must have free.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// What the replica may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

/// Where downloaded files are kept.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = ("has(self.size) != has(self.claimName)", "give cache exactly one of size (a new volume) and claimName (an existing one)"),
    validation = ("!has(self.storageClassName) || has(self.size)", "storageClassName is for a new volume; set size, or remove it")
)]
#[serde(rename_all = "camelCase")]
pub struct EngineCache {
    /// Size of a new volume, such as 100Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub size: Option<Quantity>,
    /// Storage class of a new volume; default: the cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
    /// Who may mount the volume: the pods of one node (ReadWriteOnce), of all (ReadWriteMany). Default ReadWriteOnce.
    #[serde(default)]
    pub access_mode: AccessMode,
    /// Name of an existing PersistentVolumeClaim in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("pattern" = reference::OBJECT_NAME))]
    pub claim_name: Option<String>,
}

/// Who may mount a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// The pods of one node.
    #[default]
    ReadWriteOnce,
    /// The pods of all nodes.
    ReadWriteMany,
}

/// Adapters that are served beside the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lora {
    /// The adapters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub adapters: Vec<LoraAdapter>,
    /// Highest rank among them; default: the engine's (16).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 512))]
    pub max_rank: Option<i32>,
}

/// One adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoraAdapter {
    /// Clients ask for `<modelName>:<name>`.
    #[schemars(length(min = 1, max = 63), extend("pattern" = "^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: String,
    /// Where the adapter's files come from.
    pub source: ModelSource,
}

/// An environment variable.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("!has(self.value) || !has(self.secretRef)", "give an env entry value or secretRef, not both"))]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// The variable's name.
    #[schemars(length(min = 1, max = 253), extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Literal value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Value from a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
}

/// Replicas by demand.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.minReplicas <= self.maxReplicas", "minReplicas must not exceed maxReplicas; raise maxReplicas or lower minReplicas"))]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Fewest replicas; 0 lets the model sleep. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: i32,
    /// Most replicas.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Requests in flight that one replica should have. Default 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub target_in_flight: Option<i32>,
    /// How long demand must stay low before a replica goes. Default 5m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay: Option<DurationString>,
    /// What a request meets while no replica runs: it waits (Hold), goes to the fallbacks (Fallback), or is refused (Reject).
    /// Default Hold.
    #[serde(default)]
    pub cold_start: ColdStart,
    /// How long a held request waits at most. Default 5m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_timeout: Option<DurationString>,
}

/// What a request meets while no replica runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ColdStart {
    /// It waits.
    #[default]
    Hold,
    /// It goes to the fallbacks.
    Fallback,
    /// It is refused.
    Reject,
}

/// How a change reaches running replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Rollout {
    /// One replica after the other, without a spare GPU.
    #[default]
    Recreate,
    /// A new replica first.
    Surge,
}
