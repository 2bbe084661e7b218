//! `extraArgs` and `env`: nothing there may contradict a field, or what gateways rely on.

use turnpike_crds::model_deployment::{Engine, Vllm};

use crate::{
    Finding, adapter,
    flags::{self, KNOWN},
};

/// Flags of vLLM that are not for `extraArgs`, with what to do instead.
const VLLM: &[(&str, &str)] = &[
    ("--api-key", "use apiKeySecretRef"),
    ("--dtype", "use dtype"),
    ("--enable-auto-tool-choice", "use toolCallParser, which turns it on"),
    ("--enable-lora", "use lora"),
    ("--gpu-memory-utilization", "use gpuMemoryUtilization"),
    ("--headless", GATEWAYS),
    ("--hf-token", "use source.huggingFace.tokenSecretRef"),
    ("--host", GATEWAYS),
    ("--kv-cache-dtype", "use kvCacheDtype"),
    ("--lora-modules", "use lora.adapters"),
    ("--max-lora-rank", "use lora.maxRank"),
    ("--max-model-len", "use maxModelLen"),
    ("--model", "use source"),
    ("--pipeline-parallel-size", "use pipelineParallelSize"),
    ("--port", GATEWAYS),
    ("--quantization", "use quantization"),
    ("--reasoning-parser", "use reasoningParser"),
    ("--revision", "use source.huggingFace.revision"),
    ("--root-path", GATEWAYS),
    ("--served-model-name", "use spec.modelName, or spec.aliases for further names"),
    ("--ssl-ca-certs", GATEWAYS),
    ("--ssl-certfile", GATEWAYS),
    ("--ssl-keyfile", GATEWAYS),
    ("--tensor-parallel-size", "use tensorParallelSize"),
    ("--tool-call-parser", "use toolCallParser"),
    ("--uds", GATEWAYS),
];
/// Of llama.cpp's server.
const LLAMA: &[(&str, &str)] = &[
    ("--alias", "use spec.modelName, or spec.aliases for further names"),
    ("-a", "use spec.modelName, or spec.aliases for further names"),
    ("--api-key", "use apiKeySecretRef"),
    ("--api-key-file", "use apiKeySecretRef"),
    ("--api-prefix", GATEWAYS),
    ("--ctx-size", "use maxModelLen"),
    ("-c", "use maxModelLen"),
    ("--hf-repo", "use source.huggingFace.repo"),
    ("-hf", "use source.huggingFace.repo"),
    ("-hfr", "use source.huggingFace.repo"),
    ("--hf-token", "use source.huggingFace.tokenSecretRef"),
    ("-hft", "use source.huggingFace.tokenSecretRef"),
    ("--host", GATEWAYS),
    ("--model", "use source"),
    ("-m", "use source"),
    ("--model-url", "use source"),
    ("-mu", "use source"),
    ("--port", GATEWAYS),
    ("--ssl-cert-file", GATEWAYS),
    ("--ssl-key-file", GATEWAYS),
];
const GATEWAYS: &str = "remove it: gateways call each engine by plain HTTP at port 8000";

pub(super) fn remarks(spec: &Vllm) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(first) = spec.extra_args.first().filter(|first| !first.starts_with('-')) {
        found.push(Finding::problem(
            "spec.vllm.extraArgs[0]",
            format!("\"{first}\" is no flag, and no flag stands before it"),
            "write each flag and each value as an element of its own, such as [\"--seed\", \"1\"]",
        ));
    }
    match spec.engine {
        Engine::Vllm => found.extend(flags::names(&spec.extra_args).filter_map(|(at, name)| of_vllm(at, &name))),
        Engine::LlamaCpp => {
            let named = spec.extra_args.iter().enumerate();
            found.extend(named.filter_map(|(at, name)| instead(LLAMA, at, name)));
        }
    }
    found.extend(variables(spec));
    found
}

fn of_vllm(at: usize, name: &str) -> Option<Finding> {
    instead(VLLM, at, name).or_else(|| {
        (!KNOWN.has(name)).then(|| {
            Finding::warning(
                format!("spec.vllm.extraArgs[{at}]"),
                format!("vLLM {} has no flag {name}", KNOWN.version),
                "correct it, or ignore this if the image has another version",
            )
        })
    })
}

fn instead(table: &[(&str, &str)], at: usize, name: &str) -> Option<Finding> {
    let (name, next_step) = table.iter().find(|(flag, _)| *flag == name)?;
    let field = format!("spec.vllm.extraArgs[{at}]");
    Some(Finding::problem(field, format!("{name} is not for extraArgs"), *next_step))
}

fn variables(spec: &Vllm) -> impl Iterator<Item = Finding> {
    let key = adapter::key_variable(spec.engine);
    let has_token = adapter::token(spec).is_some();
    spec.env.iter().filter_map(move |variable| {
        let name = variable.name.as_str();
        let next_step = match name {
            _ if name == key => "use apiKeySecretRef",
            "HF_TOKEN" if has_token => "remove it: tokenSecretRef is set",
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING" => "use lora, which turns it on",
            _ if adapter::is_own_variable(name) => {
                "remove it: the operator sets it, to a place that the engine may write to"
            }
            _ => return None,
        };
        Some(Finding::problem(format!("spec.vllm.env[name={name}]"), format!("{name} is not for env"), next_step))
    })
}
