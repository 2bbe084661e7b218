//! Health and metrics: what probes, load balancers and dashboards see.

use std::process::Command;

use serde_json::json;
use turnpike_testkit::{Script, upstream, wait::eventually};

use crate::stage::{CHAT, MODEL, Stage, UPSTREAM_KEY, chat, streamed, with};

#[tokio::test]
async fn probes_need_no_key_and_tell_no_secret() {
    let stage = Stage::new().await;
    let public = ["/health/liveliness", "/health/liveness", "/health/readiness", "/health"];
    let internal = ["/health/liveness", "/health/readiness"];
    let (client, inside) = (stage.gateway.client(), stage.gateway.internal());
    let asked = public.map(|path| (&client, path)).into_iter().chain(internal.map(|path| (&inside, path)));
    for (client, path) in asked {
        let reply = client.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert!(!reply.text().contains(UPSTREAM_KEY), "{path}: {}", reply.text());
    }
    let detail = stage.gateway.client().get("/health").await.text();
    assert!(!detail.contains(MODEL), "unauthenticated /health is without detail: {detail}");
}

#[tokio::test]
async fn the_health_command_asks_a_running_gateway() {
    let stage = Stage::new().await;
    let ask = |address: String| {
        let binary = env!("CARGO_BIN_EXE_turnpike-gateway");
        Command::new(binary).args(["health", "--address", &address]).output().unwrap().status.success()
    };
    let address = format!("localhost:{}", stage.gateway.public.port());
    let refused = upstream::refused_url().await;
    let nobody = refused.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    assert!(tokio::task::spawn_blocking(move || ask(address)).await.unwrap());
    assert!(!tokio::task::spawn_blocking(move || ask(nobody)).await.unwrap());
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let stage = Stage::with_model(
        |model| model.with("price", json!({"inputPerMillion": "1", "outputPerMillion": "2"})),
        |setup, _| setup,
    )
    .await;
    for body in [chat(), streamed()] {
        assert_eq!(stage.alice().post(CHAT, &body).await.status, 200);
    }
    stage.upstream.next(Script::error(500, "it broke", "server_error"));
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 500);
    stage.alice().post(CHAT, &with(chat(), "model", json!("nope"))).await;
    stage.gateway.client().post(CHAT, &chat()).await;
    let gateway = &stage.gateway;
    gateway.metric_is("litellm_requests_total", "status_code=\"200\"", 2.0).await;
    gateway.metric_is("litellm_requests_total", "status_code=\"500\"", 1.0).await;
    gateway.metric_is("litellm_proxy_total_requests_metric_total", "status_code=\"401\"", 1.0).await;
    gateway.metric_is("litellm_proxy_total_requests_metric_total", "status_code=\"404\"", 1.0).await;
    gateway.metric_is("litellm_tokens_total", "type=\"input\"", 20.0).await;
    gateway.metric_is("litellm_tokens_total", "type=\"output\"", 10.0).await;
    gateway.metric_is("litellm_spend_total", "", 0.000_04).await;
    gateway.metric_is("litellm_in_flight_requests", "", 0.0).await;
    eventually("two rows of tokens are written", || async {
        (gateway.metric("turnpike_spend_rows_written_total", "").await >= 4.0).then_some(())
    })
    .await;
    let text = gateway.internal().get("/metrics").await.text();
    for name in [
        "gen_ai_server_request_duration_seconds_bucket",
        "litellm_request_duration_seconds_sum",
        "turnpike_build_info",
        "process_resident_memory_bytes",
    ] {
        assert!(text.contains(name), "{name} is missing");
    }
    for secret in [UPSTREAM_KEY, crate::stage::ALICE, "nope"] {
        assert!(!text.contains(secret), "labels come from closed sets: {secret}");
    }
}

#[tokio::test]
async fn the_log_is_json_with_request_ids_and_without_prompts() {
    let stage = Stage::new().await;
    let body = with(chat(), "messages", json!([{"role": "user", "content": "a-prompt-nobody-may-log"}]));
    let reply = stage.alice().post(CHAT, &body).await;
    let id = reply.header("x-request-id").unwrap().to_owned();
    stage.gateway.process.wrote("the access log", |line| line.contains(&id)).await;
    let output = stage.gateway.process.output();
    let line = output.lines().find(|line| line.contains(&id)).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    assert!(!output.contains("a-prompt-nobody-may-log"));
    assert!(!output.contains(UPSTREAM_KEY) && !output.contains(crate::stage::ALICE));
}
