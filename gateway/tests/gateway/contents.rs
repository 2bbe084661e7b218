//! Clients of Gemini's dialect: paths, keys, errors in Google's shape, and the books.

use serde_json::{Value, json};
use turnpike_testkit::{Script, client::Reply, manifest, spend, sse::Event, upstream::Cut};

use crate::stage::{ALICE, MODEL, Stage, UPSTREAM_MODEL};

fn path(model: &str, method: &str) -> String {
    format!("/v1beta/models/{model}:{method}")
}

/// A request for content.
fn contents() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]}, "generationConfig": {"maxOutputTokens": 64},
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    })
}

/// Status, Google's word for it and the gateway's own of an error in Google's shape.
fn google_error(reply: &Reply) -> (u16, String, String) {
    let body = reply.json();
    let error = &body["error"];
    assert_eq!(error["code"], reply.status, "{body}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{body}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (reply.status, text(&error["status"]), text(&error["details"][0]["reason"]))
}

#[tokio::test]
async fn chat_upstreams_answer_google_s_clients() {
    let stage = Stage::new().await;
    for prefix in ["/v1beta", "/v1", ""] {
        let reply = stage.alice().post(&format!("{prefix}/models/{MODEL}:generateContent"), &contents()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let shown = reply.json();
        let candidate = &shown["candidates"][0];
        assert_eq!((&candidate["finishReason"], &candidate["content"]["role"]), (&json!("STOP"), &json!("model")));
        assert_eq!(shown["modelVersion"], MODEL);
        let used = json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15});
        assert_eq!(shown["usageMetadata"], used);
    }
    let seen = stage.upstream.log().pop().unwrap();
    assert_eq!(seen.target, "/v1/chat/completions");
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]);
    assert_eq!(seen.json(), json!({"model": UPSTREAM_MODEL, "max_tokens": 64, "messages": messages}));
}

#[tokio::test]
async fn streams_end_with_the_reason_and_the_tokens() {
    let stage = Stage::new().await;
    stage.upstream.next(Script::chat("Hello there"));
    let rest = stage.alice().stream(&path(MODEL, "streamGenerateContent?alt=sse"), &contents()).await.rest().await;
    assert!(rest.clean, "{rest:?}");
    let pieces: Vec<Value> = rest.events.iter().map(Event::json).collect();
    let text: String =
        pieces.iter().filter_map(|piece| piece["candidates"][0]["content"]["parts"][0]["text"].as_str()).collect();
    assert_eq!(text, "Hello there");
    let last = pieces.last().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["totalTokenCount"], 15);
    assert_eq!(stage.upstream.only().json()["stream"], true);
    let columns = ["operation", "status", "outcome", "stream", "prompt_tokens", "completion_tokens"];
    let rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, 1).await;
    let row = json!({"operation": "generate_content", "status": 200, "outcome": "success", "stream": 1,
        "prompt_tokens": 10, "completion_tokens": 5});
    assert_eq!(rows[0], row);
    let labels = r#"route="/v1beta/models/{model}:generateContent""#;
    stage.gateway.metric_is("litellm_proxy_total_requests_metric_total", labels, 1.0).await;
}

#[tokio::test]
async fn a_key_is_taken_where_google_s_clients_put_it() {
    let stage = Stage::new().await;
    let client = stage.gateway.client();
    let plain = path(MODEL, "generateContent");
    let with_key = format!("{plain}?key={ALICE}");
    assert_eq!(client.send(client.json(&plain, &contents(), &[("x-goog-api-key", ALICE)])).await.status, 200);
    assert_eq!(client.post(&with_key, &contents()).await.status, 200);
    assert_eq!(client.send(client.json(&with_key, &contents(), &[("x-goog-api-key", ALICE)])).await.status, 200);
    for request in [
        client.json(&plain, &contents(), &[]),
        client.json(&format!("{plain}?key="), &contents(), &[]),
        client.json(&format!("{plain}?key=sk-nobody-has-this-key"), &contents(), &[]),
        client.json(&format!("{plain}?key=%0a"), &contents(), &[]),
        client.json(&with_key, &contents(), &[("x-goog-api-key", "sk-another-key-entirely")]),
    ] {
        let reply = client.send(request).await;
        assert_eq!(google_error(&reply), (401, "UNAUTHENTICATED".to_owned(), "invalid_api_key".to_owned()));
    }
    assert_eq!(stage.upstream.log().len(), 3);
    for seen in stage.upstream.log() {
        assert!(!format!("{seen:?}").contains(ALICE), "the key stays here: {seen:?}");
    }
    assert!(!stage.gateway.process.output().contains(ALICE), "a log never holds a key");
}

#[tokio::test]
async fn errors_are_in_google_s_shape() {
    let stage = Stage::new().await;
    let alice = stage.alice();
    let told = |status: u16, word: &str, reason: &str| (status, word.to_owned(), reason.to_owned());
    let unknown = alice.post(&path("nope", "generateContent"), &contents()).await;
    assert_eq!(google_error(&unknown), told(404, "NOT_FOUND", "model_not_found"));
    let mut twice = contents();
    twice["generation_config"] = json!({"maxOutputTokens": 1});
    let twice = alice.post(&path(MODEL, "generateContent"), &twice).await;
    assert_eq!(google_error(&twice), told(400, "INVALID_ARGUMENT", "duplicate_key"));
    let mut odd = contents();
    odd["generationConfig"]["brandNew"] = json!(1);
    let odd = alice.post(&path(MODEL, "generateContent"), &odd).await;
    assert_eq!(google_error(&odd), told(400, "INVALID_ARGUMENT", "invalid_value"));
    assert!(odd.text().contains("generationConfig.brandNew"), "{odd:?}");
    let array = alice.post(&path(MODEL, "streamGenerateContent"), &contents()).await;
    assert_eq!(google_error(&array), told(400, "INVALID_ARGUMENT", "invalid_value"));
    let method = alice.post(&path(MODEL, "brandNew"), &contents()).await;
    assert_eq!(google_error(&method), told(404, "NOT_FOUND", "unknown_url"));
    assert_eq!(google_error(&alice.get(&path(MODEL, "generateContent")).await).0, 405);
    assert!(stage.upstream.log().is_empty(), "nothing of this went on");
    stage.upstream.always(UPSTREAM_MODEL, Script::error(429, "slow down", "rate_limit_exceeded"));
    let limited = alice.post(&path(MODEL, "generateContent"), &contents()).await;
    assert_eq!(google_error(&limited), told(429, "RESOURCE_EXHAUSTED", "rate_limit_exceeded"));
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_in_google_s_words() {
    let stage = Stage::new().await;
    stage.upstream.next(Script::pieces(20).cut(900, Cut::Reset));
    let rest = stage.alice().stream(&path(MODEL, "streamGenerateContent?alt=sse"), &contents()).await.rest().await;
    assert!(rest.clean, "{rest:?}");
    let last = rest.events.last().unwrap();
    let told = last.json();
    assert_eq!((last.name.as_deref(), &told["error"]["status"]), (None, &json!("UNAVAILABLE")), "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains("closed the connection"), "{told}");
    stage.still_serves().await;
}

#[tokio::test]
async fn tokens_are_counted_and_mocks_answer() {
    let stage = Stage::with(|setup, _| setup.manifests(&[manifest::mock("canned", "It works")])).await;
    let whole = json!({"generateContentRequest": {"model": "models/canned", "contents": contents()["contents"],
        "systemInstruction": {"parts": [{"text": "tiktoken is great!"}]}}});
    let plain = json!({"contents": [{"role": "user", "parts": [{"text": "tiktoken is great! tiktoken is great!"}]}]});
    for (model, body) in [(MODEL, &plain), ("canned", &whole)] {
        let reply = stage.alice().post(&path(model, "countTokens"), body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!((7..30).contains(&reply.json()["totalTokens"].as_u64().unwrap()), "{reply:?}");
    }
    let reply = stage.alice().post(&path("canned", "generateContent"), &contents()).await;
    assert_eq!(reply.json()["candidates"][0]["content"]["parts"], json!([{"text": "It works"}]));
    let rest = stage.alice().stream(&path("canned", "streamGenerateContent?alt=sse"), &contents()).await.rest().await;
    assert!(rest.clean);
    assert_eq!(rest.events.last().unwrap().json()["candidates"][0]["finishReason"], "STOP");
    assert!(stage.upstream.log().is_empty());
}
