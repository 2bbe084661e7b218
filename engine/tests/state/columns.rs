//! Counts, image, adapters and selector.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;
use turnpike_crds::Reason;
use turnpike_engine::{Observed, state};

use crate::place::{
    DIGEST, deployment, ending, engine, fetch, model, observed, older, pod, ready, running, terminated, told,
    unscheduled,
};

#[test]
fn a_model_without_an_engine_has_no_state() {
    let mut model = model(&json!({}));
    model.spec.vllm = None;
    assert_eq!(state(&model, &observed(&[])), None);
}

#[test]
fn pods_that_end_are_not_counted() {
    let mut failed = pod("d");
    failed["status"]["phase"] = json!("Failed");
    let state = told(&observed(&[ready("a"), pod("b"), ending(ready("c")), failed]));
    assert_eq!((state.replicas, state.ready_replicas, state.replicas_text.as_str()), (2, 1, "1/2"));
    assert_eq!(state.selector, "app.kubernetes.io/component=engine,turnpike.dev/model=qwen");
}

#[test]
fn what_demand_decided_is_what_is_wanted() {
    let mut seen = observed(&[ready("a")]);
    seen.deployment = Some(Arc::new(deployment(3, &json!([]))));
    let scaled = model(&json!({"autoscaling": {"minReplicas": 1, "maxReplicas": 4}}));
    assert_eq!(state(&scaled, &seen).unwrap().replicas_text, "1/3");
    assert_eq!(told(&seen).replicas_text, "1/2", "the spec decides");
}

#[test]
fn scaling_is_told_with_autoscaling_only() {
    let mut seen = observed(&[]);
    assert_eq!(told(&seen).scaling, None);
    let scaled = model(&json!({"autoscaling": {"minReplicas": 1, "maxReplicas": 4}}));
    let scaling = |seen: &Observed| state(&scaled, seen).unwrap().scaling.unwrap();
    assert_eq!(scaling(&seen).message, "Replicas follow demand, from 1 to 4");
    seen.unscalable = Some("gateway-0 does not tell its demand".to_owned());
    assert_eq!(
        (scaling(&seen).reason, scaling(&seen).message.as_str()),
        (Reason::CannotScale, "gateway-0 does not tell its demand")
    );
}

#[test]
fn the_image_is_that_of_the_newest_template() {
    let other = DIGEST.replace("6766", "9999");
    let mut old = older(ready("a"));
    old["status"]["containerStatuses"][0]["imageID"] = json!(other);
    assert_eq!(told(&observed(&[old.clone()])).image, Some(other));
    let mut docker = ready("b");
    docker["status"]["containerStatuses"][0]["imageID"] = json!(format!("docker-pullable://{DIGEST}"));
    assert_eq!(told(&observed(&[old, docker])).image.as_deref(), Some(DIGEST));
    assert_eq!(told(&observed(&[pod("a")])).image, None, "no container has started");
}

#[test]
fn adapters_are_those_that_every_ready_pod_has() {
    let mut seen = observed(&[ready("a"), ready("b"), engine("c", &running(), &json!({}), 0)]);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    seen.adapters.insert("a".to_owned(), names(&["sql", "law"]));
    assert_eq!(told(&seen).adapters, Vec::<String>::new());
    seen.adapters.insert("b".to_owned(), names(&["sql", "med"]));
    assert_eq!(told(&seen).adapters, ["sql"]);
}

#[test]
fn progress_is_told_only_of_what_goes_on() {
    let mut seen = observed(&[fetch("a", &running(), &json!({}), 0)]);
    assert_eq!(told(&seen).progress.as_deref(), Some("Downloading"));
    seen.fetched.insert("a".to_owned(), 7);
    assert_eq!(told(&seen).progress.as_deref(), Some("Downloading 7 %"));
    assert_eq!(told(&observed(&[pod("a")])).progress.as_deref(), Some("Starting"));
    let crashed = engine("a", &terminated(1, "Error", "", 1), &json!({}), 0);
    for pod in [unscheduled("a", "no"), ready("a"), crashed] {
        assert_eq!(told(&observed(&[pod])).progress, None);
    }
}
