//! What is to be said of a spec before anything is made of it.

use turnpike_crds::{ModelDeployment, Reason};

use crate::{
    Finding,
    overlay::{self, Rule},
};

/// All remarks, in the order of the fields; none for a model without an engine.
pub fn check(model: &ModelDeployment, rule: Rule) -> Vec<Finding> {
    let Some(spec) = &model.spec.vllm else {
        return Vec::new();
    };
    let outside = match rule {
        Rule::AllowList => overlay::outside(&spec.pod_overlay),
        Rule::Anything => Vec::new(),
    };
    let refused = outside.into_iter().map(|path| Finding {
        field: format!("spec.vllm.podOverlay.{path}"),
        reason: Reason::OverlayNotAllowed,
        message: "podOverlay may not set this part of a pod".to_owned(),
        next_step: "remove it; allowed are labels, annotations, nodeSelector, tolerations, affinity, \
                    topologySpreadConstraints, runtimeClassName, priorityClassName, resources and volumes of type \
                    emptyDir and persistentVolumeClaim"
            .to_owned(),
        is_warning: false,
    });
    refused.collect()
}
