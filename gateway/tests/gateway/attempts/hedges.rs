//! A second attempt beside a slow one.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use turnpike_testkit::{Script, manifest, upstream::Gate};

use super::{CHAT, Cast, asking, model, rows};
use crate::stage::with;

/// Two members; enough was seen of both to know what slow is.
async fn warm() -> Cast {
    let cast = Cast::new(|upstream| {
        let target = |name: &str| json!({"modelRef": {"name": name}, "weight": 1});
        let route = json!({"strategy": "RoundRobin", "targets": [target("one"), target("two")], "hedge": {"afterPercentile": 95}});
        let entry = manifest::mock("entry", "").without("mock").with("route", route);
        let mut objects = vec![entry.with("cache", json!({"enabled": true}))];
        objects.extend(["one", "two"].map(|name| model(name, upstream).with("visibility", "Internal")));
        objects
    })
    .await;
    let alice = cast.alice();
    let mut connection = alice.connect().await;
    for _ in 0..130 {
        let request = with(with(asking("entry"), "stream", json!(true)), "cache", json!({"use-cache": false}));
        let request = alice.json(CHAT, &request, &[]);
        assert_eq!(connection.send(request).await.unwrap().status, 200);
    }
    cast
}

#[tokio::test]
async fn the_faster_one_answers_and_the_other_is_given_up() {
    let cast = warm().await;
    let mut calls = Vec::new();
    let never = Gate::default();
    for stream in [true, false] {
        let before = cast.asked().len();
        cast.upstream.next(Script::chat("late").head_after(&never));
        let began = Instant::now();
        let reply = cast.alice().post(CHAT, &with(asking("entry"), "stream", json!(stream))).await;
        assert_eq!((reply.status, reply.complete), (200, true), "{}", reply.text());
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        let asked = cast.asked();
        assert_eq!(asked.len(), before + 2);
        assert_ne!(asked[before], asked[before + 1], "another member");
        assert_eq!(reply.header("x-litellm-model-id"), Some(&*format!("default/{}", asked[before + 1])));
        calls.push(format!("'{}'", reply.header("x-litellm-call-id").unwrap()));
    }
    // Nothing goes on for the slower ones.
    cast.gateway.metric_is("litellm_in_flight_requests", "", 0.0).await;
    // Of these two alone: on a busy machine one of those before was slow enough for a second attempt.
    let of_them = format!("spend where request_id in ({})", calls.join(", "));
    let columns = ["attempt", "attempts", "role", "outcome", "estimated"];
    let hedged = rows(&cast.gateway.database(), (&of_them, "started_at_us, attempt"), &columns, 4).await;
    assert!(hedged.iter().all(|row| row["attempts"] == 2), "{hedged:?}");
    let lost = hedged.iter().filter(|row| row["role"] == "hedged");
    assert!(
        lost.clone().count() == 2 && lost.clone().all(|row| row["attempt"] == 1 && row["estimated"] == 1),
        "{hedged:?}"
    );
    // Each request counts once.
    cast.gateway.metric_is("litellm_requests_metric_total", "", 132.0).await;
}

#[tokio::test]
async fn the_faster_ones_answer_is_kept() {
    let cast = warm().await;
    let never = Gate::default();
    for stream in [true, false] {
        let request = with(asking("entry"), "stream", json!(stream));
        let before = cast.asked().len();
        cast.upstream.next(Script::chat("late").head_after(&never));
        let hedged = cast.alice().post(CHAT, &request).await;
        assert_eq!((hedged.status, hedged.header("x-litellm-cache-hit")), (200, None), "{}", hedged.text());
        assert_eq!(cast.asked().len(), before + 2);
        let again = cast.alice().post(CHAT, &request).await;
        assert_eq!((again.status, again.header("x-litellm-cache-hit")), (200, Some("True")), "{}", again.text());
        assert_eq!(again.header("x-litellm-model-id"), hedged.header("x-litellm-model-id"));
        assert_eq!(cast.asked().len(), before + 2, "nobody was asked again");
    }
    cast.gateway.metric_is("litellm_cache_misses_metric_total", "", 2.0).await;
    cast.gateway.metric_is("litellm_cache_hits_metric_total", "", 2.0).await;
}
