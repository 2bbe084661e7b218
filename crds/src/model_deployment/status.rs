//! `status` of a `ModelDeployment`: what is observed of its backends, and what the columns show.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{condition::Programmed, schema};

/// What was last observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelDeploymentStatus {
    /// The metadata.generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Where the model comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SourceKind")]
    pub kind: Option<SourceKind>,
    /// What clients ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub model_name: Option<String>,
    /// Base URL for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub endpoint: Option<String>,
    /// Engines that exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// Engines that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ready_replicas: Option<i32>,
    /// Engines that answer and that are wanted, such as 1/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub replicas_text: Option<String>,
    /// What a starting engine is at, such as "Downloading 42 %".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub progress: Option<String>,
    /// Adapters that are loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub adapters: Vec<String>,
    /// Label selector of the engines' pods, for /scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// The engines' image, by digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 640))]
    pub image: Option<String>,
    /// What all gateways have loaded of this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programmed: Option<Programmed>,
    /// State of the backends, as the gateways see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backends: Option<Backends>,
    /// Healthy and all backends, such as 2/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub backends_text: Option<String>,
    /// State by aspect: Ready, Accepted, ResolvedRefs, Programmed; with vllm also CacheReady, EngineReady, ScalingReady.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a model comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SourceKind {
    /// A provider's API.
    Provider,
    /// An engine in this cluster.
    #[serde(rename = "VLLM")]
    Vllm,
    /// Other models.
    Route,
    /// A canned answer.
    Mock,
}

/// State of the backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backends {
    /// Backends that take requests.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub healthy: i32,
    /// Backends that are left alone after failures.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub cooling: i32,
    /// All backends.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub total: i32,
}
