//! The scripted upstream does what its scripts say, and refuses what a real one refuses.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Script, Upstream, raw,
    upstream::{Cut, Demands, Gate, Usage},
};

const CHAT: &str = "/v1/chat/completions";

fn chat() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
}

fn streamed() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true, "stream_options": {"include_usage": true}})
}

#[tokio::test]
async fn answers_and_records() {
    let upstream = Upstream::start().await;
    upstream.next(Script::chat("Hi there").usage(Usage { prompt: 7, cached: 3, ..Usage::default() }));
    let reply = Client::new(upstream.address()).post(CHAT, &chat()).await;
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hi there");
    assert_eq!(reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"], 3);
    let seen = upstream.only();
    assert_eq!((seen.method, seen.target.as_str()), (Method::POST, CHAT));
    assert!(seen.body.starts_with(b"{") && seen.refused.is_none());
}

#[tokio::test]
async fn streams_with_usage_only_when_asked() {
    let upstream = Upstream::start().await;
    let client = Client::new(upstream.address());
    upstream.always("m", Script::pieces(3));
    let rest = client.stream(CHAT, &streamed()).await.rest().await;
    assert!(rest.clean);
    // Role, three pieces, finish, usage, [DONE].
    assert_eq!(rest.events.len(), 7);
    assert_eq!(rest.events[5].json()["choices"], json!([]));
    assert_eq!(rest.events[6].data, "[DONE]");
    let mut plain = streamed();
    plain.as_object_mut().unwrap().remove("stream_options");
    assert_eq!(client.stream(CHAT, &plain).await.rest().await.events.len(), 6);
}

#[tokio::test]
async fn refuses_what_the_real_api_refuses() {
    let upstream = Demands::default().api_key("sk-up").models(&["m"]).start().await;
    let anonymous = Client::new(upstream.address());
    let client = anonymous.with_key("sk-up");
    assert_eq!(anonymous.post(CHAT, &chat()).await.status, 401);
    assert_eq!(anonymous.with_key("sk-other").post(CHAT, &chat()).await.error_code(), "invalid_api_key");
    let cases = [
        ("not json".to_owned(), 400),
        (json!({"model": "other", "messages": [{}]}).to_string(), 404),
        (json!({"model": "m"}).to_string(), 400),
        (json!({"model": "m", "messages": []}).to_string(), 400),
        (json!({"model": "m", "messages": [{}], "cache": {}}).to_string(), 400),
        (json!({"model": "m", "messages": [{}], "litellm_trace_id": "x"}).to_string(), 400),
        (json!({"model": "m", "messages": [{}], "metadata": {"n": 1}}).to_string(), 400),
        (json!({"model": "m", "messages": [{}], "stream_options": {"include_usage": true}}).to_string(), 400),
        (chat().to_string(), 200),
    ];
    for (body, status) in cases {
        assert_eq!(client.post_bytes(CHAT, body.clone()).await.status, status, "{body}");
    }
    let misdirected = "POST /v1/chat/completions HTTP/1.1\r\nhost: elsewhere\r\nauthorization: Bearer sk-up\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(raw::exchange(upstream.address(), misdirected.as_bytes()).await.status, 400);
    let text = client.request(Method::POST, CHAT).header("content-type", "text/plain");
    assert_eq!(client.send(text.body(Bytes::from(chat().to_string())).unwrap()).await.status, 400);
}

#[tokio::test]
async fn breaks_connections_as_told() {
    let upstream = Upstream::start().await;
    let client = Client::new(upstream.address());
    for how in [Cut::Close, Cut::Reset] {
        upstream.next(Script::pieces(3).cut(300, how));
        assert!(!client.stream(CHAT, &streamed()).await.rest().await.clean, "{how:?}");
    }
    for script in [Script::hang_up(), Script::reset(), Script::garbage("SSH-2.0-x\r\n")] {
        upstream.next(script);
        let request = client.json(CHAT, &chat(), &[]);
        assert!(client.connect().await.open(request).await.is_err());
    }
    upstream.next(Script::chat("whole").cut(20, Cut::Close));
    assert!(!client.post(CHAT, &chat()).await.complete);
    assert!(upstream.log().iter().all(|seen| seen.ended() && !seen.client_gone()));
}

#[tokio::test]
async fn notices_a_client_that_leaves() {
    let upstream = Upstream::start().await;
    let client = Client::new(upstream.address());
    let gate = Gate::default();
    upstream.next(Script::pieces(3).paced(&gate));
    gate.open(1);
    let mut streaming = client.stream(CHAT, &streamed()).await;
    assert!(streaming.event().await.unwrap().is_some());
    drop(streaming);
    upstream.wait_for("the client is gone", |log| log[0].client_gone()).await;
    // The same before the head of the answer.
    upstream.next(Script::chat("never").head_after(&gate));
    let mut raw = raw::Raw::connect(upstream.address()).await;
    let body = chat().to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        upstream.address(),
        body.len()
    );
    raw.write(head.as_bytes()).await;
    raw.write(body.as_bytes()).await;
    upstream.wait_for("the request is there", |log| log.len() == 2 && !log[1].body.is_empty()).await;
    raw.reset();
    upstream.wait_for("the client is gone", |log| log[1].client_gone()).await;
}

#[tokio::test]
async fn trickles_compresses_and_closes_idle_connections() {
    let upstream = Upstream::start().await;
    let client = Client::new(upstream.address());
    upstream.next(Script::pieces(2).trickle());
    assert!(client.stream(CHAT, &streamed()).await.rest().await.clean);
    upstream.next(Script::chat("zipped").gzip());
    let zipped = client.post(CHAT, &chat()).await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(zipped.body[..2], [0x1f, 0x8b]);
    let mut connection = client.connect().await;
    assert_eq!(connection.send(client.json(CHAT, &chat(), &[])).await.unwrap().status, 200);
    upstream.close_idle();
    // The close may be seen before the request is written or instead of its answer.
    assert!(connection.open(client.json(CHAT, &chat(), &[])).await.is_err());
}

#[tokio::test]
async fn embeds_in_both_formats() {
    let upstream = Upstream::start().await;
    let client = Client::new(upstream.address());
    let floats = client.post("/v1/embeddings", &json!({"model": "m", "input": ["a", "b"]})).await.json();
    assert_eq!(floats["data"].as_array().unwrap().len(), 2);
    assert!(floats["data"][1]["embedding"][0].as_f64().is_some());
    let coded = client.post("/v1/embeddings", &json!({"model": "m", "input": "a", "encoding_format": "base64"})).await;
    assert_eq!(coded.json()["data"][0]["embedding"].as_str().unwrap().len(), 32);
}
