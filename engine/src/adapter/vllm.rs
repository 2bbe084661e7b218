//! vLLM's server.

use turnpike_crds::{
    ModelDeployment,
    model_deployment::{Lora, Vllm},
};

use super::{Line, downloads, text};
use crate::{children, flags, names};

/// Adapters in one batch: few cost memory, and a change restarts the engine. In steps, so that most changes need none.
const ADAPTER_STEPS: [usize; 3] = [4, 8, 16];

pub(super) fn args(model: &ModelDeployment, spec: &Vllm, answer_seconds: i32) -> Vec<String> {
    let mut line = Line::default();
    let repository = spec.source.hugging_face.as_ref();
    let path = children::path(spec.engine, &spec.source);
    line.maybe("--model", path.or_else(|| Some(repository?.repo.clone())));
    line.set("--served-model-name", names::served(model));
    line.set("--host", "0.0.0.0");
    line.set("--port", names::PORT.to_string());
    line.maybe("--revision", repository.and_then(|repository| repository.revision.as_ref()));
    line.maybe("--max-model-len", spec.max_model_len.map(|length| length.to_string()));
    line.maybe("--gpu-memory-utilization", spec.gpu_memory_utilization.as_ref());
    let gpus = (spec.gpu.count > 0).then_some(spec.gpu.count);
    line.maybe("--tensor-parallel-size", number(spec.tensor_parallel_size.or(gpus)));
    line.maybe("--pipeline-parallel-size", number(spec.pipeline_parallel_size));
    line.maybe("--quantization", text(spec.quantization.as_ref()));
    line.maybe("--dtype", text(spec.dtype.as_ref()));
    line.maybe("--kv-cache-dtype", text(spec.kv_cache_dtype.as_ref()));
    if let Some(parser) = text(spec.tool_call_parser.as_ref()) {
        line.switch("--enable-auto-tool-choice");
        line.set("--tool-call-parser", parser);
    }
    line.maybe("--reasoning-parser", text(spec.reasoning_parser.as_ref()));
    if let Some(lora) = &spec.lora {
        line.switch("--enable-lora");
        line.maybe("--max-lora-rank", number(lora.max_rank));
        yielding(&mut line, spec, "--max-loras", in_one_batch(lora).to_string());
    }
    // Else answers in flight are cut off as soon as the process is told to end.
    yielding(&mut line, spec, "--shutdown-timeout", answer_seconds.to_string());
    line.0
}

fn number(value: Option<i32>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// A flag that no field sets: extraArgs may.
fn yielding(line: &mut Line, spec: &Vllm, flag: &str, value: String) {
    if !flags::names(&spec.extra_args).any(|(_, name)| name == flag) {
        line.set(flag, value);
    }
}

fn in_one_batch(lora: &Lora) -> usize {
    let [few, some, many] = ADAPTER_STEPS;
    match lora.adapters.len() {
        count if count <= few => few,
        count if count <= some => some,
        _ => many,
    }
}

pub(super) fn variables(spec: &Vllm) -> Vec<(&'static str, String)> {
    let mut variables = vec![("VLLM_NO_USAGE_STATS", "1"), ("HF_HUB_DISABLE_TELEMETRY", "1")];
    if spec.lora.is_some() {
        variables.push(("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True"));
    }
    if !downloads(spec) {
        variables.extend([("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "1")]);
    }
    variables.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}
