//! Spend and models over the admin API: what the log says, by key, user, day, team and model.

use serde_json::{Value, json};
use turnpike_testkit::{Gateway, Script, upstream::Usage, wait::eventually};

use crate::stage::{CHAT, MODEL, Stage, UPSTREAM_KEY, chat, with};

async fn get(gateway: &Gateway, path: &str) -> Value {
    let reply = gateway.admin().get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

/// Nano-USD of a number in USD.
fn nano(value: &Value) -> i64 {
    let text = format!("{:.9}", value.as_f64().unwrap());
    text.replace('.', "").parse().unwrap()
}

#[tokio::test]
async fn spend_is_told_by_key_user_day_team_and_model() {
    let price = json!({"inputPerMillion": "1.00", "outputPerMillion": "1.00"});
    let stage = Stage::with_model(|model| model.with("price", price), |setup, _| setup).await;
    // 0.001 USD each.
    let answer = Script::chat("Hi").usage(Usage { prompt: 10, completion: 990, cached: 0, reasoning: 0 });
    stage.upstream.always("upstream-gpt", answer);
    let (gateway, admin) = (&stage.gateway, stage.gateway.admin());
    let mine = json!({"key_alias": "mine", "user_id": "ann", "team_id": "ml"});
    let mine = admin.post("/key/generate", &mine).await.json();
    let client = gateway.client().with_key(mine["key"].as_str().unwrap());
    let asking = with(chat(), "max_tokens", json!(1000));
    for client in [&client, &client, &stage.alice()] {
        assert_eq!(client.post(CHAT, &asking).await.status, 200);
    }
    let all = eventually("three rows are written", || async {
        let rows = get(gateway, "/spend/logs").await;
        (rows.as_array()?.len() == 3).then_some(rows)
    })
    .await;
    let row = &all[1];
    assert_eq!(
        (&row["status"], &row["model_group"], &row["total_tokens"]),
        (&json!("success"), &json!(MODEL), &json!(1000))
    );
    assert_eq!(nano(&row["spend"]), 1_000_000);
    for (filter, count) in [
        (format!("api_key={}", mine["key"].as_str().unwrap()), 2),
        (format!("api_key={}", mine["key_id"].as_str().unwrap()), 2),
        ("user_id=ann".to_owned(), 2),
        ("user_id=nobody".to_owned(), 0),
        (format!("request_id={}", row["request_id"].as_str().unwrap()), 1),
        ("start_date=2100-01-01".to_owned(), 0),
        ("start_date=2020-01-01&end_date=2100-01-01&summarize=false".to_owned(), 3),
    ] {
        let rows = get(gateway, &format!("/spend/logs?{filter}")).await;
        assert_eq!(rows.as_array().unwrap().len(), count, "{filter}");
    }
    // The requests may lie on both sides of midnight.
    let days = get(gateway, "/spend/logs?start_date=2020-01-01&end_date=2100-01-01").await;
    let days = days.as_array().unwrap();
    let sum =
        |of: &dyn Fn(&Value) -> &Value| days.iter().map(of).filter(|value| !value.is_null()).map(nano).sum::<i64>();
    assert_eq!(sum(&|day| &day["spend"]), 3_000_000);
    assert_eq!(sum(&|day| &day["users"]["ann"]), 2_000_000);
    assert_eq!(sum(&|day| &day["models"][MODEL]), 3_000_000);

    assert_eq!(nano(&get(gateway, "/global/spend").await["spend"]), 3_000_000);
    let token = mine["token"].as_str().unwrap();
    assert_eq!(nano(&get(gateway, &format!("/global/spend?api_key={token}&model={MODEL}")).await["spend"]), 2_000_000);
    let keys = get(gateway, "/global/spend/keys?limit=1").await;
    assert_eq!(keys.as_array().unwrap().len(), 1);
    assert_eq!((&keys[0]["api_key"], &keys[0]["key_alias"]), (&mine["token"], &json!("mine")));
    assert_eq!(nano(&keys[0]["total_spend"]), 2_000_000);
    let models = get(gateway, "/global/spend/models").await;
    assert_eq!((&models[0]["model"], nano(&models[0]["total_spend"])), (&json!(format!("default/{MODEL}")), 3_000_000));
    let teams = get(gateway, "/global/spend/teams").await;
    assert_eq!((&teams["teams"], nano(&teams["total_spend_per_team"][0]["total_spend"])), (&json!(["ml"]), 2_000_000));

    for (path, status) in [
        ("/spend/logs?start_date=soon", 400),
        ("/spend/logs?start_date=2026-01-02&end_date=2026-01-01", 400),
        ("/spend/logs?api_key=sk-nobody", 404),
        ("/global/spend?group_by=team", 400),
        ("/global/spend/keys?limit=0", 400),
    ] {
        assert_eq!(admin.get(path).await.status, status, "{path}");
    }
    for path in ["/spend/logs", "/global/spend", "/global/spend/keys", "/model/info"] {
        assert_eq!(stage.alice().get(path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn models_are_told_with_their_prices_and_without_secrets() {
    let price = json!({"inputPerMillion": "2.50", "outputPerMillion": "10.00"});
    let stage = Stage::with_model(|model| model.with("price", price), |setup, _| setup).await;
    for path in ["/model/info", "/v1/model/info", "/model/info?litellm_model_id=default/gpt-test"] {
        let reply = stage.gateway.admin().get(path).await;
        assert!(!reply.text().contains(UPSTREAM_KEY));
        let data = &reply.json()["data"];
        assert_eq!(data.as_array().unwrap().len(), 1, "{path}");
        assert_eq!((&data[0]["model_name"], &data[0]["model_info"]["id"]), (&json!(MODEL), &json!("default/gpt-test")));
        assert_eq!(data[0]["model_info"]["input_cost_per_token"], json!(2.5e-6));
        assert_eq!(data[0]["litellm_params"]["api_base"], json!(stage.upstream.url()));
    }
    assert_eq!(stage.gateway.admin().get("/model/info?litellm_model_id=x").await.status, 404);
}
