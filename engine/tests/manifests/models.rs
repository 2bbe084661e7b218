//! Models from a few lines of YAML.

use turnpike_crds::ModelDeployment;
use turnpike_engine::Settings;

/// A model with the given `spec.vllm`, as it comes from the API server.
pub(crate) fn engine(vllm: &str) -> ModelDeployment {
    model(&format!("vllm:\n{}", indented(vllm)))
}

/// A model with the given spec.
pub(crate) fn model(spec: &str) -> ModelDeployment {
    let yaml = format!(
        "apiVersion: turnpike.dev/v1alpha1
kind: ModelDeployment
metadata:
  name: qwen
  namespace: ml
  uid: 5f1ba6ae-5d26-4c34-9c5e-54ab3c1f9a2e
  labels: {{argocd.argoproj.io/instance: theirs, app.kubernetes.io/instance: theirs}}
spec:
{}",
        indented(spec)
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

/// As the chart sets it.
pub(crate) fn settings() -> Settings {
    let labels = |component: &str| {
        [("app.kubernetes.io/name", "turnpike"), ("app.kubernetes.io/component", component)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    };
    Settings {
        release_namespace: "llm".to_owned(),
        gateway_labels: labels("gateway"),
        operator_labels: labels("operator"),
        ..Settings::default()
    }
}

fn indented(yaml: &str) -> String {
    yaml.trim_matches('\n').lines().flat_map(|line| ["  ", line, "\n"]).collect()
}
