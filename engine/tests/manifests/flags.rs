//! vLLM's command line against what its version knows.

use turnpike_engine::{
    check::check,
    children::children,
    flags::{self, KNOWN},
    overlay::Rule,
    settings::VLLM_VERSION,
};

use crate::models::{engine, settings};

#[test]
fn data_is_of_the_default_image() {
    assert_eq!(KNOWN.version, VLLM_VERSION);
    for endpoint in ["GET /health", "GET /v1/models", "POST /v1/load_lora_adapter", "POST /v1/unload_lora_adapter"] {
        assert!(KNOWN.endpoints.contains(endpoint), "{endpoint}");
    }
    for metric in ["vllm:num_requests_running", "vllm:num_requests_waiting"] {
        assert!(KNOWN.metrics.contains(metric), "{metric}");
    }
}

#[test]
fn every_flag_that_fields_set_exists() {
    let model = engine(
        "source: {huggingFace: {repo: a/b, revision: c}}
tensorParallelSize: 1
pipelineParallelSize: 1
maxModelLen: 1
gpuMemoryUtilization: '0.5'
quantization: awq
dtype: auto
kvCacheDtype: auto
toolCallParser: hermes
reasoningParser: qwen3
lora: {maxRank: 8}",
    );
    let made = children(&model, &settings()).unwrap();
    let args = made.deployment.spec.unwrap().template.spec.unwrap().containers.remove(0).args.unwrap();
    let set: Vec<String> = args.iter().filter(|word| word.starts_with('-')).cloned().collect();
    assert!(set.len() >= 18, "{set:?}");
    for flag in &set {
        assert!(KNOWN.has(flag), "vLLM {VLLM_VERSION} has no {flag}");
        // What a field sets, extraArgs may set only where it then replaces it.
        let twice = engine(&format!("source: {{huggingFace: {{repo: a/b}}}}\nlora: {{}}\nextraArgs: ['{flag}=1']"));
        let is_refused = check(&twice, Rule::AllowList).iter().any(|finding| !finding.is_warning);
        let made = children(&twice, &settings()).unwrap();
        let args = made.deployment.spec.unwrap().template.spec.unwrap().containers.remove(0).args.unwrap();
        let is_there_once = flags::names(&args).filter(|(_, name)| name == flag).count() == 1;
        assert!(is_refused || is_there_once, "{flag}");
    }
}

#[test]
fn names_are_found_in_each_form() {
    let words =
        ["-tp", "2", "--max_model_len=8", "--no-enable-prefix-caching", "--compilation-config.mode", "3", "--serve"];
    let words: Vec<String> = words.map(str::to_owned).into();
    let found: Vec<(usize, String)> = flags::names(&words).collect();
    let expected = [
        (0, "--tensor-parallel-size"),
        (2, "--max-model-len"),
        (3, "--enable-prefix-caching"),
        (4, "--compilation-config"),
        (6, "--served-model-name"),
    ];
    assert_eq!(found, expected.map(|(at, name)| (at, name.to_owned())));
}
