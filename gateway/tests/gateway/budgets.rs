//! Limits on money and tokens: held before dispatch, settled after, told in the words that clients understand.

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Script, manifest,
    spend::query_json,
    upstream::{Gate, Usage},
    wait::eventually,
};

use crate::stage::{CHAT, Stage, chat, streamed, with};

const BOB: &str = "sk-bob-0123456789abcdef";

/// 1 USD per million tokens either way: a token costs 1,000 nano-USD.
fn price() -> Value {
    json!({"inputPerMillion": "1.00", "outputPerMillion": "1.00"})
}

async fn stage(limit: &Value) -> Stage {
    Stage::with_model(
        |model| model.with("price", price()),
        |setup, _| setup.manifests(&[manifest::key("bob", BOB).with("budget", json!([limit]))]),
    )
    .await
}

fn bob(stage: &Stage) -> Client {
    stage.gateway.client().with_key(BOB)
}

/// A request for at most so many tokens of output.
fn asking(tokens: u64) -> Value {
    with(chat(), "max_tokens", json!(tokens))
}

/// An answer that uses so many tokens.
fn using(prompt: u64, completion: u64) -> Script {
    Script::chat("Hi").usage(Usage { prompt, completion, cached: 0, reasoning: 0 })
}

/// What the store says was spent of a budget's or key's account, once it says so.
async fn spent(stage: &Stage, amount: i64) {
    let sql = "select json_object('spent', coalesce(sum(cost_nano), 0)) from spend";
    let path = stage.gateway.database();
    eventually(&format!("{amount} nano-USD in the spend log"), || async {
        (query_json(&path, sql).await?["spent"].as_i64()? == amount).then_some(())
    })
    .await;
}

async fn spent_tokens(stage: &Stage, amount: i64) {
    let sql = "select json_object('spent', sum(prompt_tokens + completion_tokens)) from spend";
    assert_eq!(query_json(&stage.gateway.database(), sql).await.unwrap()["spent"], amount);
}

#[tokio::test]
async fn an_exhausted_budget_refuses_and_says_which_and_until_when() {
    // 2,000 tokens a day.
    let stage = stage(&json!({"window": "Day", "usd": "0.002"})).await;
    stage.upstream.always("upstream-gpt", using(10, 990));
    assert_eq!(bob(&stage).post(CHAT, &asking(1000)).await.status, 200);
    let reply = bob(&stage).post(CHAT, &asking(1500)).await;
    // What was not affordable was not refused but cut down.
    assert_eq!((reply.status, reply.header("x-turnpike-max-tokens-capped").is_some()), (200, true));
    spent(&stage, 2_000_000).await;
    let calls = stage.upstream.log().len();
    let refused = bob(&stage).post(CHAT, &asking(1000)).await;
    assert_eq!(refused.status, 429);
    let error = &refused.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("budget_exceeded"), &json!("insufficient_quota")));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("VirtualKey default/bob allows 0.002 USD per Day"), "{message}");
    assert!(message.contains("0.002 are spent or held"), "{message}");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(refused.header("retry-after"), None);
    assert!(
        refused.header("x-turnpike-reset-at").unwrap().ends_with("T00:00:00Z"),
        "{:?}",
        refused.header("x-turnpike-reset-at")
    );
    assert_eq!(stage.upstream.log().len(), calls, "a refused request must not reach the upstream");
    // Another key is not concerned.
    assert_eq!(stage.alice().post(CHAT, &asking(1000)).await.status, 200);
    stage.still_serves().await;
}

#[tokio::test]
async fn a_request_that_can_never_fit_is_the_clients_fault() {
    let stage = stage(&json!({"window": "Month", "usd": "0.0002"})).await;
    let reply = bob(&stage).post(CHAT, &asking(5000)).await;
    assert_eq!((reply.status, reply.error_code()), (400, "request_exceeds_limit".to_owned()));
    assert!(stage.upstream.log().is_empty());
}

#[tokio::test]
async fn output_that_nobody_asked_for_is_capped_to_a_share_of_what_is_left() {
    let stage = stage(&json!({"window": "Month", "usd": "0.010"})).await;
    stage.upstream.always("upstream-gpt", using(10, 20));
    let reply = bob(&stage).post(CHAT, &chat()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let capped: u64 = reply.header("x-turnpike-max-tokens-capped").unwrap().parse().unwrap();
    assert!((256..=2500).contains(&capped), "{capped}");
    let sent = stage.upstream.only().json();
    let most = sent.get("max_tokens").or_else(|| sent.get("max_completion_tokens"));
    assert_eq!(most, Some(&json!(capped)), "{sent}");
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_under_a_limit_in_usd_only() {
    let stage = Stage::with(|setup, _| {
        let budget = json!([{"window": "Month", "usd": "1.00"}]);
        let tokens = json!([{"window": "Month", "tokens": 100_000}]);
        setup.manifests(&[
            manifest::key("bob", BOB).with("budget", budget),
            manifest::key("carol", "sk-carol-0123456789abcdef").with("budget", tokens),
        ])
    })
    .await;
    let reply = bob(&stage).post(CHAT, &asking(10)).await;
    assert_eq!((reply.status, reply.error_code()), (400, "model_not_priced".to_owned()));
    let carol = stage.gateway.client().with_key("sk-carol-0123456789abcdef");
    assert_eq!(carol.post(CHAT, &asking(10)).await.status, 200);
    assert_eq!(stage.alice().post(CHAT, &asking(10)).await.status, 200);
}

#[tokio::test]
async fn two_keys_share_a_budget_and_one_alone_has_its_own() {
    let stage = Stage::with_model(
        |model| model.with("price", price()),
        |setup, _| {
            let budget = manifest::budget("all", &json!({"window": "Month", "requests": 3}));
            let each = manifest::budget("each", &json!({"window": "Month", "requests": 2})).with("share", "PerKey");
            setup.manifests(&[manifest::key("bob", BOB), budget, each])
        },
    )
    .await;
    let mut answers = Vec::new();
    for client in [stage.alice(), stage.alice(), stage.alice(), bob(&stage), bob(&stage)] {
        let reply = client.post(CHAT, &asking(10)).await;
        let whose = if reply.status == 200 { String::new() } else { reply.json()["error"]["message"].to_string() };
        answers.push((reply.status, whose));
    }
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 429, 200, 429], "{answers:?}");
    assert!(answers[2].1.contains("Budget default/each"), "{answers:?}");
    assert!(answers[4].1.contains("Budget default/all"), "{answers:?}");
    // What each refused is in the books, for all of its pots together.
    let sql = "select json_group_object(id, amount) from ledger_spent join ledger_account on key = account \
               where id like '%/refused/%'";
    let expected = json!({
        "Budget/default/all/refused/Month/Calendar/UTC/": 1, "Budget/default/each/refused/Month/Calendar/UTC/": 1,
    });
    eventually("both refusals are booked", || async {
        (query_json(&stage.gateway.database(), sql).await? == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_time_zone_does_not_forget_what_was_used() {
    let month = |zone: &str| {
        let budget = manifest::budget("zoned", &json!({"window": "Month", "requests": 3}));
        budget.with("timeZone", zone).yaml()
    };
    let stage = Stage::with(|setup, _| setup.file("budget.yaml", &month("Europe/Oslo"))).await;
    for _ in 0..2 {
        assert_eq!(stage.alice().post(CHAT, &asking(10)).await.status, 200);
    }
    let sql = "select json_object('used', sum(amount)) from ledger_spent join ledger_account on key = account \
               where id = 'Budget/default/zoned/requests/Month/Calendar/Europe/Oslo/'";
    eventually("both are booked", || async {
        (query_json(&stage.gateway.database(), sql).await?["used"] == 2).then_some(())
    })
    .await;
    stage.gateway.write("budget.yaml", &month("Europe/Paris"));
    eventually("the change is in force", || async {
        let health = stage.gateway.internal().get("/health/readiness").await.json();
        (health["config"]["generation"] == 2).then_some(())
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(stage.alice().post(CHAT, &asking(10)).await.status);
    }
    assert_eq!(statuses, [200, 429]);
}

#[tokio::test]
async fn what_is_used_up_stays_so_in_another_window() {
    let budget = |limit: Value| manifest::budget("edited", &with(limit, "requests", json!(2))).yaml();
    let stage = Stage::with(|setup, _| setup.file("budget.yaml", &budget(json!({"window": "Day"})))).await;
    for status in [200, 200, 429] {
        assert_eq!(stage.alice().post(CHAT, &asking(10)).await.status, status);
    }
    // Wider, narrower, of another type, and back to one that was in use.
    let edits = [
        json!({"window": "Month"}),
        json!({"window": "Week"}),
        json!({"window": "Day", "type": "Rolling"}),
        json!({"window": "Lifetime"}),
        json!({"window": "Day"}),
    ];
    for (generation, limit) in (2..).zip(edits) {
        stage.gateway.write("budget.yaml", &budget(limit.clone()));
        eventually("the change is in force", || async {
            let health = stage.gateway.internal().get("/health/readiness").await.json();
            (health["config"]["generation"] == generation).then_some(())
        })
        .await;
        assert_eq!(stage.alice().post(CHAT, &asking(10)).await.status, 429, "{limit}");
    }
}

#[tokio::test]
async fn each_end_user_has_a_pot() {
    let stage = Stage::with(|setup, _| {
        let budget = manifest::budget("users", &json!({"window": "Day", "requests": 1}))
            .with("share", "PerUser")
            .with("scope.endUser", "*");
        setup.manifests(&[budget])
    })
    .await;
    let ask = |user: &str| with(asking(10), "user", json!(user));
    for (user, status) in [("ann", 200), ("ann", 429), ("ben", 200), ("ben", 429)] {
        assert_eq!(stage.alice().post(CHAT, &ask(user)).await.status, status, "{user}");
    }
    // Who names no user is not concerned.
    for _ in 0..2 {
        assert_eq!(stage.alice().post(CHAT, &asking(10)).await.status, 200);
    }
}

#[tokio::test]
async fn requests_with_a_tag_share_a_pot() {
    let stage = Stage::with(|setup, _| {
        let limit = json!({"window": "Day", "requests": 3});
        let budget = manifest::budget("batches", &limit).with("scope.requestTags", ["batch", "nightly"]);
        setup.manifests(&[budget, manifest::key("other", "sk-other-0123456789abcdef")])
    })
    .await;
    let (alice, other) = (stage.alice(), stage.gateway.client().with_key("sk-other-0123456789abcdef"));
    let tagged = |tags: &[&str]| with(asking(10), "metadata", json!({"tags": tags}));
    let both = tagged(&["nightly", "batch"]);
    assert_eq!(alice.post(CHAT, &both).await.status, 200);
    assert_eq!(other.post(CHAT, &with(asking(10), "tags", json!(["batch", "nightly", "x"]))).await.status, 200);
    let by_header = alice.json(CHAT, &tagged(&["batch"]), &[("x-litellm-tags", "nightly")]);
    assert_eq!(alice.send(by_header).await.status, 200);
    let refused = other.post(CHAT, &both).await;
    assert_eq!((refused.status, refused.error_code()), (429, "insufficient_quota".to_owned()));
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("batches"), "{}", refused.text());
    // Who has not all of the tags is not concerned.
    for tags in [&["batch"][..], &["nightly", "Batch"], &[]] {
        assert_eq!(alice.post(CHAT, &tagged(tags)).await.status, 200, "{tags:?}");
    }
}

#[tokio::test]
async fn end_users_that_a_client_makes_up_share_a_pot() {
    let stage = Stage::with(|setup, _| {
        let budget = manifest::budget("users", &json!({"window": "Day", "requests": 2}))
            .with("share", "PerUser")
            .with("scope.endUser", "*");
        let other = manifest::key("other", "sk-other-0123456789abcdef");
        setup.manifests(&[budget, other]).arg("--max-end-users").arg("2")
    })
    .await;
    let ask = |user: &str| with(asking(10), "user", json!(user));
    let expected = [
        ("ann", 200),
        ("ben", 200),
        ("made-up-1", 200),
        ("made-up-2", 200),
        ("made-up-3", 429),
        ("ann", 200),
        ("ann", 429),
    ];
    for (user, status) in expected {
        let reply = stage.alice().post(CHAT, &ask(user)).await;
        assert_eq!(reply.status, status, "{user}");
        if user == "made-up-3" {
            assert!(reply.text().contains("(pot others:vk_"), "{}", reply.text());
        }
    }
    let other = stage.gateway.client().with_key("sk-other-0123456789abcdef");
    assert_eq!(other.post(CHAT, &ask("made-up-3")).await.status, 200, "its users are its own");
}

#[tokio::test]
async fn budgets_narrow_the_models_of_their_keys() {
    let stage = Stage::with(|setup, upstream| {
        let budget = manifest::budget("some", &json!({"window": "Day", "requests": 100}))
            .with("allowedModels", json!(["other"]));
        setup.manifests(&[crate::stage::model("other", upstream), budget])
    })
    .await;
    assert_eq!(stage.alice().post(CHAT, &chat()).await.error_code(), "model_not_found");
    assert_eq!(stage.alice().post(CHAT, &with(chat(), "model", json!("other"))).await.status, 200);
}

#[tokio::test]
async fn what_is_held_comes_back_when_the_upstream_refuses_or_the_client_leaves() {
    // Room for one request of 900 tokens at a time.
    let stage = stage(&json!({"window": "Month", "usd": "0.0015"})).await;
    stage.upstream.next(Script::error(500, "broken", "oops"));
    assert_eq!(bob(&stage).post(CHAT, &asking(900)).await.status, 500);
    // A stream that its client leaves is paid as far as it was seen.
    let gate = Gate::default();
    stage.upstream.next(Script::chat("one two three").paced(&gate));
    gate.open(2);
    let mut stream = bob(&stage).stream(CHAT, &with(streamed(), "max_tokens", json!(900))).await;
    stream.event().await.unwrap();
    drop(stream);
    stage.settles().await;
    stage.upstream.next(using(10, 20));
    assert_eq!(bob(&stage).post(CHAT, &asking(900)).await.status, 200);
    stage.still_serves().await;
}

#[tokio::test]
async fn what_was_spent_outlives_the_gateway() {
    let stage = stage(&json!({"window": "Month", "tokens": 1000})).await;
    stage.upstream.always("upstream-gpt", using(300, 600));
    assert_eq!(bob(&stage).post(CHAT, &asking(700)).await.status, 200);
    let Stage { upstream, mut gateway } = stage;
    gateway.process.signal("TERM");
    assert!(gateway.process.exit().await.success());
    let stage = Stage { upstream, gateway: gateway.restart().await };
    let reply = bob(&stage).post(CHAT, &asking(700)).await;
    assert_eq!(reply.error_code(), "insufficient_quota", "{}", reply.text());
    assert!(reply.json()["error"]["message"].as_str().unwrap().contains(" are spent or held"), "{}", reply.text());
    spent_tokens(&stage, 900).await;
}

#[tokio::test]
async fn a_budget_that_only_tells_refuses_nobody() {
    let stage = Stage::with(|setup, _| {
        let shadow = manifest::budget("shadow", &json!({"window": "Day", "requests": 1})).with("mode", "Shadow");
        let notify = manifest::budget("notify", &json!({"window": "Day", "requests": 1})).with("onExceed", "Notify");
        setup.manifests(&[shadow, notify])
    })
    .await;
    for _ in 0..3 {
        assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    }
}

#[tokio::test]
async fn a_soft_budget_refuses_once_it_is_passed() {
    let stage = Stage::with(|setup, _| {
        let soft = manifest::budget("soft", &json!({"window": "Day", "tokens": 100})).with("enforcement", "Soft");
        setup.manifests(&[soft])
    })
    .await;
    stage.upstream.always("upstream-gpt", using(60, 60));
    // More than the limit, but what a request will use is not asked before.
    assert_eq!(stage.alice().post(CHAT, &asking(5000)).await.status, 200);
    assert_eq!(stage.alice().post(CHAT, &asking(1)).await.error_code(), "insufficient_quota");
}

#[tokio::test]
async fn an_exhausted_budget_answers_with_litellms_status_where_that_is_asked_for() {
    let budget = manifest::budget("one", &json!({"window": "Day", "requests": 1}));
    let stage = Stage::with(|setup, _| setup.manifests(&[budget]).arg("--budget-exceeded-status=422")).await;
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    let reply = stage.alice().post(CHAT, &chat()).await;
    assert_eq!((reply.status, reply.error_code()), (422, "insufficient_quota".to_owned()));
}

#[tokio::test]
async fn beyond_a_budget_that_throttles_requests_go_on_slowly() {
    let budget = manifest::budget("slow", &json!({"window": "Day", "requests": 2}))
        .with("onExceed", "Throttle")
        .with("throttle", json!({"rpm": 3}));
    let stage = Stage::with(|setup, _| setup.manifests(&[budget])).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let reply = stage.alice().post(CHAT, &chat()).await;
        statuses.push((reply.status, (reply.status != 200).then(|| reply.error_code())));
    }
    let slow = (429, Some("rate_limit_exceeded".to_owned()));
    assert_eq!(statuses, [(200, None), (200, None), (200, None), (200, None), (200, None), slow]);
}
