//! llama.cpp's server, which runs GGUF files, also without a GPU.

use turnpike_crds::{ModelDeployment, model_deployment::Vllm};

use super::Line;
use crate::{children, names};

pub(super) fn args(model: &ModelDeployment, spec: &Vllm) -> Vec<String> {
    let mut line = Line::default();
    line.maybe("--model", children::path(spec.engine, &spec.source));
    line.maybe("--hf-repo", spec.source.hugging_face.as_ref().map(|repository| &repository.repo));
    line.set("--alias", names::served(model));
    line.set("--host", "0.0.0.0");
    line.set("--port", names::PORT.to_string());
    line.maybe("--ctx-size", spec.max_model_len.map(|length| length.to_string()));
    line.switch("--metrics");
    line.0
}

pub(super) fn variables() -> Vec<(&'static str, String)> {
    vec![("LLAMA_CACHE", format!("{}/llama.cpp", children::CACHE))]
}
