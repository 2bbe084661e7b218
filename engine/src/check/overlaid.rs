//! `podOverlay`: what it may touch, and whether a pod comes of it.

use serde_json::Value;
use turnpike_crds::{ModelDeployment, Reason, model_deployment::Vllm};

use crate::{
    Finding, children,
    overlay::{self, Rule},
};

pub(super) fn remarks(model: &ModelDeployment, spec: &Vllm, rule: Rule) -> Vec<Finding> {
    if spec.pod_overlay.is_empty() {
        return Vec::new();
    }
    let refused = match rule {
        Rule::AllowList => overlay::outside(&spec.pod_overlay),
        Rule::Anything => Vec::new(),
    };
    if !refused.is_empty() {
        return refused.iter().map(|path| not_allowed(path)).collect();
    }
    let bare = ModelDeployment {
        spec: turnpike_crds::model_deployment::ModelDeploymentSpec {
            vllm: Some(Vllm { pod_overlay: serde_json::Map::new(), ..spec.clone() }),
            ..model.spec.clone()
        },
        ..model.clone()
    };
    let Some(template) = children::template(&bare) else {
        return Vec::new();
    };
    let clashes = overlay::clashes(&template, &spec.pod_overlay, rule).into_iter().map(|(path, message)| {
        Finding::problem(field(&path), message, "choose another name or path there, or remove it")
    });
    let mut found: Vec<Finding> = clashes.collect();
    match overlay::merged(&template, &spec.pod_overlay) {
        Ok(merged) => {
            let merged = serde_json::to_value(merged).unwrap_or_default();
            found.extend(overlay::lost(&Value::Object(spec.pod_overlay.clone()), &merged).into_iter().map(|path| {
                Finding::problem(
                    field(&path),
                    "a pod has no such field, or the value is empty",
                    "correct the name (kubectl explain pod.spec lists them), or remove it",
                )
            }));
        }
        Err(error) => found.push(Finding::problem(
            "spec.vllm.podOverlay",
            format!("no pod comes of it: {error}"),
            "write it as a pod template: metadata with labels and annotations, and spec as kubectl explain pod.spec says",
        )),
    }
    found
}

fn not_allowed(path: &str) -> Finding {
    Finding {
        reason: Reason::OverlayNotAllowed,
        ..Finding::problem(
            field(path),
            "podOverlay may not set this part of a pod",
            "remove it; allowed are labels, annotations, nodeSelector, tolerations, affinity, topologySpreadConstraints, \
             runtimeClassName, priorityClassName, resources, and volumes of type emptyDir and persistentVolumeClaim with \
             their volumeMounts",
        )
    }
}

fn field(path: &str) -> String {
    format!("spec.vllm.podOverlay.{path}")
}
