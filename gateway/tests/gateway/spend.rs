//! One row per request in the spend log, with what it cost, however it ended.

use serde_json::{Value, json};
use turnpike_testkit::{
    Script, manifest,
    spend::{query_json, rows},
    upstream::{Gate, Usage},
    wait::eventually,
};

use crate::stage::{CHAT, MODEL, Stage, UPSTREAM_MODEL, chat, streamed, with};

async fn stage() -> Stage {
    let price = json!({"inputPerMillion": "2.50", "outputPerMillion": "10.00", "cachedInputPerMillion": "1.25"});
    Stage::with_model(
        |model| model.with("price", price),
        |setup, _| {
            let subject = json!({"team": "ml", "user": "bob", "tags": {"project": "chatbot"}});
            setup.manifests(&[manifest::key("bob", "sk-bob-0123456789abcdef").with("subject", subject)])
        },
    )
    .await
}

async fn spent(stage: &Stage, columns: &[&str], count: usize) -> Vec<Value> {
    rows(&stage.gateway.database(), ("spend", "started_at_us"), columns, count).await
}

#[tokio::test]
async fn a_request_is_one_row_with_everything_about_it() {
    let stage = stage().await;
    let bob = stage.gateway.client().with_key("sk-bob-0123456789abcdef");
    stage.upstream.next(Script::chat("Hi").usage(Usage { prompt: 1000, completion: 100, cached: 400, reasoning: 30 }));
    let body = with(
        with(with(chat(), "metadata", json!({"variant": "b", "n": [1]})), "tags", json!(["x"])),
        "user",
        json!("end-1"),
    );
    let reply = bob.send(bob.json(CHAT, &body, &[("x-litellm-tags", "y, z")])).await;
    assert_eq!(reply.status, 200);
    let columns = [
        "request_id",
        "key_id",
        "team",
        "user",
        "end_user",
        "requested_model",
        "model",
        "upstream_model",
        "operation",
        "stream",
        "status",
        "outcome",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "cost_nano",
        "estimated",
        "json(tags)",
        "json(metadata)",
        "first_byte_us",
        "latency_us",
        "upstream_us",
    ];
    let row = spent(&stage, &columns, 1).await.remove(0);
    let expected = json!({
        "request_id": reply.header("x-litellm-call-id"), "team": "ml", "user": "bob", "end_user": "end-1",
        "requested_model": MODEL, "model": format!("default/{MODEL}"), "upstream_model": UPSTREAM_MODEL, "operation": "chat", "stream": 0,
        "status": 200, "outcome": "success", "prompt_tokens": 1000, "completion_tokens": 100, "cached_tokens": 400,
        "reasoning_tokens": 30, "cost_nano": 3_000_000, "estimated": 0,
        "json(tags)": ["project:chatbot", "x", "y", "z"], "json(metadata)": {"variant": "b", "n": [1]},
    });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&row[column], value, "{column} of {row}");
    }
    assert!(row["key_id"].as_str().unwrap().starts_with("vk_"), "{row}");
    let (first, latency, upstream) = (
        row["first_byte_us"].as_i64().unwrap(),
        row["latency_us"].as_i64().unwrap(),
        row["upstream_us"].as_i64().unwrap(),
    );
    assert!(0 < first && first <= latency && 0 < upstream && upstream <= latency, "{row}");
}

#[tokio::test]
async fn streams_are_priced_whether_usage_was_asked_for_or_not() {
    let stage = stage().await;
    stage.upstream.next(Script::pieces(3).usage(Usage { prompt: 100, completion: 10, ..Usage::default() }));
    stage.alice().post(CHAT, &streamed()).await;
    let row = spent(&stage, &["stream", "cost_nano", "estimated", "outcome"], 1).await.remove(0);
    assert_eq!(row, json!({"stream": 1, "cost_nano": 350_000, "estimated": 0, "outcome": "success"}));
}

#[tokio::test]
async fn what_no_one_counted_is_estimated() {
    let stage = stage().await;
    for body in [chat(), streamed()] {
        stage.upstream.next(Script::pieces(20).usage(None));
        assert_eq!(stage.alice().post(CHAT, &body).await.status, 200);
    }
    for row in spent(&stage, &["estimated", "prompt_tokens", "completion_tokens", "cost_nano"], 2).await {
        assert_eq!(row["estimated"], 1, "{row}");
        assert!(row["prompt_tokens"].as_i64() > Some(0) && row["completion_tokens"].as_i64() > Some(20), "{row}");
        assert!(row["cost_nano"].as_i64() > Some(0));
    }
}

#[tokio::test]
async fn a_cancelled_stream_is_booked_by_what_was_seen() {
    let stage = stage().await;
    let gate = Gate::default();
    gate.open(6);
    stage.upstream.next(Script::pieces(100).paced(&gate));
    let mut streaming = stage.alice().stream(CHAT, &streamed()).await;
    for _ in 0..6 {
        assert!(streaming.event().await.unwrap().is_some());
    }
    drop(streaming);
    let row =
        spent(&stage, &["outcome", "estimated", "completion_tokens", "prompt_tokens", "cost_nano"], 1).await.remove(0);
    assert_eq!((&row["outcome"], &row["estimated"]), (&json!("cancelled"), &json!(1)), "{row}");
    let tokens = row["completion_tokens"].as_i64().unwrap();
    assert!((5..=30).contains(&tokens), "about the five pieces that came: {row}");
    assert!(row["cost_nano"].as_i64() > Some(0));
}

#[tokio::test]
async fn a_call_whose_client_left_is_still_paid_for() {
    let stage = stage().await;
    let gate = Gate::default();
    stage.upstream.next(Script::chat("nobody hears this").head_after(&gate).usage(Usage {
        prompt: 50,
        completion: 7,
        ..Usage::default()
    }));
    let body = chat().to_string();
    let mut raw = turnpike_testkit::raw::Raw::connect(stage.gateway.public).await;
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        crate::stage::ALICE,
        body.len()
    );
    raw.write(request.as_bytes()).await;
    stage.upstream.wait_for("the request is there", |log| log.len() == 1 && !log[0].body.is_empty()).await;
    raw.reset();
    gate.open(1);
    let row = spent(&stage, &["prompt_tokens", "completion_tokens", "estimated"], 1).await.remove(0);
    assert_eq!(row, json!({"prompt_tokens": 50, "completion_tokens": 7, "estimated": 0}), "drained, not guessed");
    stage.settles().await;
}

#[tokio::test]
async fn failures_are_rows_that_cost_nothing() {
    let stage = stage().await;
    stage.upstream.next(Script::error(429, "slow down", "rate_limit_exceeded"));
    stage.alice().post(CHAT, &chat()).await;
    stage.alice().post(CHAT, &with(chat(), "model", json!("nope"))).await;
    let rows = spent(&stage, &["status", "requested_model", "cost_nano", "prompt_tokens", "outcome"], 2).await;
    assert_eq!((&rows[0]["status"], &rows[1]["status"]), (&json!(429), &json!(404)));
    assert_eq!((&rows[0]["requested_model"], &rows[1]["requested_model"]), (&json!(MODEL), &json!("nope")));
    assert_eq!(rows[1]["outcome"], "model_not_found");
    for row in rows {
        assert!(matches!(row["cost_nano"].as_i64(), None | Some(0)) && row["prompt_tokens"] == 0, "{row}");
    }
}

#[tokio::test]
async fn reports_read_the_views() {
    let stage = stage().await;
    let bob = stage.gateway.client().with_key("sk-bob-0123456789abcdef");
    for variant in ["a", "b", "b"] {
        stage.upstream.next(Script::chat("Hi").usage(Usage { prompt: 1000, completion: 100, ..Usage::default() }));
        bob.post(CHAT, &with(chat(), "metadata", json!({"variant": variant}))).await;
    }
    let database = stage.gateway.database();
    rows(&database, ("spend", "sequence"), &["status"], 3).await;
    let by_team = "select json_object('team', team, 'usd', round(sum(cost_usd), 9)) from litellm_logs group by team";
    assert_eq!(query_json(&database, by_team).await, Some(json!({"team": "ml", "usd": 0.0105})));
    let by_variant = "select json_group_object(variant, n) from (select json_extract(metadata, '$.variant') as variant, count(*) as n from litellm_logs group by 1)";
    assert_eq!(query_json(&database, by_variant).await, Some(json!({"a": 1, "b": 2})));
    let legacy = "select json_object('n', count(*), 'spend', round(sum(spend), 9)) from \"LiteLLM_SpendLogs\"";
    assert_eq!(query_json(&database, legacy).await, Some(json!({"n": 3, "spend": 0.0105})));
}

#[tokio::test]
async fn a_burst_loses_no_row() {
    let stage = stage().await;
    let clients = (0..8).map(|_| async {
        let alice = stage.alice();
        let mut connection = alice.connect().await;
        for _ in 0..50 {
            assert_eq!(connection.send(alice.json(CHAT, &chat(), &[])).await.unwrap().status, 200);
        }
    });
    futures_util::future::join_all(clients).await;
    let database = stage.gateway.database();
    let count = eventually("400 rows", || async {
        let found = query_json(&database, "select json_array(count(*), count(distinct request_id)) from spend").await?;
        (found[0].as_i64() >= Some(400)).then_some(found)
    })
    .await;
    assert_eq!(count, json!([400, 400]));
}

#[tokio::test]
async fn what_is_given_up_before_it_is_sent_costs_nothing() {
    // Takes connections and says nothing: there is no end of the TLS handshake.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v1", silent.local_addr().unwrap());
    let price = json!({"inputPerMillion": "2.50", "outputPerMillion": "10.00"});
    let stage =
        Stage::with_model(|model| model.with("provider.baseURL", url).with("price", price), |setup, _| setup).await;
    let alice = stage.alice();
    let leaving = tokio::spawn(async move { alice.stream(CHAT, &streamed()).await });
    // It is recorded, and being connected.
    let _socket = silent.accept().await.unwrap();
    leaving.abort();
    let row = &spent(&stage, &["outcome", "prompt_tokens", "cost_nano", "estimated"], 1).await[0];
    assert_eq!(*row, json!({"outcome": "cancelled", "prompt_tokens": 0, "cost_nano": null, "estimated": 0}));
}
