//! What a request says about its own attempts.

use serde_json::{Value, json};
use turnpike_testkit::{Script, manifest};

use super::{CHAT, Cast, asking, broken, model, primary};
use crate::stage::with;

async fn cast() -> Cast {
    Cast::new(|upstream| {
        vec![
            primary(upstream, &json!([{"modelRef": {"name": "configured"}, "on": ["Error"]}])),
            model("configured", upstream),
            model("asked", upstream),
            model("hidden", upstream).with("visibility", "Internal"),
            manifest::key("narrow", "sk-narrow-0123456789").with("allowedModels", json!(["primary"])),
        ]
    })
    .await
}

#[tokio::test]
async fn its_own_fallbacks_come_before_those_of_the_model() {
    let cast = cast().await;
    let lists = [
        json!(["asked"]),
        json!([{"model": "asked"}]),
        json!([{"primary": ["asked"], "another": ["configured"]}]),
        json!([{"*": ["asked"]}]),
        // What it may not call is passed over.
        json!(["hidden", "nowhere", "asked"]),
    ];
    for list in lists {
        cast.upstream.next_for("primary", broken());
        let reply = cast.alice().post(CHAT, &with(asking("primary"), "fallbacks", list.clone())).await;
        assert_eq!((reply.status, reply.header("x-litellm-model-id")), (200, Some("default/asked")), "{list}");
        assert!(reply.header("x-litellm-attempted-fallbacks") == Some("1"), "{list}");
    }
    assert!(!cast.asked().contains(&"hidden".to_owned()));
    let narrow = cast.gateway.client().with_key("sk-narrow-0123456789");
    cast.upstream.next_for("primary", broken());
    let reply = narrow.post(CHAT, &with(asking("primary"), "fallbacks", json!(["asked"]))).await;
    assert_eq!(reply.header("x-litellm-model-id"), Some("default/configured"), "its key may not call the other");
}

#[tokio::test]
async fn lists_by_cause_and_none_at_all() {
    let cast = cast().await;
    let request = with(asking("primary"), "context_window_fallbacks", json!([{"primary": ["asked"]}]));
    cast.upstream.next_for("primary", Script::error(400, "maximum context length", "context_length_exceeded"));
    let reply = cast.alice().post(CHAT, &request).await;
    assert_eq!(reply.header("x-litellm-model-id"), Some("default/asked"));
    cast.upstream.next_for("primary", broken());
    let reply = cast.alice().post(CHAT, &with(asking("primary"), "disable_fallbacks", json!(true))).await;
    assert_eq!((reply.status, reply.header("x-litellm-attempted-fallbacks")), (500, None));
}

#[tokio::test]
async fn how_often_it_is_tried_again() {
    let cast = cast().await;
    let request = with(asking("asked"), "num_retries", json!(0));
    cast.upstream.next_for("asked", broken());
    assert_eq!(cast.alice().post(CHAT, &request).await.status, 500);
    for _ in 0..2 {
        cast.upstream.next_for("primary", broken());
    }
    let request = with(with(asking("primary"), "num_retries", json!(2)), "disable_fallbacks", json!(true));
    let reply = cast.alice().post(CHAT, &request).await;
    assert_eq!((reply.status, reply.header("x-litellm-attempted-retries")), (200, Some("2")));
    assert_eq!(cast.alice().post(CHAT, &with(asking("primary"), "num_retries", json!(-1))).await.status, 400);
}

#[tokio::test]
async fn a_played_failure_is_for_the_admin() {
    let cast = cast().await;
    let request = with(asking("primary"), "mock_testing_fallbacks", json!(true));
    let reply = cast.alice().post(CHAT, &request).await;
    assert_eq!(reply.header("x-litellm-model-id"), Some("default/primary"));
    let reply = cast.gateway.admin().post(CHAT, &request).await;
    assert_eq!((reply.status, reply.header("x-litellm-model-id")), (200, Some("default/configured")));
    assert_eq!(cast.asked(), ["primary", "configured"], "what is played is not sent");
}

#[tokio::test]
async fn lists_of_the_wrong_shape_are_refused() {
    let cast = cast().await;
    for list in [json!("asked"), json!([1]), json!([{"primary": "asked"}]), json!([{"model": 1}])] {
        let reply = cast.alice().post(CHAT, &with(asking("primary"), "fallbacks", list.clone())).await;
        let error: &Value = &reply.json()["error"];
        assert_eq!((reply.status, &error["param"]), (400, &json!("fallbacks")), "{list}: {error}");
    }
    assert!(cast.asked().is_empty());
}
