//! What is to be said of a spec before anything is made of it.

mod arguments;
mod overlaid;
mod source;

use turnpike_crds::{
    ModelDeployment, Reason,
    model_deployment::{Engine, Vllm, engine::AccessMode, engine::Rollout},
};

use crate::{Finding, flags::KNOWN, overlay::Rule};

/// All remarks; none for a model without an engine.
pub fn check(model: &ModelDeployment, rule: Rule) -> Vec<Finding> {
    let Some(spec) = &model.spec.vllm else {
        return Vec::new();
    };
    let mut found = source::remarks(model, spec);
    found.extend(gpus(spec));
    found.extend(match spec.engine {
        Engine::Vllm => quantization(spec),
        Engine::LlamaCpp => without_effect(spec),
    });
    found.extend(rollout(spec));
    found.extend(arguments::remarks(spec));
    found.extend(overlaid::remarks(model, spec, rule));
    found
}

fn gpus(spec: &Vllm) -> Vec<Finding> {
    let mut found = Vec::new();
    let gpu = &spec.gpu;
    let is_named =
        gpu.resource_name.split_once('/').is_some_and(|(domain, name)| !domain.is_empty() && !name.is_empty());
    if gpu.count > 0 && !is_named {
        found.push(Finding::problem(
            "spec.vllm.gpu.resourceName",
            format!("\"{}\" is not the name of a resource that nodes offer", gpu.resource_name),
            "write it with its domain, such as nvidia.com/gpu, amd.com/gpu or nvidia.com/mig-1g.5gb; kubectl describe node \
             lists them under Allocatable",
        ));
    }
    for (list, amounts) in
        spec.resources.iter().flat_map(|given| [("requests", &given.requests), ("limits", &given.limits)])
    {
        if amounts.contains_key(&gpu.resource_name) {
            found.push(Finding::no_effect(
                format!("spec.vllm.resources.{list}[{}]", gpu.resource_name),
                "gpu.count says how many GPUs a replica has",
                "remove it, and set gpu.count",
            ));
        }
    }
    let default_image = spec.image.is_none();
    match spec.engine {
        Engine::Vllm => {
            let used =
                spec.tensor_parallel_size.unwrap_or(gpu.count).saturating_mul(spec.pipeline_parallel_size.unwrap_or(1));
            if gpu.count > used {
                found.push(Finding::no_effect(
                    "spec.vllm.gpu.count",
                    format!(
                        "tensorParallelSize x pipelineParallelSize is {used}, so that {} of the {} GPUs are idle",
                        gpu.count - used,
                        gpu.count
                    ),
                    "raise tensorParallelSize, or lower gpu.count",
                ));
            }
            if gpu.count == 0 && default_image {
                found.push(Finding::warning(
                    "spec.vllm.gpu.count",
                    "vLLM's default image does not run without a GPU",
                    "set image to a build of vLLM for CPUs, or engine to LlamaCpp",
                ));
            }
        }
        Engine::LlamaCpp if gpu.count > 0 && default_image => found.push(Finding::no_effect(
            "spec.vllm.gpu.count",
            "the default image of llama.cpp uses no GPU",
            "set image to a build for your GPUs, such as ghcr.io/ggml-org/llama.cpp:server-cuda, or gpu.count to 0",
        )),
        Engine::LlamaCpp => {}
    }
    found
}

fn quantization(spec: &Vllm) -> Vec<Finding> {
    let method =
        spec.quantization.as_ref().filter(|method| !method.is_empty() && !KNOWN.quantization.contains(*method));
    let unknown = method.map(|method| {
        Finding::warning(
            "spec.vllm.quantization",
            format!("vLLM {} knows no quantization \"{method}\"", KNOWN.version),
            "correct it, or ignore this if the image has another version",
        )
    });
    unknown.into_iter().collect()
}

/// Fields that only vLLM has.
fn without_effect(spec: &Vllm) -> Vec<Finding> {
    let text = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
    let set = [
        ("tensorParallelSize", spec.tensor_parallel_size.is_some()),
        ("pipelineParallelSize", spec.pipeline_parallel_size.is_some()),
        ("gpuMemoryUtilization", text(&spec.gpu_memory_utilization)),
        ("quantization", text(&spec.quantization)),
        ("dtype", text(&spec.dtype)),
        ("kvCacheDtype", text(&spec.kv_cache_dtype)),
        ("toolCallParser", text(&spec.tool_call_parser)),
        ("reasoningParser", text(&spec.reasoning_parser)),
        ("lora", spec.lora.is_some()),
    ];
    let set = set.into_iter().filter(|(_, is_set)| *is_set);
    set.map(|(field, _)| {
        Finding::no_effect(
            format!("spec.vllm.{field}"),
            "only engine VLLM has this field",
            "remove it; what llama.cpp's server can do of it, extraArgs may ask for",
        )
    })
    .collect()
}

/// A volume of one node keeps the new replica waiting for the old one, which waits for the new one.
fn rollout(spec: &Vllm) -> Option<Finding> {
    let cache = spec.cache.as_ref()?;
    let is_stuck = spec.rollout == Rollout::Surge && cache.access_mode == AccessMode::ReadWriteOnce;
    is_stuck.then(|| {
        Finding::warning(
            "spec.vllm.rollout",
            "with Surge the new replica needs the cache while the old one has it, which a ReadWriteOnce volume allows on one \
             node alone",
            "use a cache with accessMode ReadWriteMany, or rollout Recreate",
        )
    })
}

impl Finding {
    fn problem(field: impl Into<String>, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason: Reason::Invalid,
            message: message.into(),
            next_step: next_step.into(),
            is_warning: false,
        }
    }

    fn warning(field: impl Into<String>, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { is_warning: true, ..Self::problem(field, message, next_step) }
    }

    fn no_effect(field: impl Into<String>, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { reason: Reason::NoEffect, ..Self::warning(field, message, next_step) }
    }
}
