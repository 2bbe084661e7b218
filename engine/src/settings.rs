//! What is the same for all engines of an operator.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;

/// The version of vLLM that this release was made for.
pub const VLLM_VERSION: &str = "0.33.0";

/// Rules and defaults of the place.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `--instance`.
    pub instance: String,
    /// Where the operator and the gateways run: nobody else may call engines.
    pub release_namespace: String,
    /// Labels of the gateways' pods.
    pub gateway_labels: BTreeMap<String, String>,
    /// Labels of the operator's pods.
    pub operator_labels: BTreeMap<String, String>,
    /// Who else may read engines' metrics.
    pub monitoring_peers: Vec<NetworkPolicyPeer>,
    /// Image of engines of type VLLM.
    pub vllm_image: String,
    /// Image of engines of type `LlamaCpp`.
    pub llama_cpp_image: String,
    /// Image with AWS's command line, for models from `s3://`.
    pub s3_image: String,
    /// Secrets of each engine's namespace by which nodes pull its images.
    pub image_pull_secrets: Vec<String>,
    /// Whether `PodMonitor`s are made.
    pub pod_monitor: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            instance: "turnpike".to_owned(),
            release_namespace: String::new(),
            gateway_labels: BTreeMap::new(),
            operator_labels: BTreeMap::new(),
            monitoring_peers: Vec::new(),
            vllm_image: format!("vllm/vllm-openai:v{VLLM_VERSION}"),
            llama_cpp_image: "ghcr.io/ggml-org/llama.cpp:server".to_owned(),
            s3_image: "public.ecr.aws/aws-cli/aws-cli:2.31.0".to_owned(),
            image_pull_secrets: Vec::new(),
            pod_monitor: false,
        }
    }
}
