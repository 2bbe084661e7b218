//! Copies of requests for another model, which nobody must feel.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use turnpike_testkit::{
    Script, manifest,
    upstream::{Cut, Gate},
};

use super::{CHAT, Cast, asking, broken, model, using};
use crate::stage::with;

async fn cast(percent: u8) -> Cast {
    Cast::new(move |upstream| {
        let route = json!({
            "targets": [{"modelRef": {"name": "stable"}, "weight": 1}],
            "mirror": {"modelRef": {"name": "candidate"}, "percent": percent},
        });
        vec![
            manifest::mock("entry", "").without("mock").with("route", route),
            model("stable", upstream).with("visibility", "Internal"),
            model("candidate", upstream).with("visibility", "Internal").with("retry", json!({"attempts": 0})),
        ]
    })
    .await
}

#[tokio::test]
async fn a_copy_has_a_row_of_its_own_and_no_part_in_the_answer() {
    let cast = cast(100).await;
    cast.upstream.always("stable", using(10, 20));
    let late = Gate::default();
    cast.upstream.next_for("candidate", using(10, 40).head_after(&late));
    let reply = cast.alice().post(CHAT, &asking("entry")).await;
    // The copy is still waiting.
    assert_eq!((reply.status, reply.header("x-litellm-model-id")), (200, Some("default/stable")));
    assert_eq!(reply.header("x-litellm-response-cost"), Some("0.00003"));
    late.open(1);
    let rows = cast.rows(&["attempt", "attempts", "role", "model", "status", "cost_nano"], 2).await;
    let row = |number: u8, role: Value, model: &str, cost: u64| json!({"attempt": number, "attempts": 2, "role": role, "model": format!("default/{model}"), "status": 200, "cost_nano": cost});
    assert_eq!(rows, [row(1, Value::Null, "stable", 30_000), row(2, "mirror".into(), "candidate", 50_000)]);
    let of = |model: &str| format!("model_id=\"default/{model}\"");
    cast.gateway.metric_is("litellm_requests_metric_total", &of("stable"), 1.0).await;
    cast.gateway.metric_is("litellm_requests_metric_total", &of("candidate"), 0.0).await;
    cast.gateway.metric_is("litellm_spend_metric_total", &of("candidate"), 0.00005).await;
}

#[tokio::test]
async fn copies_that_fail_or_hang_do_no_harm() {
    let cast = cast(100).await;
    let never = Gate::default();
    for script in
        [broken(), Script::reset(), Script::pieces(9).cut(300, Cut::Stall), Script::chat("x").head_after(&never)]
    {
        cast.upstream.next_for("candidate", script);
        for request in [asking("entry"), with(asking("entry"), "stream", json!(true))] {
            let began = Instant::now();
            let reply = cast.alice().post(CHAT, &request).await;
            assert_eq!((reply.status, reply.complete), (200, true), "{}", reply.text());
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
            assert_eq!(reply.header("x-litellm-attempted-retries"), Some("0"));
        }
    }
}

#[tokio::test]
async fn some_requests_are_copied_and_the_others_not() {
    let cast = cast(30).await;
    for _ in 0..100 {
        assert_eq!(cast.alice().post(CHAT, &asking("entry")).await.status, 200);
    }
    cast.gateway.metric_is("litellm_in_flight_requests", "", 0.0).await;
    let copies = cast.asked().iter().filter(|model| *model == "candidate").count();
    // A hundred draws of 3/10: a standard deviation of 4.6.
    assert!((10..=50).contains(&copies), "{copies}");
}
