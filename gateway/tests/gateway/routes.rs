//! Every route answers under each of its paths, and model names of any shape find their model.

use serde_json::{Value, json};
use turnpike_testkit::{Script, manifest};

use crate::stage::{CHAT, MODEL, Stage, UPSTREAM_MODEL, chat, model, streamed, with};

#[tokio::test]
async fn answer_with_and_without_v1() {
    let stage = Stage::new().await;
    let bodies = [
        ("chat/completions", chat(), "chat.completion"),
        ("completions", json!({"model": MODEL, "prompt": "Hi"}), "text_completion"),
        ("embeddings", json!({"model": MODEL, "input": "Hi"}), "list"),
    ];
    for (route, body, object) in bodies {
        for path in [
            format!("/v1/{route}"),
            format!("/{route}"),
            format!("/openai/deployments/{MODEL}/{route}?api-version=2024-10-21"),
        ] {
            let reply = stage.alice().post(&path, &body).await;
            assert_eq!((reply.status, reply.json()["object"].as_str()), (200, Some(object)), "{path}: {reply:?}");
            assert_eq!(reply.json()["model"], MODEL, "{path}");
            let seen = stage.upstream.log().pop().unwrap();
            assert_eq!(seen.target, format!("/v1/{route}"));
            assert_eq!(seen.json()["model"], UPSTREAM_MODEL);
        }
    }
}

#[tokio::test]
async fn azure_path_names_the_model_whatever_the_body_says() {
    let stage = Stage::new().await;
    let path = format!("/openai/deployments/{MODEL}/chat/completions?api-version=2024-10-21");
    for body in
        [with(chat(), "model", json!("something-else")), json!({"messages": [{"role": "user", "content": "Hi"}]})]
    {
        let reply = stage.alice().post(&path, &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(stage.upstream.log().pop().unwrap().json()["model"], UPSTREAM_MODEL);
    }
    let unknown = stage.alice().post("/openai/deployments/nope/chat/completions", &chat()).await;
    assert_eq!((unknown.status, unknown.error_code().as_str()), (404, "model_not_found"));
}

#[tokio::test]
async fn models_are_listed_and_found_by_any_spelling_of_their_id() {
    let stage = Stage::with(|setup, upstream| {
        let slashed = model("slashed", upstream).with("modelName", "org/model:7b").with("aliases", json!(["short"]));
        setup.manifests(&[slashed, model("hidden", upstream).with("visibility", "Internal")])
    })
    .await;
    for path in ["/v1/models", "/models"] {
        let list = stage.alice().get(path).await.json();
        assert_eq!(list["object"], "list");
        let mut ids: Vec<&str> =
            list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, [MODEL, "org/model:7b", "short"]);
        for entry in list["data"].as_array().unwrap() {
            assert!(
                entry["created"].is_i64() && entry["owned_by"].is_string() && entry["object"] == "model",
                "{entry}"
            );
        }
    }
    for id in ["org/model:7b", "org%2Fmodel%3A7b", "org/model%3a7b", "short"] {
        for prefix in ["/v1/models", "/models"] {
            let reply = stage.alice().get(&format!("{prefix}/{id}")).await;
            assert_eq!(reply.status, 200, "{prefix}/{id}: {reply:?}");
            assert_eq!(reply.json()["object"], "model");
        }
    }
    let deployment = "/openai/deployments/org%2Fmodel%3A7b/chat/completions";
    assert_eq!(stage.alice().post(deployment, &chat()).await.json()["model"], "org/model:7b");
    for id in ["nope", "hidden", "org%2Fmodel", "%ff"] {
        let reply = stage.alice().get(&format!("/v1/models/{id}")).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (404, "model_not_found"), "{id}");
    }
}

#[tokio::test]
async fn alias_and_wildcard_names_find_their_model() {
    let stage = Stage::with(|setup, upstream| {
        let aliased = model("aliased", upstream).with("aliases", json!(["smart", "vendor/gpt-4.1:turbo"]));
        let wildcard = model("wild", upstream).with("modelName", "any/*").with("provider.model", "*");
        let prefixed = model("prefixed", upstream).with("modelName", "any/big-*").with("provider.model", "vendor/*");
        setup.manifests(&[aliased, wildcard, prefixed])
    })
    .await;
    let cases = [
        ("smart", UPSTREAM_MODEL),
        ("vendor/gpt-4.1:turbo", UPSTREAM_MODEL),
        ("any/llama-3:8b", "llama-3:8b"),
        ("any/with \"quotes\"", "with \"quotes\""),
    ];
    for (asked, upstream) in cases {
        let reply = stage.alice().post(CHAT, &with(chat(), "model", json!(asked))).await;
        assert_eq!(reply.status, 200, "{asked}: {reply:?}");
        assert_eq!(reply.json()["model"], asked);
        assert_eq!(stage.upstream.log().pop().unwrap().json()["model"], upstream);
    }
    let longest = stage.alice().post(CHAT, &with(chat(), "model", json!("any/big-model"))).await;
    assert_eq!(longest.status, 200);
    assert_eq!(stage.upstream.log().pop().unwrap().json()["model"], "vendor/model", "the more specific wildcard wins");
}

#[tokio::test]
async fn mock_models_answer_by_themselves() {
    let stage = Stage::with(|setup, _| setup.manifests(&[manifest::mock("canned", "It \"works\" \u{1f600}")])).await;
    let ask = |body: Value| with(body, "model", json!("canned"));
    let reply = stage.alice().post(CHAT, &ask(chat())).await;
    let body = reply.json();
    assert_eq!(body["choices"][0]["message"]["content"], "It \"works\" \u{1f600}");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert!(body["usage"]["total_tokens"].as_u64() > Some(0));
    let rest = stage.alice().stream(CHAT, &ask(streamed())).await.rest().await;
    assert!(rest.clean);
    let (done, chunks) = rest.events.split_last().unwrap();
    assert_eq!(done.data, "[DONE]");
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk.json()["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "It \"works\" \u{1f600}");
    assert!(stage.upstream.log().is_empty());
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_the_api_s_shape() {
    let stage = Stage::new().await;
    for path in ["/v1/nope", "/", "/v1/chat/completions/extra", "/openai/deployments/x", "/v2/chat/completions"] {
        let reply = stage.alice().post(path, &chat()).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (404, "unknown_url"), "{path}");
    }
    let reply = stage.alice().get(CHAT).await;
    assert_eq!((reply.status, reply.error_code().as_str()), (405, "method_not_allowed"));
    assert_eq!(reply.header("allow"), Some("POST"));
    // Metrics name keys and models.
    assert_eq!(stage.gateway.client().get("/metrics").await.status, 401);
    assert_eq!(stage.alice().get("/metrics").await.error_code(), "admin_key_required");
    assert!(stage.gateway.admin().get("/metrics").await.text().contains("turnpike_build_info"));
}

#[tokio::test]
async fn what_the_gateway_does_not_know_reaches_the_upstream_untouched() {
    let stage = Stage::new().await;
    let body = json!({
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"a\":1}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}, "strict": true}}],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"name": "cat", "strict": true, "schema": {"type": "object", "model": "decoy"}}},
        "a_field_of_next_year": {"deep": [1, 2.5, -0.0, "\u{2028}"]},
        "seed": 9_007_199_254_740_993_u64,
    });
    assert_eq!(stage.alice().post(CHAT, &body).await.status, 200);
    let sent = body.to_string().replace(&format!("\"model\":\"{MODEL}\""), &format!("\"model\":\"{UPSTREAM_MODEL}\""));
    assert_eq!(String::from_utf8_lossy(&stage.upstream.only().body), sent, "byte for byte but for the model");
}

#[tokio::test]
async fn tool_calls_and_unknown_members_come_back_untouched() {
    let stage = Stage::new().await;
    let answer = r#"{"id":"x", "object":"chat.completion","created":17e8,"model":"upstream-gpt","choices":[{"index":0,"message":{"role":"assistant","content":null,"model":"decoy","tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"model\":\"x\"}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"next_year":1.50}"#;
    stage.upstream.next(Script::raw("application/json", answer));
    let reply = stage.alice().post(CHAT, &chat()).await;
    assert_eq!(reply.text(), answer.replace(r#""model":"upstream-gpt""#, r#""model":"gpt-test""#));
}
