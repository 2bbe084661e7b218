//! What an engine costs while its pods hold GPUs.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use turnpike_crds::ModelDeployment;
use turnpike_engine::{Observed, cost};

fn model(gpus: i32, price: &Value) -> ModelDeployment {
    let spec = json!({"vllm": {"source": {}, "gpu": {"count": gpus}}, "price": price});
    let model = json!({"apiVersion": "turnpike.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "a"}, "spec": spec});
    serde_json::from_value(model).unwrap()
}

/// Pods by the node that they are on and their phase.
fn observed(pods: &[(Option<&str>, &str)]) -> Observed {
    let pod = |(at, (node, phase)): (usize, &(Option<&str>, &str))| {
        let pod = json!({"spec": {"containers": [], "nodeName": node}, "status": {"phase": phase}});
        (at.to_string(), Arc::new(serde_json::from_value(pod).unwrap()))
    };
    Observed { pods: pods.iter().enumerate().map(pod).collect(), ..Observed::default() }
}

#[test]
fn pods_cost_while_they_hold_gpus() {
    let model = model(2, &json!({"gpuHour": "2.10"}));
    let per_hour = |pods: &[(Option<&str>, &str)]| cost::per_hour(&model, &observed(pods));
    assert_eq!(per_hour(&[]), Some(0));
    // No node has room for it.
    assert_eq!(per_hour(&[(None, "Pending")]), Some(0));
    // It loads.
    assert_eq!(per_hour(&[(Some("a"), "Pending")]), Some(4_200_000_000));
    assert_eq!(per_hour(&[(Some("a"), "Running"), (Some("a"), "Running"), (None, "Pending")]), Some(8_400_000_000));
    // Killed, evicted: the node has them back.
    assert_eq!(per_hour(&[(Some("a"), "Failed"), (Some("b"), "Succeeded")]), Some(0));
}

#[test]
fn what_is_not_priced_is_not_counted() {
    let running = observed(&[(Some("a"), "Running")]);
    assert_eq!(cost::per_hour(&model(1, &json!({"inputPerMillion": "1"})), &running), None);
    assert_eq!(cost::per_hour(&model(1, &json!({"gpuHour": "2,10"})), &running), None);
    assert_eq!(cost::per_hour(&model(0, &json!({"gpuHour": "2.10"})), &running), Some(0));
    let mut mock = model(1, &json!({"gpuHour": "2.10"}));
    mock.spec.vllm = None;
    assert_eq!(cost::per_hour(&mock, &running), None);
}

#[test]
fn time_costs_by_the_hour() {
    assert_eq!(cost::of(4_200_000_000, Duration::from_hours(1)), 4_200_000_000);
    assert_eq!(cost::of(4_200_000_000, Duration::from_secs(10)), 11_666_666);
    assert_eq!(cost::of(4_200_000_000, Duration::ZERO), 0);
    assert_eq!(cost::of(i64::MAX, Duration::MAX), i64::MAX);
}
