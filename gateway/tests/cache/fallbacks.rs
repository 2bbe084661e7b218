//! An answer of a model that a request fell to is given once: it is kept under nobody's name.

use serde_json::json;
use turnpike_testkit::{Script, manifest, upstream::Demands};

use crate::stage::{ALICE, CHAT, MODEL, ask, chat, is_hit, model, setup, with};

#[tokio::test]
async fn the_answer_of_a_fallback_is_not_kept_and_the_model_that_was_asked_for_answers_once_it_can() {
    let upstream = Demands::default().start().await;
    let enabled = json!({"enabled": true, "scope": "Cluster"});
    let objects = [
        model(&upstream, enabled.clone())
            .with("fallbacks", json!([{"modelRef": {"name": "other"}}]))
            .with("health", json!({"active": false, "allowedFails": 20})),
        manifest::model("other", &upstream.url()).with("cache", enabled),
        manifest::key("alice", ALICE),
    ];
    let gateway = setup().manifests(&objects).start().await;
    let client = gateway.client().with_key(ALICE);
    for stream in [false, true] {
        let request = with(chat("Hi"), "stream", json!(stream));
        for _ in 0..2 {
            upstream.next_for(MODEL, Script::error(500, "it broke", "server_error"));
            let reply = client.post(CHAT, &request).await;
            assert!(!is_hit(&reply), "the second time too");
            assert_eq!(reply.header("x-litellm-model-id"), Some("default/other"));
            assert_eq!(reply.header("x-litellm-attempted-fallbacks"), Some("1"));
        }
        let own = client.post(CHAT, &with(request.clone(), "model", json!("other"))).await;
        assert!(!is_hit(&own), "nor under the fallback's own name");
        let reply = client.post(CHAT, &request).await;
        assert_eq!((is_hit(&reply), reply.header("x-litellm-model-id")), (false, Some("default/gpt-test")));
        assert!(ask(&client, &request).await, "its own answer is kept");
    }
}
