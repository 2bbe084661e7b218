//! Events are written once, repeats are folded, floods are cut, and failures trouble nobody.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::json;
use tokio::time::Instant;
use turnpike_operator::kit::events::{
    EventType,
    fold::{Decision, Fold, Key},
};

use crate::server;

fn key(name: &str, note: &str) -> Key {
    Key::new(&object(name), EventType::Warning, "Broken", note)
}

fn object(name: &str) -> ObjectReference {
    ObjectReference {
        kind: Some("VirtualKey".to_owned()),
        namespace: Some("team".to_owned()),
        name: Some(name.to_owned()),
        uid: Some("u".to_owned()),
        ..ObjectReference::default()
    }
}

#[test]
fn a_repeat_is_counted_every_five_minutes_and_a_long_quiet_one_starts_over() {
    let mut fold = Fold::default();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(fold.decide(key("a", "x"), "e1", at(0)), Decision::Create);
    assert_eq!(fold.decide(key("a", "x"), "e2", at(1)), Decision::Suppress);
    assert_eq!(fold.decide(key("a", "y"), "e3", at(1)), Decision::Create, "another note is another event");
    assert_eq!(fold.decide(key("a", "x"), "e4", at(301)), Decision::Count { event: "e1".to_owned(), count: 3 });
    assert_eq!(fold.decide(key("a", "x"), "e5", at(302)), Decision::Suppress);
    assert_eq!(fold.decide(key("a", "x"), "e6", at(302 + 1800)), Decision::Create);
}

#[test]
fn one_object_cannot_flood() {
    let mut fold = Fold::default();
    let now = Instant::now();
    let created = |fold: &mut Fold, name: &str, now| {
        (0..100).filter(|n| fold.decide(key(name, &format!("{n} {now:?}")), "e", now) == Decision::Create).count()
    };
    assert_eq!(created(&mut fold, "loud", now), 20);
    assert_eq!(created(&mut fold, "other", now), 20, "others are not held back");
    assert_eq!(created(&mut fold, "loud", now + Duration::from_mins(1)), 2, "one each half minute");
}

#[tokio::test]
async fn an_event_is_written_to_its_objects_namespace() {
    let (client, log) = server::client(|seen| (201, seen.body.clone()));
    let (context, writer) = server::context(client);
    for _ in 0..3 {
        context.events.publish(object("k"), EventType::Normal, "KeyRotated", "Rotate", "rotated");
    }
    context.events.publish(object("k"), EventType::Normal, "KeyRotated", "Rotate", "ø".repeat(2000));
    let metrics = std::sync::Arc::clone(&context.metrics);
    drop(context);
    writer.await;
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[0].line.starts_with("POST /apis/events.k8s.io/v1/namespaces/team/events"), "{}", log[0].line);
    let body = &log[0].body;
    assert_eq!(
        json!([body["reason"], body["action"], body["type"], body["note"], body["regarding"]["uid"]]),
        json!(["KeyRotated", "Rotate", "Normal", "rotated", "u"])
    );
    assert_eq!(json!([body["reportingController"], body["reportingInstance"]]), json!(["trial-operator", "me"]));
    assert!(log[1].body["note"].as_str().unwrap().len() <= 1024);
    let text = metrics.render().unwrap();
    assert!(text.contains(r#"turnpike_operator_events_total{outcome="suppressed",type="Normal"} 2"#), "{text}");
}

#[tokio::test]
async fn a_refused_event_is_tried_again_when_it_comes_again() {
    let (client, log) = server::client(|_| server::refusal(403, "Forbidden"));
    let (context, writer) = server::context(client);
    for _ in 0..2 {
        context.events.publish(object("k"), EventType::Warning, "Broken", "Check", "x");
    }
    let metrics = std::sync::Arc::clone(&context.metrics);
    drop(context);
    writer.await;
    assert_eq!(log.lock().unwrap().len(), 2);
    assert!(metrics.render().unwrap().contains(r#"events_total{outcome="failed",type="Warning"} 2"#));
}
