//! Who may call: keys in five headers, keys that no longer work, what a key may call, the admin key.

use http::Method;
use serde_json::json;
use turnpike_testkit::{client::Reply, gateway::ADMIN_KEY, manifest};

use crate::stage::{ALICE, CHAT, MODEL, Stage, chat, model, setup, with};

async fn ask(stage: &Stage, headers: &[(&str, &str)]) -> Reply {
    let client = stage.gateway.client();
    client.send(client.json(CHAT, &chat(), headers)).await
}

#[tokio::test]
async fn a_key_is_taken_from_each_of_five_headers() {
    let stage = Stage::new().await;
    let bearer = format!("Bearer {ALICE}");
    let lower = format!("bearer {ALICE}");
    let accepted: [&[(&str, &str)]; 8] = [
        &[("authorization", &bearer)],
        &[("authorization", &lower)],
        &[("x-api-key", ALICE)],
        &[("api-key", ALICE)],
        &[("x-goog-api-key", ALICE)],
        &[("x-litellm-api-key", ALICE)],
        &[("x-litellm-api-key", &bearer)],
        &[("authorization", &bearer), ("api-key", ALICE), ("x-api-key", ALICE)],
    ];
    for headers in accepted {
        assert_eq!(ask(&stage, headers).await.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn anything_but_one_good_key_is_401() {
    let stage = Stage::new().await;
    let bearer = format!("Bearer {ALICE}");
    let refused: [&[(&str, &str)]; 9] = [
        &[],
        &[("authorization", ALICE)],
        &[("authorization", "Basic c2s6")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer sk-nobody-has-this-key")],
        &[("x-api-key", "")],
        &[("authorization", &bearer), ("x-api-key", "sk-another-key-entirely")],
        &[("api-key", ALICE), ("x-api-key", ADMIN_KEY)],
        &[("authorization", &bearer), ("authorization", "Bearer sk-second-of-the-same-name")],
    ];
    for headers in refused {
        let reply = ask(&stage, headers).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (401, "invalid_api_key"), "{headers:?}");
        assert!(!reply.text().contains("sk-"), "an answer never repeats a key: {}", reply.text());
    }
    assert_eq!(stage.gateway.client().get("/v1/models").await.status, 401);
    assert!(stage.upstream.log().is_empty());
    assert!(!stage.gateway.process.output().contains(ALICE), "a log never holds a key");
}

#[tokio::test]
async fn suspended_and_expired_keys_say_so() {
    let stage = Stage::with(|setup, _| {
        let suspended = manifest::key("suspended", "sk-suspended-key-0001").with("suspended", true);
        let expired = manifest::key("expired", "sk-expired-key-000001").with("expiresAt", "2020-01-01T00:00:00Z");
        let valid = manifest::key("valid", "sk-still-valid-key-01").with("expiresAt", "2999-01-01T00:00:00Z");
        setup.manifests(&[suspended, expired, valid])
    })
    .await;
    let cases = [("sk-suspended-key-0001", "suspended_api_key"), ("sk-expired-key-000001", "expired_api_key")];
    for (key, code) in cases {
        let reply = stage.gateway.client().with_key(key).post(CHAT, &chat()).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (401, code));
    }
    assert_eq!(stage.gateway.client().with_key("sk-still-valid-key-01").post(CHAT, &chat()).await.status, 200);
}

#[tokio::test]
async fn a_key_calls_and_sees_only_its_models() {
    let stage = Stage::with(|setup, upstream| {
        let some = manifest::key("some", "sk-may-call-some-models").with("allowedModels", json!(["claude-*", "plain"]));
        let none = manifest::key("none", "sk-may-call-no-models-").with("allowedModels", json!([]));
        setup.manifests(&[model("plain", upstream), model("claude-test", upstream), some, none])
    })
    .await;
    let some = stage.gateway.client().with_key("sk-may-call-some-models");
    let none = stage.gateway.client().with_key("sk-may-call-no-models-");
    let listed = some.get("/v1/models").await.json();
    let mut ids: Vec<&str> =
        listed["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["claude-test", "plain"]);
    assert_eq!(none.get("/v1/models").await.json()["data"], json!([]));
    for name in ["plain", "claude-test"] {
        assert_eq!(some.post(CHAT, &with(chat(), "model", json!(name))).await.status, 200);
    }
    // The same answer for what is not allowed and what does not exist: names reveal nothing.
    let forbidden = some.post(CHAT, &chat()).await;
    let unknown = some.post(CHAT, &with(chat(), "model", json!("no-such-model"))).await;
    assert_eq!((forbidden.status, unknown.status), (404, 404));
    assert_eq!(forbidden.error_code(), "model_not_found");
    assert_eq!(forbidden.text().replace(MODEL, "no-such-model"), unknown.text());
    assert_eq!(some.get(&format!("/v1/models/{MODEL}")).await.status, 404);
    assert_eq!(none.post(CHAT, &chat()).await.status, 404);
}

#[tokio::test]
async fn the_admin_key_calls_every_model() {
    let stage = Stage::new().await;
    assert_eq!(stage.gateway.admin().post(CHAT, &chat()).await.status, 200);
    assert_eq!(stage.gateway.admin().get("/v1/models").await.json()["data"][0]["id"], MODEL);
}

#[tokio::test]
async fn empty_variables_count_as_unset() {
    let names = ["TURNPIKE_CA_FILES", "TURNPIKE_EGRESS_ALLOW", "TURNPIKE_MAX_BUFFERED_BYTES", "TURNPIKE_RUNTIMES"];
    let stage = Stage::with(|setup, _| names.into_iter().fold(setup, |setup, name| setup.env(name, ""))).await;
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
}

#[tokio::test]
async fn a_weak_admin_key_refuses_to_start() {
    for (name, weak) in
        [("TURNPIKE_ADMIN_KEY", ""), ("TURNPIKE_ADMIN_KEY", "sk-1234"), ("LITELLM_MASTER_KEY", "elevenchars")]
    {
        let mut process = setup().without_env("TURNPIKE_ADMIN_KEY").env(name, weak).spawn();
        let status = process.exit().await;
        let output = process.output();
        assert!(!status.success(), "{name}={weak:?}: {output}");
        assert!(output.contains("admin key") && output.contains("12"), "says what to do: {output}");
    }
}

#[tokio::test]
async fn an_admin_key_comes_from_litellm_s_variable_or_is_made_and_kept() {
    let legacy =
        setup().without_env("TURNPIKE_ADMIN_KEY").env("LITELLM_MASTER_KEY", "sk-from-litellm-days").start().await;
    assert_eq!(legacy.client().with_key("sk-from-litellm-days").get("/v1/models").await.status, 200);

    let made = setup().without_env("TURNPIKE_ADMIN_KEY").start().await;
    let key = made.process.announced("admin key: ").await;
    assert!(key.len() >= 32, "{key}");
    assert_eq!(made.client().with_key(&key).get("/v1/models").await.status, 200);
    let kept = std::fs::read_dir(made.process.data())
        .unwrap()
        .any(|entry| std::fs::read_to_string(entry.unwrap().path()).is_ok_and(|content| content.trim() == key));
    assert!(kept, "the key is kept in the data folder");
}

#[tokio::test]
async fn the_method_does_not_matter_for_authentication() {
    let stage = Stage::new().await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let client = stage.gateway.client();
        let request = client.request(method, "/v1/models").body(bytes::Bytes::new()).unwrap();
        let status = client.send(request).await.status;
        assert!(status == 401 || status == 405, "{status}");
    }
}
