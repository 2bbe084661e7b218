//! What is said of a spec before an engine is made of it.

use turnpike_engine::{check::check, overlay::Rule};

use crate::models::{engine, model};

const HUB: &str = "source: {huggingFace: {repo: a/b}}\n";

/// The remarks as lines: mark of a problem or warning, field, reason, message, next step.
fn said(vllm: &str) -> Vec<String> {
    said_by(vllm, Rule::AllowList)
}

fn said_by(vllm: &str, rule: Rule) -> Vec<String> {
    let found = check(&engine(vllm), rule);
    let line = |finding: &turnpike_engine::Finding| {
        let mark = if finding.is_warning { "warning" } else { "problem" };
        format!("{mark} {} {}: {}; {}", finding.field, finding.reason, finding.message, finding.next_step)
    };
    found.iter().map(line).collect()
}

#[test]
fn nothing_is_said_of_what_is_right() {
    assert!(check(&model("mock: {response: hi}"), Rule::AllowList).is_empty());
    let right = [
        HUB.to_owned(),
        format!("{HUB}extraArgs: [--enable-prefix-caching, --max-num-seqs, '64', -O3, --no-enable-chunked-prefill]"),
        format!("{HUB}env: [{{name: HF_HUB_OFFLINE, value: '0'}}, {{name: HTTPS_PROXY, value: x}}]"),
        format!("{HUB}gpu: {{count: 4}}\ntensorParallelSize: 2\npipelineParallelSize: 2\nquantization: fp8"),
        format!("{HUB}gpu: {{count: 0}}\nimage: own"),
        "engine: LlamaCpp\nsource: {pvc: {claimName: m, path: a/b.gguf}}\ngpu: {count: 0}\nextraArgs: [--parallel, '2']"
            .to_owned(),
        "engine: LlamaCpp\nsource: {uri: 's3://b/x.gguf'}\ngpu: {count: 0}".to_owned(),
        "source: {pvc: {claimName: m}}\nlora: {adapters: [{name: x, source: {pvc: {claimName: m, path: x}}}]}".to_owned(),
        format!("{HUB}podOverlay: {{spec: {{tolerations: [{{operator: Exists}}], nodeSelector: {{a: b}}}}}}"),
    ];
    for vllm in &right {
        assert_eq!(said(vllm), Vec::<String>::new(), "{vllm}");
    }
}

#[test]
fn every_fault_is_named_with_its_remedy() {
    let token = "tokenSecretRef: {name: t, key: k}";
    let cases = [
        "source: {pvc: {claimName: m, path: a/../../b}}".to_owned(),
        "source: {uri: 's3://bucket/../x'}".to_owned(),
        "engine: LlamaCpp\nsource: {pvc: {claimName: m}}\ngpu: {count: 0}".to_owned(),
        "engine: LlamaCpp\nsource: {pvc: {claimName: m, path: folder}}\ngpu: {count: 0}".to_owned(),
        "engine: LlamaCpp\nsource: {uri: 's3://b/folder'}\ngpu: {count: 0}".to_owned(),
        "engine: LlamaCpp\nsource: {huggingFace: {repo: a/b, revision: c}}".to_owned(),
        format!("{HUB}lora: {{adapters: [{{name: x, source: {{uri: 's3://b/x'}}}}]}}"),
        format!("{HUB}lora: {{adapters: [{{name: qwen, source: {{huggingFace: {{repo: a/c, revision: d}}}}}}]}}"),
        format!(
            "{HUB}lora: {{adapters: [{{name: x, source: {{huggingFace: {{repo: a/c, {token}}}}}}}, {{name: y, source: \
             {{huggingFace: {{repo: a/d, tokenSecretRef: {{name: u, key: k}}}}}}}}]}}"
        ),
        format!("{HUB}gpu: {{count: 1, resourceName: gpu}}"),
        format!("{HUB}gpu: {{count: 4}}\ntensorParallelSize: 2"),
        format!("{HUB}gpu: {{count: 0}}"),
        format!("{HUB}resources: {{limits: {{nvidia.com/gpu: 2}}}}"),
        format!("{HUB}quantization: q4"),
        "engine: LlamaCpp\nsource: {huggingFace: {repo: a/b}}\ngpu: {count: 0}\ntensorParallelSize: 2\nquantization: awq\nlora: {}"
            .to_owned(),
        format!("{HUB}rollout: Surge\ncache: {{size: 1Gi}}"),
        format!("{HUB}extraArgs: [serve, --port=1, --tensor_parallel_size, '2', --no-enable-lora, --api-k, x, --hosts, y]"),
        "engine: LlamaCpp\nsource: {huggingFace: {repo: a/b}}\ngpu: {count: 0}\nextraArgs: [-c, '1', --api-key, x]".to_owned(),
        format!("{HUB}env: [{{name: HOME, value: /}}, {{name: VLLM_API_KEY, value: x}}, {{name: MODEL_REVISION, value: x}}]"),
        format!("source: {{huggingFace: {{repo: a/b, {token}}}}}\nenv: [{{name: HF_TOKEN, value: x}}]"),
    ];
    let all: Vec<String> = cases.iter().map(|vllm| format!("{vllm}\n    {}", said(vllm).join("\n    "))).collect();
    for (vllm, line) in cases.iter().zip(&all) {
        assert!(line.contains("problem ") || line.contains("warning "), "nothing is said of {vllm}");
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn overlays_are_checked() {
    let cases = [
        "{spec: {hostNetwork: true, nodeSelector: {a: b}}}",
        "{spec: {containers: [{name: engine, image: mine, command: [sh], securityContext: {privileged: true}}]}}",
        "{spec: {volumes: [{name: x, hostPath: {path: /}}]}}",
        "{spec: {serviceAccountName: admin}, metadata: {name: x}}",
        "{spec: 1}",
        "{spec: {tolerations: x}}",
        "{spec: {nodeSelector: {a: 1}}}",
        "{spec: {affinity: {nodeAfinity: {}}}}",
        "{spec: {tolerations: [{operator: Exists}, {keys: x}]}}",
        "{metadata: {labels: {turnpike.dev/model: other, app.kubernetes.io/component: x}}}",
        "{spec: {containers: [{name: sidecar}, {name: engine, volumeMounts: [{name: x, mountPath: /dev/shm}]}], volumes: [{name: cache, emptyDir: {}}]}}",
    ];
    let line = |overlay: &str| {
        let vllm = format!("{HUB}podOverlay: {overlay}");
        let found = said(&vllm);
        assert!(found.iter().any(|line| line.starts_with("problem ")), "{overlay}: {found:?}");
        format!("{overlay}\n    {}", found.join("\n    "))
    };
    insta::assert_snapshot!(cases.map(line).join("\n"));
}

/// The operator's flag lifts the list, and nothing else.
#[test]
fn an_unsafe_overlay_may_do_more() {
    let overlay = |text: &str| said_by(&format!("{HUB}podOverlay: {text}"), Rule::Anything);
    assert_eq!(overlay("{spec: {hostNetwork: true, containers: [{name: sidecar, image: x}]}}"), Vec::<String>::new());
    assert_eq!(overlay("{spec: {hostNetwork: maybe}}").len(), 1);
    assert_eq!(overlay("{metadata: {labels: {turnpike.dev/model: x}}}").len(), 1);
}
