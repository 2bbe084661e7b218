//! The same model again.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use turnpike_testkit::{
    Script,
    upstream::{Cut, Gate},
};

use super::{CHAT, Cast, asking, broken, model, using};
use crate::stage::with;

#[tokio::test]
async fn a_failure_is_tried_again_and_told_in_headers_rows_and_metrics() {
    let cast = Cast::new(|upstream| vec![model("gpt", upstream)]).await;
    cast.upstream.next(broken());
    cast.upstream.next(using(10, 20));
    let reply = cast.alice().post(CHAT, &asking("gpt")).await;
    assert_eq!((reply.status, reply.header("x-litellm-attempted-retries")), (200, Some("1")));
    assert_eq!(reply.header("x-litellm-response-cost"), Some("0.00003"));
    let columns = ["attempt", "attempts", "role", "status", "outcome", "cost_nano", "completion_tokens"];
    let rows = cast.rows(&columns, 2).await;
    let failed = json!({"attempt": 1, "attempts": 1, "role": "retried", "status": 500, "outcome": "upstream_server_error",
        "cost_nano": null, "completion_tokens": 0});
    let answered = json!({"attempt": 2, "attempts": 2, "role": null, "status": 200, "outcome": "success",
        "cost_nano": 30_000, "completion_tokens": 20});
    assert_eq!(rows, [failed, answered]);
    // One request of the client, two attempts.
    let expected = [
        ("litellm_requests_metric_total", 1.0),
        ("litellm_proxy_failed_requests_metric_total", 0.0),
        ("litellm_deployment_total_requests_total", 2.0),
        ("litellm_deployment_failure_responses_total", 1.0),
        ("litellm_deployment_success_responses_total", 1.0),
    ];
    for (name, value) in expected {
        cast.gateway.metric_is(name, "model_id=\"default/gpt\"", value).await;
    }
}

#[tokio::test]
async fn the_only_model_is_asked_again_when_it_says_that_it_may_be() {
    let cast = Cast::new(|upstream| vec![model("gpt", upstream)]).await;
    cast.upstream.next(Script::error(429, "slow down", "rate_limit_exceeded").header("retry-after", "1"));
    let began = Instant::now();
    assert_eq!(cast.alice().post(CHAT, &asking("gpt")).await.status, 200);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(cast.asked().len(), 2);
}

#[tokio::test]
async fn the_clients_own_fault_is_not_tried_again() {
    let cast = Cast::new(|upstream| vec![model("gpt", upstream)]).await;
    cast.upstream.next(Script::error(400, "no such option", "invalid_value"));
    let reply = cast.alice().post(CHAT, &asking("gpt")).await;
    assert_eq!((reply.status, reply.header("x-litellm-attempted-retries")), (400, None));
    assert_eq!(cast.asked().len(), 1);
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_token_is_tried_again_and_later_is_not() {
    let cast = Cast::new(|upstream| vec![model("gpt", upstream)]).await;
    let request = with(asking("gpt"), "stream", json!(true));
    for script in [broken(), Script::pieces(3).cut(0, Cut::Close), Script::html()] {
        cast.upstream.next(script);
        let reply = cast.alice().post(CHAT, &request).await;
        assert_eq!((reply.status, reply.header("x-litellm-attempted-retries")), (200, Some("1")));
        assert!(reply.complete && reply.text().trim_end().ends_with("data: [DONE]"), "{}", reply.text());
    }
    let before = cast.asked().len();
    cast.upstream.next(Script::pieces(30).cut(2_000, Cut::Reset));
    let reply = cast.alice().post(CHAT, &request).await;
    assert!(reply.status == 200 && !reply.text().contains("[DONE]"));
    assert_eq!(cast.asked().len(), before + 1, "what was shown cannot be taken back");
}

#[tokio::test]
async fn all_attempts_share_one_deadline() {
    let slow = |model: turnpike_testkit::manifest::Manifest| {
        model.with("timeouts", json!({"total": "2s"})).with("retry", json!({"attempts": 2, "perClass": {"Timeout": 2}}))
    };
    let cast = Cast::new(|upstream| vec![slow(model("gpt", upstream))]).await;
    cast.upstream.next(broken());
    let never = Gate::default();
    cast.upstream.always("gpt", Script::chat("late").head_after(&never));
    let began = Instant::now();
    let reply = cast.alice().post(CHAT, &asking("gpt")).await;
    assert_eq!(reply.status, 500, "the first failure is what is told");
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_client_that_leaves_between_two_attempts_ends_the_request() {
    let cast = Cast::new(|upstream| vec![model("gpt", upstream)]).await;
    cast.upstream.next(Script::error(429, "slow down", "rate_limit_exceeded").header("retry-after", "30"));
    let alice = cast.alice();
    let request = asking("gpt");
    tokio::select! {
        _ = alice.post(CHAT, &request) => panic!("answered within the pause"),
        _ = cast.upstream.wait_for("the first attempt", |log| log.len() == 1) => {}
    }
    cast.gateway.metric_is("litellm_in_flight_requests", "", 0.0).await;
    let rows = cast.rows(&["attempt", "role", "status", "outcome", "cost_nano"], 1).await;
    assert_eq!(rows, [json!({"attempt": 1, "role": null, "status": 499, "outcome": "cancelled", "cost_nano": null})]);
    assert_eq!(cast.asked().len(), 1);
}
