//! Limits count a request once, and no attempt passes them.

use serde_json::json;
use turnpike_testkit::{Client, Script, manifest, spend::query_json, upstream::Cut, wait::eventually};

use super::{CHAT, Cast, asking, broken, model, primary, using};
use crate::stage::with;

const BOB: &str = "sk-bob-0123456789abcdef";

/// The primary model and a fallback whose tokens cost ten times as much.
async fn cast(limits: &serde_json::Value) -> Cast {
    let limits = limits.clone();
    Cast::new(move |upstream| {
        let price = json!({"inputPerMillion": "10.00", "outputPerMillion": "10.00"});
        vec![
            primary(
                upstream,
                &json!([
                    {"modelRef": {"name": "dear"}, "on": ["Error"]},
                    {"modelRef": {"name": "cheap"}, "on": ["Error"]},
                ]),
            ),
            model("dear", upstream).with("price", price.clone()),
            model("cheap", upstream),
            model("lone", upstream)
                .with("retry", json!({"attempts": 0}))
                .with("fallbacks", json!([{"modelRef": {"name": "dear"}, "on": ["Error"]}])),
            manifest::key("bob", BOB).with("budget", limits),
        ]
    })
    .await
}

fn bob(cast: &Cast) -> Client {
    cast.gateway.client().with_key(BOB)
}

/// What is booked of an account of bob's.
async fn booked(cast: &Cast, unit: &str, amount: i64) {
    let sql = format!(
        "select json_object('amount', coalesce(sum(amount), 0)) from ledger_spent join ledger_account on key = account
         where id like 'VirtualKey/default/bob/{unit}/%'"
    );
    let path = cast.gateway.database();
    eventually(&format!("{amount} of {unit} booked"), || async {
        (query_json(&path, &sql).await?["amount"].as_i64()? == amount).then_some(())
    })
    .await;
}

#[tokio::test]
async fn attempts_cost_what_they_used_and_the_request_counts_once() {
    let cast = cast(&json!([{"window": "Month", "usd": "1.00"}, {"window": "Month", "requests": 2}])).await;
    // Cut after it was sent: it must be paid for, by estimate.
    cast.upstream.next_for("lone", Script::chat("Hello").cut(3, Cut::Reset));
    cast.upstream.next_for("dear", using(10, 20));
    let reply = bob(&cast).post(CHAT, &with(asking("lone"), "max_tokens", json!(100))).await;
    assert_eq!((reply.status, reply.header("x-litellm-model-id")), (200, Some("default/dear")));
    let rows = cast.rows(&["role", "cost_nano", "estimated"], 2).await;
    let first = rows[0]["cost_nano"].as_i64().unwrap();
    assert!(first > 0 && rows[0]["estimated"] == 1 && rows[0]["role"] == "retried", "{rows:?}");
    assert_eq!(rows[1], json!({"role": null, "cost_nano": 300_000, "estimated": 0}));
    booked(&cast, "usd", first + 300_000).await;
    booked(&cast, "requests", 1).await;
    let sql = "select json_group_array(json_array(cost_nano, attempts)) from litellm_logs";
    let logs = query_json(&cast.gateway.database(), sql).await.unwrap();
    assert_eq!(logs, json!([[first + 300_000, 2]]));
    // One that is refused costs nothing, and the request still counts once.
    cast.upstream.next_for("lone", broken());
    cast.upstream.next_for("dear", using(10, 20));
    assert_eq!(bob(&cast).post(CHAT, &with(asking("lone"), "max_tokens", json!(100))).await.status, 200);
    booked(&cast, "usd", first + 600_000).await;
    booked(&cast, "requests", 2).await;
    let reply = bob(&cast).post(CHAT, &asking("lone")).await;
    assert_eq!((reply.status, reply.error_code()), (429, "insufficient_quota".to_owned()));
}

#[tokio::test]
async fn what_is_too_dear_is_passed_over_for_what_is_affordable() {
    // 1,000 tokens of the cheaper ones, 100 of the dearer one: fewer than any request asks for.
    let cast = cast(&json!([{"window": "Month", "usd": "0.001"}])).await;
    let request = with(asking("primary"), "max_tokens", json!(500));
    cast.upstream.next_for("primary", broken());
    cast.upstream.next_for("cheap", using(10, 20));
    let reply = bob(&cast).post(CHAT, &request).await;
    assert_eq!((reply.status, reply.header("x-litellm-model-id")), (200, Some("default/cheap")), "{}", reply.text());
    cast.upstream.next_for("lone", broken());
    let reply = bob(&cast).post(CHAT, &with(asking("lone"), "max_tokens", json!(500))).await;
    assert_eq!((reply.status, reply.error_code()), (500, "fallback_over_budget".to_owned()), "{}", reply.text());
    assert!(reply.text().contains("it broke"), "{}", reply.text());
    assert_eq!(cast.asked(), ["primary", "cheap", "lone"]);
    // All that was held is free again.
    booked(&cast, "usd", 30_000).await;
    cast.upstream.next_for("lone", using(10, 900));
    assert_eq!(bob(&cast).post(CHAT, &with(asking("lone"), "max_tokens", json!(900))).await.status, 200);
    booked(&cast, "usd", 940_000).await;
}
