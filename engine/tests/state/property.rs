//! Whatever is observed: an answer, within bounds, and never Ready without an engine that answers.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_crds::{Reason, Truth};
use turnpike_engine::state;

use crate::place::{
    back_off, deployment, ending, engine, fetch, model, observed, older, pod, ready, running, terminated, unscheduled,
    waiting,
};

fn words() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,40}", "[a-z\u{1b}\\[\n\t é]{0,3000}", Just("x".repeat(40_000)), Just("\u{1b}[31".to_owned())]
}

fn any_state() -> impl Strategy<Value = Value> {
    let reason = prop::sample::select(vec![
        "",
        "ContainerCreating",
        "PodInitializing",
        "CrashLoopBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "StartError",
    ]);
    prop_oneof![
        Just(json!({})),
        Just(running()),
        (reason, words()).prop_map(|(reason, words)| waiting(reason, &words)),
        Just(back_off("engine")),
        (-1..300, words(), 0_u32..60).prop_map(|(code, words, minutes)| terminated(code, "Error", &words, minutes)),
        Just(terminated(137, "OOMKilled", "", 0)),
    ]
}

fn any_pod() -> impl Strategy<Value = Value> {
    let name = "[a-z]{1,20}";
    let last = || any_state().prop_map(|state| if state.get("waiting").is_some() { json!({}) } else { state });
    let shape = prop_oneof![
        name.prop_map(|name| pod(&name)),
        (name, words()).prop_map(|(name, words)| unscheduled(&name, &words)),
        (name, any_state(), last(), any::<i32>()).prop_map(|(name, now, last, n)| fetch(&name, &now, &last, n)),
        (name, any_state(), last(), any::<i32>()).prop_map(|(name, now, last, n)| engine(&name, &now, &last, n)),
        name.prop_map(|name| ready(&name)),
        name.prop_map(|name| json!({"metadata": {"name": name}})),
    ];
    (shape, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(mut pod, ends, old, over)| {
        if old && pod.get("status").is_some() {
            pod = older(pod);
        }
        if over {
            pod["status"]["phase"] = json!("Failed");
        }
        if ends { ending(pod) } else { pod }
    })
}

proptest! {
    #[test]
    fn every_answer_is_sound(
        pods in prop::collection::vec(any_pod(), 0..5), wanted in 0..4, scales in any::<bool>(), refused in prop::option::of(words()),
    ) {
        let mut seen = observed(&pods);
        seen.refused = refused.clone();
        seen.unscalable = refused.clone();
        let names = seen.pods.keys().cloned();
        seen.unmounted = names.filter_map(|name| Some((name, refused.clone()?))).collect();
        seen.deployment = Some(Arc::new(deployment(wanted, &json!([]))));
        let more = if scales {
            json!({"autoscaling": {"maxReplicas": 4}, "cache": {"size": "1Gi"}})
        } else {
            json!({"replicas": wanted})
        };
        let model = model(&more);
        let state = state(&model, &seen).unwrap();
        prop_assert_eq!(&state, &turnpike_engine::state(&model, &seen).unwrap());
        for verdict in [Some(&state.engine), state.cache.as_ref(), state.scaling.as_ref()].into_iter().flatten() {
            prop_assert!(!verdict.message.is_empty() || verdict.reason == Reason::CannotScale);
            prop_assert!(verdict.message.len() <= 1024, "{} bytes", verdict.message.len());
            prop_assert!(!verdict.message.contains(char::is_control), "{}", verdict.message);
        }
        prop_assert!(state.progress.as_ref().is_none_or(|text| text.len() <= 256));
        prop_assert!(state.ready_replicas <= state.replicas);
        let is_true = state.engine.truth == Truth::True;
        prop_assert_eq!(is_true, state.ready_replicas > 0 && wanted > 0);
        prop_assert_eq!(state.engine.reason == Reason::ScaledToZero, wanted == 0);
        prop_assert!(!(is_true && state.is_stuck));
    }
}
