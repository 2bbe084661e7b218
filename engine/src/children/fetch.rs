//! The Job that fills a cache which outlives pods: with it a rollout downloads while the former engines serve, and an engine
//! that is started on demand finds its files there. It needs no GPU, and never touches what pods run on.

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{Affinity, Container, PodAffinity, PodAffinityTerm, PodSpec, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use serde_json::{Map, Value};
use turnpike_crds::model_deployment::engine::AccessMode;

use super::{Engine, pod, source, volume};
use crate::{names, overlay};

/// `None` = nothing is to be fetched, or it would go with the pod.
pub(super) fn job(engine: Engine<'_>) -> Option<Job> {
    engine.spec.cache.as_ref()?;
    let fetch = source::files(engine).fetch?;
    Some(Job {
        metadata: ObjectMeta { name: Some(names::fetch(engine.own_name())), ..engine.metadata() },
        spec: Some(JobSpec {
            // The kubelet's pauses grow to five minutes; giving up would help nobody, and its pod tells why.
            backoff_limit: Some(i32::MAX),
            template: template(engine, fetch),
            ..JobSpec::default()
        }),
        status: None,
    })
}

fn template(engine: Engine<'_>, fetch: Container) -> PodTemplateSpec {
    let mut labels = engine.labels();
    labels.insert(names::COMPONENT_LABEL.to_owned(), names::FETCH_COMPONENT.to_owned());
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            restart_policy: Some("OnFailure".to_owned()),
            affinity: beside(engine),
            containers: vec![fetch],
            volumes: Some(volume::fetching_volumes(engine)),
            ..pod::bare(engine)
        }),
    };
    overlay::apply(template, &of_fetching(&engine.spec.pod_overlay))
}

/// A volume for one node is on that of the engine, if one runs. Where none does, this pod itself is what it has to be beside.
fn beside(engine: Engine<'_>) -> Option<Affinity> {
    engine.spec.cache.as_ref().filter(|cache| cache.access_mode == AccessMode::ReadWriteOnce)?;
    let ours = [(names::MODEL_LABEL.to_owned(), engine.own_name().to_owned())].into();
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector { match_labels: Some(ours), ..LabelSelector::default() }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    let affinity = PodAffinity {
        required_during_scheduling_ignored_during_execution: Some(vec![term]),
        preferred_during_scheduling_ignored_during_execution: None,
    };
    Some(Affinity { pod_affinity: Some(affinity), ..Affinity::default() })
}

/// Of an overlay for an engine's pod, what is for a pod that only fetches: its place, and what its container is given.
fn of_fetching(overlay: &Map<String, Value>) -> Map<String, Value> {
    let mut overlay = overlay.clone();
    if let Some(Value::Object(spec)) = overlay.get_mut("spec") {
        spec.remove("topologySpreadConstraints");
        spec.remove("containers");
        if let Some(Value::Array(containers)) = spec.remove("initContainers") {
            let fetching = containers
                .into_iter()
                .filter(|container| container.get("name").is_some_and(|name| name == source::FETCHING));
            spec.insert("containers".to_owned(), fetching.collect());
        }
    }
    overlay
}
