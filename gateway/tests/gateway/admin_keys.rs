//! Keys made over the admin API: live at once, kept over a restart, limited like those of manifests, which they never touch.

use futures_util::future::join_all;
use serde_json::{Value, json};
use turnpike_testkit::{Client, Gateway, Script, client::Reply, manifest, upstream::Usage, wait::eventually};

use crate::stage::{ALICE, CHAT, MODEL, Stage, chat, setup, with};

/// A key that a client chose.
const CHOSEN: &str = "sk-chosen-0123456789abcdef";

/// 1 USD per million tokens either way.
async fn priced() -> Stage {
    let price = json!({"inputPerMillion": "1.00", "outputPerMillion": "1.00"});
    Stage::with_model(|model| model.with("price", price), |setup, _| setup).await
}

async fn made(gateway: &Gateway, body: &Value) -> Value {
    let reply = gateway.admin().post("/key/generate", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn with_key(gateway: &Gateway, key: &Value) -> Client {
    gateway.client().with_key(key["key"].as_str().unwrap())
}

/// A request that may use little.
fn few() -> Value {
    with(chat(), "max_tokens", json!(10))
}

fn code(reply: &Reply) -> (u16, Value, Value) {
    let error = &reply.json()["error"];
    (reply.status, error["code"].clone(), error["param"].clone())
}

async fn info(gateway: &Gateway, key: &str) -> Value {
    let reply = gateway.admin().get(&format!("/key/info?key={key}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["info"].clone()
}

#[tokio::test]
async fn a_key_works_at_once_and_after_a_restart_and_its_text_is_kept_nowhere() {
    let stage = priced().await;
    let asked = json!({
        "key_alias": "Chat Bot", "models": [MODEL], "max_budget": 12.5, "budget_duration": "30d", "rpm_limit": 60,
        "tpm_limit": 100_000, "max_parallel_requests": 4, "model_rpm_limit": {MODEL: 10}, "duration": "30d", "team_id": "ml",
        "user_id": "ann", "metadata": {"owner": "ann", "deep": {"er": [1]}}, "tags": ["project:chatbot"],
        "soft_budget": null, "aliases": {}, "permissions": {}, "guardrails": [],
    });
    let key = made(&stage.gateway, &asked).await;
    let text = key["key"].as_str().unwrap().to_owned();
    assert!(text.starts_with("sk-") && text.len() > 40, "{text}");
    for name in [
        "key_alias",
        "models",
        "max_budget",
        "budget_duration",
        "rpm_limit",
        "tpm_limit",
        "max_parallel_requests",
        "model_rpm_limit",
        "team_id",
        "user_id",
        "metadata",
        "tags",
    ] {
        assert_eq!(key[name], asked[name], "{name}");
    }
    assert_eq!(key["token"], manifest::sha256(&text));
    assert_eq!((&key["source"], &key["blocked"]), (&json!("api"), &json!(false)));
    assert!(key["object"].as_str().unwrap().starts_with("default/chat-bot-"), "{}", key["object"]);
    assert!(key["budget_reset_at"].as_str().unwrap().ends_with("-01T00:00:00Z"), "{}", key["budget_reset_at"]);
    // No wait: the answer came when it was served.
    assert_eq!(with_key(&stage.gateway, &key).post(CHAT, &few()).await.status, 200);
    let models = with_key(&stage.gateway, &key).get("/v1/models").await.json();
    assert_eq!(models["data"].as_array().unwrap().len(), 1);

    let Stage { upstream: _upstream, mut gateway } = stage;
    gateway.process.signal("KILL");
    assert!(!gateway.process.exit().await.success());
    let gateway = gateway.restart().await;
    assert_eq!(with_key(&gateway, &key).post(CHAT, &few()).await.status, 200);
    let again = info(&gateway, &text).await;
    for (name, value) in key.as_object().unwrap() {
        assert!(["key", "spend"].contains(&name.as_str()) || again[name] == *value, "{name}: {} {value}", again[name]);
    }
    assert_eq!(again["token"], info(&gateway, key["token"].as_str().unwrap()).await["token"]);
    for entry in std::fs::read_dir(gateway.process.data()).unwrap().filter_map(Result::ok) {
        let Ok(bytes) = std::fs::read(entry.path()) else { continue };
        assert!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()), "{:?} has the key", entry.path());
    }
    gateway.write("more.yaml", &manifest::mock("more", "Hi").yaml());
    eventually("the folder is read again", || async {
        (gateway.admin().get("/v1/models/more").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(with_key(&gateway, &key).post(CHAT, &few()).await.status, 200);
}

#[tokio::test]
async fn every_spelling_of_a_window_holds() {
    let stage = priced().await;
    let answer = Script::chat("Hi").usage(Usage { prompt: 10, completion: 990, cached: 0, reasoning: 0 });
    stage.upstream.always("upstream-gpt", answer);
    let asking = with(chat(), "max_tokens", json!(1000));
    for (spelled, window, shown) in [
        (json!("daily"), "per Day", json!("daily")),
        (json!("7d"), "per Week", json!("7d")),
        (json!("30d"), "per Month", json!("30d")),
        (json!("1mo"), "per Month", json!("1mo")),
        (Value::Null, "", Value::Null),
    ] {
        // 2,000 tokens.
        let key = made(&stage.gateway, &json!({"max_budget": 0.002, "budget_duration": spelled})).await;
        assert_eq!(key["budget_duration"], shown);
        let client = with_key(&stage.gateway, &key);
        assert_eq!(client.post(CHAT, &asking).await.status, 200);
        // What is left is not enough for all that is asked for: it is cut down, and uses all of it.
        assert_eq!(client.post(CHAT, &asking).await.status, 200);
        let refused = client.post(CHAT, &asking).await;
        assert_eq!(refused.status, 429, "{spelled}: {}", refused.text());
        let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("0.002 USD") && message.contains(window), "{spelled}: {message}");
        let text = key["key"].as_str().unwrap();
        eventually("the spend is shown", || async {
            (info(&stage.gateway, text).await["spend"].as_f64()? >= 0.001).then_some(())
        })
        .await;
        // More of it is live at once, too.
        let more = json!({"key": text, "max_budget": 1});
        let reply = stage.gateway.admin().post("/key/update", &more).await;
        assert_eq!((reply.status, &reply.json()["budget_duration"]), (200, &shown), "{}", reply.text());
        assert_eq!(client.post(CHAT, &asking).await.status, 200);
    }
    let refused =
        stage.gateway.admin().post("/key/generate", &json!({"max_budget": 1, "budget_duration": "13d"})).await;
    assert_eq!(code(&refused), (400, json!("invalid_value"), json!("budget_duration")));
}

#[tokio::test]
async fn what_a_key_may_do_changes_at_once() {
    let stage = Stage::new().await;
    let admin = stage.gateway.admin();
    let key = made(&stage.gateway, &json!({"key": CHOSEN, "key_alias": "one", "rpm_limit": 5, "user_id": "ann"})).await;
    let client = with_key(&stage.gateway, &key);
    assert_eq!(client.post(CHAT, &chat()).await.status, 200);
    for (path, body, status) in [
        ("/key/block", json!({"key": CHOSEN}), 401),
        ("/key/unblock", json!({"key": key["token"]}), 200),
        ("/key/update", json!({"key": CHOSEN, "models": ["another"], "rpm_limit": null}), 404),
        ("/key/update", json!({"key": CHOSEN, "models": []}), 200),
        ("/key/update", json!({"key": CHOSEN, "duration": "0s"}), 401),
        ("/key/update", json!({"key": CHOSEN, "duration": "-1"}), 200),
    ] {
        let reply = admin.post(path, &body).await;
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.text());
        assert_eq!(client.post(CHAT, &chat()).await.status, status, "{path} {body}");
    }
    let now = info(&stage.gateway, CHOSEN).await;
    assert_eq!((&now["rpm_limit"], &now["user_id"], &now["expires"]), (&Value::Null, &json!("ann"), &Value::Null));

    let replaced = admin.post(&format!("/key/{CHOSEN}/regenerate"), &json!({})).await.json();
    assert_ne!(replaced["key"], json!(CHOSEN));
    assert_eq!(replaced["key_id"], key["key_id"], "spend and limits go on");
    assert_eq!(client.post(CHAT, &chat()).await.status, 401);
    assert_eq!(with_key(&stage.gateway, &replaced).post(CHAT, &chat()).await.status, 200);

    let listed = admin.get("/key/list?return_full_object=true&key_alias=one").await.json();
    assert_eq!((&listed["total_count"], &listed["keys"][0]["token"]), (&json!(1), &replaced["token"]));
    let all = admin.get("/key/list?size=1&page=2").await.json();
    assert_eq!((&all["total_count"], &all["total_pages"]), (&json!(2), &json!(2)));
    assert_eq!(admin.post("/key/delete", &json!({"key_aliases": ["one"]})).await.status, 200);
    assert_eq!(with_key(&stage.gateway, &replaced).post(CHAT, &chat()).await.status, 401);
    assert_eq!(admin.get(&format!("/key/info?key={CHOSEN}")).await.status, 404);
}

#[tokio::test]
async fn of_calls_at_one_time_for_one_alias_one_makes_a_key() {
    let stage = Stage::new().await;
    let admin = stage.gateway.admin();
    let body = json!({"key_alias": "wanted"});
    let replies = join_all((0..12).map(|_| admin.post("/key/generate", &body))).await;
    let made: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(made.len(), 1);
    assert!(replies.iter().all(|reply| reply.status == 200 || code(reply).1 == "alias_taken"));
    assert_eq!(with_key(&stage.gateway, &made[0].json()).post(CHAT, &chat()).await.status, 200);
    assert_eq!(admin.get("/key/list?key_alias=wanted").await.json()["total_count"], 1);
}

#[tokio::test]
async fn objects_of_manifests_are_not_touched() {
    let stage = Stage::new().await;
    let admin = stage.gateway.admin();
    let shown = info(&stage.gateway, ALICE).await;
    assert_eq!((&shown["key_alias"], &shown["source"]), (&json!("alice"), &json!("manifest objects-0.yaml")));
    for (path, body) in [
        ("/key/update", json!({"key": ALICE, "models": []})),
        ("/key/block", json!({"key": ALICE})),
        ("/key/regenerate", json!({"key": ALICE})),
        ("/key/delete", json!({"keys": [ALICE]})),
    ] {
        let refused = admin.post(path, &body).await;
        assert_eq!(code(&refused), (409, json!("managed_by_manifest"), Value::Null), "{path}");
        let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("VirtualKey default/alice") && message.contains("objects-0.yaml"), "{message}");
    }
    // Nor is another made with its text, or under its name.
    let twice = admin.post("/key/generate", &json!({"key": ALICE})).await;
    assert_eq!(code(&twice), (400, json!("invalid_value"), Value::Null), "{}", twice.text());
    let named = admin.post("/key/generate", &json!({"key_alias": "alice"})).await;
    assert_eq!(code(&named), (409, json!("alias_taken"), json!("key_alias")));
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_by_name() {
    let stage = Stage::new().await;
    let admin = stage.gateway.admin();
    for (field, value) in [
        ("max_budget", json!(0)),
        ("max_budget", json!("ten")),
        ("soft_budget", json!(5)),
        ("budget_duration", json!("30d")),
        ("budget_id", json!("nobody-made-it")),
        ("duration", json!("soon")),
        ("rpm_limit", json!(0)),
        ("rpm_limit", json!(1_000_000_000)),
        ("models", json!(["all-team-models"])),
        ("models", json!(["with spaces"])),
        ("tags", json!(["plain"])),
        ("aliases", json!({"gpt-4": "gpt-4o"})),
        ("guardrails", json!(["pii"])),
        ("metadata", json!({"tags": ["a"]})),
        ("key", json!("short")),
        ("key_type", json!("management")),
        ("auto_rotate", json!(true)),
        ("max_budgte", json!(1)),
    ] {
        let refused = admin.post("/key/generate", &json!({field: value})).await;
        assert_eq!(code(&refused), (400, json!("invalid_value"), json!(field)), "{field} {}", refused.text());
    }
    assert_eq!(admin.post_bytes("/key/generate", "[]").await.status, 400);
    assert_eq!(admin.get("/key/list?sort_by=spend").await.status, 400);
    assert_eq!(admin.get("/key/list").await.json()["total_count"], 1, "nothing was made");
}

#[tokio::test]
async fn only_the_admin_key_opens_it_and_only_where_it_can_keep_something() {
    let stage = Stage::new().await;
    for (client, status) in [(stage.gateway.client(), 401), (stage.alice(), 403)] {
        for path in ["/key/list", "/key/info?key=x"] {
            assert_eq!(client.get(path).await.status, status, "{path}");
        }
        let reply = client.post("/key/generate", &json!({})).await;
        assert_eq!((reply.status, reply.json()["error"]["type"].clone()), (status, json!("invalid_request_error")));
    }
    // Where PostgreSQL keeps the books; it is not asked for anything here.
    let beside = setup().arg("--database-url").arg("postgres://nobody@127.0.0.1:1/none").start().await;
    let absent = beside.admin().post("/key/generate", &json!({})).await;
    assert_eq!(code(&absent), (404, json!("no_admin_api"), Value::Null));
    assert!(absent.text().contains("VirtualKey"), "{}", absent.text());
}
