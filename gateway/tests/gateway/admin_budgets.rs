//! Budgets made over the admin API: each key that names one has a pot of its own.

use serde_json::{Value, json};
use turnpike_testkit::{Script, manifest, upstream::Usage};

use crate::stage::{CHAT, Stage, chat, with};

#[tokio::test]
async fn a_budget_holds_for_each_of_its_keys_and_changes_at_once() {
    let price = json!({"inputPerMillion": "1.00", "outputPerMillion": "1.00"});
    let stage = Stage::with_model(
        |model| model.with("price", price),
        |setup, _| setup.manifests(&[manifest::budget("of-file", &json!({"window": "Month", "usd": "5.00"}))]),
    )
    .await;
    // 0.001 USD each.
    let answer = Script::chat("Hi").usage(Usage { prompt: 10, completion: 990, cached: 0, reasoning: 0 });
    stage.upstream.always("upstream-gpt", answer);
    let admin = stage.gateway.admin();
    let asked = json!({"budget_id": "small", "max_budget": 0.001, "soft_budget": 0.0005, "budget_duration": "monthly"});
    let made = admin.post("/budget/new", &asked).await;
    assert_eq!(made.status, 200, "{}", made.text());
    for (name, value) in asked.as_object().unwrap() {
        assert_eq!(made.json()[name], *value, "{name}");
    }
    let asking = with(chat(), "max_tokens", json!(900));
    let mut texts = Vec::new();
    for _ in 0..2 {
        let key = admin.post("/key/generate", &json!({"budget_id": "small"})).await.json();
        assert_eq!(key["budget_id"], "small");
        let client = stage.gateway.client().with_key(key["key"].as_str().unwrap());
        assert_eq!(client.post(CHAT, &asking).await.status, 200, "its own pot");
        let refused = client.post(CHAT, &asking).await;
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert!(refused.text().contains("Budget default/small"), "{}", refused.text());
        texts.push(key["key"].clone());
    }
    let more = admin.post("/budget/update", &json!({"budget_id": "small", "max_budget": 1, "soft_budget": null})).await;
    assert_eq!((more.status, &more.json()["soft_budget"]), (200, &Value::Null), "{}", more.text());
    let client = stage.gateway.client().with_key(texts[0].as_str().unwrap());
    assert_eq!(client.post(CHAT, &asking).await.status, 200);

    let used = admin.post("/budget/delete", &json!({"id": "small"})).await;
    assert_eq!((used.status, used.json()["error"]["code"].clone()), (409, json!("in_use")));
    assert_eq!(admin.post("/key/delete", &json!({"keys": texts})).await.status, 200);
    assert_eq!(admin.post("/budget/delete", &json!({"id": "small"})).await.status, 200);
    let left = admin.get("/budget/list").await.json();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["budget_id"]), (1, &json!("of-file")));
    let infos = admin.post("/budget/info", &json!({"budgets": ["of-file"]})).await.json();
    assert_eq!((&infos[0]["max_budget"], &infos[0]["budget_duration"]), (&json!(5.0), &json!("1mo")));
}

#[tokio::test]
async fn what_a_budget_cannot_be_is_refused() {
    let of_file = manifest::budget("of-file", &json!({"window": "Month", "usd": "5.00"}));
    let stage = Stage::with(|setup, _| setup.manifests(&[of_file])).await;
    let admin = stage.gateway.admin();
    for (body, param) in [
        (json!({"budget_id": "x"}), "max_budget"),
        (json!({"max_budget": 1, "soft_budget": 0.333}), "soft_budget"),
        (json!({"max_budget": 1, "budget_duration": "13d"}), "budget_duration"),
        (json!({"max_budget": 1, "max_parallel_requests": 3}), "max_parallel_requests"),
        (json!({"max_budget": 1, "model_max_budget": {"a": 1}}), "model_max_budget"),
    ] {
        let refused = admin.post("/budget/new", &body).await;
        assert_eq!((refused.status, refused.json()["error"]["param"].clone()), (400, json!(param)), "{body}");
    }
    for (path, body) in [
        ("/budget/new", json!({"budget_id": "of-file", "max_budget": 1})),
        ("/budget/update", json!({"budget_id": "of-file", "max_budget": 1})),
        ("/budget/delete", json!({"id": "of-file"})),
    ] {
        let refused = admin.post(path, &body).await;
        assert_eq!(
            (refused.status, refused.json()["error"]["code"].clone()),
            (409, json!("managed_by_manifest")),
            "{path}"
        );
    }
    assert_eq!(admin.post("/budget/info", &json!({"budgets": ["nobody"]})).await.status, 404);
    assert_eq!(stage.alice().get("/budget/list").await.status, 403);
}
