//! When a pod's gateway is ready, and when it may still serve a client.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use turnpike_operator::gateways::{Gateway, Tokens, pod::gateway};

use crate::{pod, serving, status};

fn of(pod: &Pod) -> Gateway {
    gateway(pod).unwrap().1
}

#[test]
fn a_pod_that_serves_is_ready_and_running() {
    let (name, gateway) = gateway(&pod("a", "1", &serving())).unwrap();
    assert_eq!((name.as_str(), gateway.uid.as_str()), ("a", "1"));
    assert_eq!(gateway.ip, Some("10.245.0.7".parse().unwrap()));
    assert!(gateway.ready && gateway.running && gateway.report.is_none());
}

#[test]
fn a_pod_that_is_being_deleted_takes_no_new_traffic_but_may_still_serve() {
    let mut terminating = pod("a", "1", &serving());
    terminating.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    assert_eq!((of(&terminating).ready, of(&terminating).running), (false, true));
    let stopped = pod("a", "1", &json!({"containerStatuses": [status("gateway", "terminated")]}));
    assert_eq!((of(&stopped).ready, of(&stopped).running), (false, false));
}

#[test]
fn only_the_gateway_s_own_container_counts_where_it_has_one() {
    let status = |gateway: &str| {
        pod("a", "1", &json!({"containerStatuses": [status("mesh", "running"), status("gateway", gateway)]}))
    };
    assert!(!of(&status("waiting")).running);
    assert!(of(&status("running")).running);
    let other = pod("a", "1", &json!({"containerStatuses": [crate::status("custom", "running")]}));
    assert!(of(&other).running);
}

#[test]
fn a_pod_that_is_starting_has_nothing_yet() {
    for status in [json!({}), json!({"podIP": "", "conditions": [{"type": "Ready", "status": "False"}]})] {
        let starting = of(&pod("a", "1", &status));
        assert_eq!(starting, Gateway { uid: "1".to_owned(), ..Gateway::default() });
    }
    assert!(gateway(&Pod::default()).is_none());
}

#[test]
fn tokens_come_from_the_secret_and_are_not_shown() {
    // "sesame\n" and "old", in base64.
    let secret = serde_json::from_value(json!({"data": {"token": "c2VzYW1lCg==", "previous-token": "b2xk"}})).unwrap();
    let tokens = Tokens::of(Some(&secret));
    assert_eq!((tokens.current.as_deref(), tokens.previous.as_deref()), (Some("sesame"), Some("old")));
    assert_eq!(format!("{tokens:?}"), "Tokens(***)");
    assert_eq!(Tokens::of(None), Tokens::default());
}
