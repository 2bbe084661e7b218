//! Rerank, moderations, images, speech and transcriptions through the running gateway.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use turnpike_testkit::{
    Script,
    client::Reply,
    gateway::Setup,
    manifest,
    provider::{Cohere, Media, SOUND},
    spend,
    upstream::Demands,
};

use crate::stage::{ALICE, MODEL, Stage, UPSTREAM_KEY};

async fn media() -> Stage {
    Stage::with("OpenAICompatible", "upstream-model", &Media, |model| {
        model.with("price", json!({"inputPerMillion": "10", "outputPerMillion": "20", "perQuery": "0.04"}))
    })
    .await
}

/// The only row: operation, tokens, cost in nano-USD, whether that is an estimate.
async fn row(stage: &Stage) -> Value {
    let columns = ["operation", "prompt_tokens", "completion_tokens", "cost_nano", "estimated", "outcome"];
    let rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, 1).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].clone()
}

/// A form with texts and a file, posted to a route.
async fn post_form(stage: &Stage, path: &str, texts: &[(&str, &str)], (name, file): (&str, &[u8])) -> Reply {
    let mut body = Vec::new();
    for (name, text) in texts {
        body.extend_from_slice(
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").as_bytes(),
        );
    }
    let head = format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\r\n");
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--B--\r\n");
    let request = stage.alice().request(Method::POST, path).header("content-type", "multipart/form-data; boundary=B");
    stage.alice().send(request.body(Bytes::from(body)).unwrap()).await
}

/// Sound with texts, posted to a route.
async fn transcribe(stage: &Stage, path: &str, more: &[(&str, &str)]) -> Reply {
    post_form(stage, path, more, ("file", &SOUND.repeat(20_000))).await
}

#[tokio::test]
async fn rerank_is_charged_by_search_units() {
    let stage = Stage::new("Cohere", "rerank-v3.5", &Cohere).await;
    let body = json!({"model": MODEL, "query": "q", "documents": ["a", {"text": "b"}, "c"], "top_n": 2, "return_documents": true});
    let reply = stage.post("/v2/rerank", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let answer = reply.json();
    assert_eq!(answer["results"][0], json!({"index": 2, "relevance_score": 0.98, "document": {"text": "c"}}));
    assert_eq!(answer["results"].as_array().unwrap().len(), 2);
    assert_eq!(answer["meta"]["billed_units"]["search_units"], 1);
    assert_eq!(reply.header("x-litellm-response-cost"), Some("0.002"));
    let row = row(&stage).await;
    assert_eq!((&row["operation"], &row["cost_nano"]), (&json!("rerank"), &json!(2_000_000)));
}

#[tokio::test]
async fn rerank_is_counted_where_it_is_billed_by_tokens() {
    let stage = media().await;
    for path in ["/rerank", "/v1/rerank"] {
        let reply = stage.post(path, &json!({"model": MODEL, "query": "q", "documents": ["a", "b"]})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["meta"]["billed_units"]["total_tokens"], 30);
    }
    assert_eq!(stage.sent()["model"], "upstream-model");
    let refused = stage.post("/v1/rerank", &json!({"model": MODEL, "query": "q", "documents": []})).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("documents")));
}

#[tokio::test]
async fn moderations_are_shown_under_their_name() {
    let stage = media().await;
    let body = json!({"model": MODEL, "input": ["Hello there, how are you?"], "metadata": {"a": 1}});
    let reply = stage.post("/v1/moderations", &body).await;
    assert_eq!((reply.status, &reply.json()["model"]), (200, &json!(MODEL)), "{reply:?}");
    assert_eq!(stage.sent(), json!({"model": "upstream-model", "input": ["Hello there, how are you?"]}));
    let row = row(&stage).await;
    assert_eq!((&row["operation"], &row["prompt_tokens"]), (&json!("moderations"), &json!(7)));
    assert_eq!((&row["completion_tokens"], &row["estimated"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn images_are_charged_one_by_one() {
    let stage = media().await;
    let reply = stage.post("/v1/images/generations", &json!({"model": MODEL, "prompt": "a cat", "n": 3})).await;
    assert_eq!((reply.status, reply.json()["data"].as_array().unwrap().len()), (200, 3), "{reply:?}");
    let row = row(&stage).await;
    assert_eq!((&row["operation"], &row["cost_nano"]), (&json!("image_generation"), &json!(120_000_000)));
}

#[tokio::test]
async fn edits_of_images_are_charged_one_by_one() {
    let stage = media().await;
    let texts = [("model", MODEL), ("prompt", "a hat on it"), ("n", "2"), ("size", "1024x1024")];
    let picture = [b"\x89PNG\r\n\x1a\n".as_slice(), &[0xFF; 4000]].concat();
    let reply = post_form(&stage, "/v1/images/edits", &texts, ("image", &picture)).await;
    assert_eq!((reply.status, reply.json()["data"].as_array().unwrap().len()), (200, 2), "{reply:?}");
    let row = row(&stage).await;
    assert_eq!((&row["operation"], &row["cost_nano"]), (&json!("image_edit"), &json!(80_000_000)));
    let odd = [("model", MODEL), ("prompt", "p"), ("n", "two")];
    let refused = post_form(&stage, "/v1/images/edits", &odd, ("image", &picture)).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("n")));
}

#[tokio::test]
async fn images_stream() {
    let stage = media().await;
    let body = json!({"model": MODEL, "prompt": "a cat", "stream": true});
    let rest = stage.alice().stream("/v1/images/generations", &body).await.rest().await;
    assert!(rest.clean && rest.events.len() == 2, "{:?}", rest.events);
    let row = row(&stage).await;
    assert_eq!((&row["prompt_tokens"], &row["completion_tokens"]), (&json!(12), &json!(1056)));
    // 12 and 1056 tokens, and one image.
    assert_eq!(row["cost_nano"], 120_000 + 21_120_000 + 40_000_000);
}

#[tokio::test]
async fn speech_comes_as_sound() {
    let stage = media().await;
    let body = json!({"model": MODEL, "input": "Hello, you.", "voice": "alloy"});
    let reply = stage.post("/v1/audio/speech", &body).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("audio/mpeg")), "{reply:?}");
    assert_eq!(reply.body, SOUND.repeat(3));
    let row = row(&stage).await;
    assert_eq!((&row["operation"], &row["prompt_tokens"]), (&json!("speech"), &json!(11)));
    assert_eq!((&row["estimated"], &row["outcome"]), (&json!(1), &json!("success")));
}

#[tokio::test]
async fn speech_streams_with_its_usage() {
    let stage = media().await;
    let body = json!({"model": MODEL, "input": "Hello", "voice": "alloy", "stream_format": "sse"});
    let rest = stage.alice().stream("/v1/audio/speech", &body).await.rest().await;
    assert_eq!(rest.events.last().unwrap().json()["type"], "speech.audio.done");
    let row = row(&stage).await;
    assert_eq!((&row["prompt_tokens"], &row["completion_tokens"]), (&json!(14), &json!(101)));
}

#[tokio::test]
async fn a_form_goes_through_with_its_file() {
    let stage = media().await;
    let reply = transcribe(&stage, "/v1/audio/transcriptions", &[("model", MODEL), ("language", "en")]).await;
    assert_eq!((reply.status, &reply.json()["text"]), (200, &json!("Hello")), "{reply:?}");
    let sent = stage.upstream.log().pop().unwrap();
    let text = String::from_utf8_lossy(&sent.body);
    assert!(text.contains("upstream-model") && text.contains("language") && !text.contains(MODEL));
    assert!(sent.body.windows(20_000 * SOUND.len()).any(|window| window == SOUND.repeat(20_000)));
    let row = row(&stage).await;
    // Seven seconds.
    assert_eq!((&row["operation"], &row["cost_nano"]), (&json!("transcription"), &json!(280_000_000)));
}

#[tokio::test]
async fn subtitles_keep_their_type() {
    let stage = media().await;
    stage.upstream.next(Script::raw("application/x-subrip", "1\n00:00:00,000 --> 00:00:02,000\nHi\n"));
    let reply = transcribe(&stage, "/v1/audio/translations", &[("model", MODEL), ("response_format", "srt")]).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-subrip")), "{reply:?}");
    assert!(reply.text().starts_with("1\n"));
    // 140 000 bytes are nine seconds at 128 kbit/s.
    let row = row(&stage).await;
    assert_eq!((&row["cost_nano"], &row["estimated"]), (&json!(360_000_000), &json!(1)));
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let stage = media().await;
    let reply = transcribe(&stage, "/v1/audio/transcriptions", &[]).await;
    assert_eq!(
        (reply.status, &reply.json()["error"]["message"]),
        (400, &json!("Missing required parameter: 'model'."))
    );
    let reply = stage.post("/v1/audio/transcriptions", &json!({"model": MODEL})).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!("invalid_form")), "{reply:?}");
    stage.upstream.next(Script::error(400, "Voice 'x' is unknown.", "invalid_voice"));
    let reply = stage.post("/v1/audio/speech", &json!({"model": MODEL, "input": "Hi", "voice": "x"})).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!("invalid_voice")), "{reply:?}");
    let cohere = Stage::new("Cohere", "command-a-03-2025", &Cohere).await;
    for (path, body) in [
        ("/v1/images/generations", json!({"model": MODEL, "prompt": "a cat"})),
        ("/v1/moderations", json!({"model": MODEL, "input": "a"})),
        ("/v1/audio/speech", json!({"model": MODEL, "input": "a", "voice": "v"})),
    ] {
        let reply = cohere.post(path, &body).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!("unsupported_operation")), "{reply:?}");
    }
    assert!(cohere.upstream.log().is_empty());
}

#[tokio::test]
async fn a_strict_budget_holds_what_an_image_may_cost() {
    let upstream = Demands::default().speaks(&Media).api_key(UPSTREAM_KEY).start().await;
    let model = |name: &str, price: Option<Value>| {
        let model = manifest::provider("OpenAICompatible", name, &upstream.root())
            .with("provider.credentials", json!({"secretRef": {"name": "upstream", "key": "api-key"}}));
        price.map_or(model.clone(), |price| model.with("price", price))
    };
    let objects = [
        model("priced", Some(json!({"perQuery": "0.04"}))),
        model("unpriced", None),
        manifest::secret("upstream", "api-key", UPSTREAM_KEY),
        manifest::key("alice", ALICE),
        manifest::budget("cap", &json!({"usd": "0.10", "window": "Day"})),
    ];
    let gateway = Setup::new(env!("CARGO_BIN_EXE_turnpike-gateway")).manifests(&objects).start().await;
    let alice = gateway.client().with_key(ALICE);
    let ask = |model: &str, n: u64| json!({"model": model, "prompt": "a cat", "n": n});
    let reply = alice.post("/v1/images/generations", &ask("unpriced", 1)).await;
    assert!(reply.status >= 400 && reply.text().contains("has no price"), "{reply:?}");
    let reply = alice.post("/v1/images/generations", &ask("priced", 3)).await;
    assert_eq!((reply.status, reply.error_code()), (400, "request_exceeds_limit".to_owned()), "0.12 USD: {reply:?}");
    assert_eq!(alice.post("/v1/images/generations", &ask("priced", 2)).await.status, 200);
    let reply = alice.post("/v1/images/generations", &ask("priced", 1)).await;
    assert_eq!(reply.status, 429, "0.02 USD are left: {reply:?}");
    assert_eq!(upstream.log().len(), 1);
}
