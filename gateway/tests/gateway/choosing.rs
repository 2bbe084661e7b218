//! Who serves a request, by strategy, sender, tags, abilities and the look of the prompt: through the whole gateway, with mocks
//! that answer with their own names.

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Gateway,
    client::Reply,
    manifest::{self, Manifest},
};

use crate::stage::{ALICE, CHAT, chat, setup, with};

/// A mock that answers with its name.
fn mock(name: &str) -> Manifest {
    manifest::mock(name, name)
}

/// A route called `entry` over these models.
fn route(targets: &Value, settings: Value) -> Manifest {
    let mut route = settings;
    route["targets"] = targets.clone();
    manifest::mock("entry", "").without("mock").with("route", route)
}

fn targets(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"modelRef": {"name": name}})).collect()
}

async fn started(mut objects: Vec<Manifest>) -> (Gateway, Client) {
    objects
        .push(manifest::key("alice", ALICE).with("subject", json!({"tags": {"region": "eu", "project": "chatbot"}})));
    let gateway = setup().manifests(&objects).start().await;
    let client = gateway.client().with_key(ALICE);
    (gateway, client)
}

fn entry(text: &str) -> Value {
    with(with(chat(), "model", json!("entry")), "messages", json!([{"role": "user", "content": text}]))
}

fn answer(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

async fn served_by(client: &Client, request: &Value) -> String {
    answer(&client.post(CHAT, request).await)
}

#[tokio::test]
async fn a_pool_takes_turns_and_a_route_takes_the_cheapest_that_can() {
    let member = |name: &str| mock(name).with("modelName", "entry").with("poolStrategy", "RoundRobin");
    let (_gateway, client) = started(vec![member("a"), member("b"), member("c")]).await;
    let mut served = Vec::new();
    for _ in 0..6 {
        served.push(served_by(&client, &entry("Hi")).await);
    }
    let (mut first, mut second) = (served[..3].to_vec(), served[3..].to_vec());
    first.sort();
    second.sort();
    assert_eq!(
        (first, second),
        (vec!["a".to_owned(), "b".into(), "c".into()], vec!["a".into(), "b".into(), "c".into()])
    );

    let priced = |name: &str, price: &str| {
        mock(name).with("price", json!({"inputPerMillion": price, "outputPerMillion": price}))
    };
    let cheap = priced("cheap", "0.10").with("capabilities", json!({"vision": false, "contextWindow": 4096}));
    let (_gateway, client) = started(vec![
        cheap,
        priced("dear", "10.00").with("capabilities", json!({"contextWindow": 128_000})),
        route(&targets(&["dear", "cheap"]), json!({"strategy": "LowestCost"})),
    ])
    .await;
    assert_eq!(served_by(&client, &entry("Hi")).await, "cheap");
    assert_eq!(served_by(&client, &entry(&"word ".repeat(5_000))).await, "dear", "it does not fit the cheap one");
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
    let seen = with(entry(""), "messages", json!([{"role": "user", "content": image}]));
    assert_eq!(served_by(&client, &seen).await, "dear", "the cheap one sees nothing");
}

#[tokio::test]
async fn senders_stay_where_they_are() {
    let (_gateway, client) = started(vec![
        mock("a"),
        mock("b"),
        route(&targets(&["a", "b"]), json!({"strategy": "Weighted", "stickyBy": "Header:x-session"})),
    ])
    .await;
    let mut both = Vec::new();
    for session in 0..24 {
        let session = session.to_string();
        let mut served = Vec::new();
        for _ in 0..4 {
            let request = client.json(CHAT, &entry("Hi"), &[("x-session", &session)]);
            served.push(answer(&client.send(request).await));
        }
        assert!(served.iter().all(|one| *one == served[0]), "{session}: {served:?}");
        both.push(served.remove(0));
    }
    assert!(both.contains(&"a".to_owned()) && both.contains(&"b".to_owned()), "{both:?}");
}

#[tokio::test]
async fn tags_choose_and_a_required_one_is_never_ignored() {
    let (_gateway, client) = started(vec![
        mock("eu").with("tags", json!(["eu-region", "hipaa"])),
        mock("us").with("tags", json!(["us-region"])),
        route(&targets(&["eu", "us"]), json!({"strategy": "Weighted"})),
    ])
    .await;
    for _ in 0..8 {
        let tagged = with(entry("Hi"), "metadata", json!({"tags": ["hipaa"]}));
        assert_eq!(served_by(&client, &tagged).await, "eu");
        let request = client.json(CHAT, &entry("Hi"), &[("x-litellm-tags", "!eu-region")]);
        assert_eq!(answer(&client.send(request).await), "us");
    }
    let refused = client.post(CHAT, &with(entry("Hi"), "tags", json!(["&eu-region", "&us-region"]))).await;
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    assert!(refused.text().contains("tag"), "{}", refused.text());
}

#[tokio::test]
async fn tags_of_a_key_choose_where_a_member_has_them_and_are_labels_elsewhere() {
    let member = |name: &str, tag: &str| mock(name).with("modelName", "entry").with("tags", json!([tag]));
    let (_gateway, client) = started(vec![member("a", "region:us"), member("b", "region:eu")]).await;
    for _ in 0..8 {
        assert_eq!(served_by(&client, &entry("Hi")).await, "b");
    }
    let (_gateway, client) = started(vec![member("a", "region:us"), member("b", "region:us")]).await;
    served_by(&client, &entry("Hi")).await;
}

#[tokio::test]
async fn prompts_go_by_how_hard_they_look() {
    let complexity = json!({"simpleBelowWords": 10, "complexKeywords": ["Analyze"], "simple": "small", "medium": "mid", "complex": "big"});
    let route = route(&json!([]), json!({"strategy": "Complexity", "complexity": complexity}));
    let (_gateway, client) = started(vec![mock("small"), mock("mid"), mock("big"), route]).await;
    assert_eq!(served_by(&client, &entry("What is the capital of France?")).await, "small");
    assert_eq!(served_by(&client, &entry(&"word ".repeat(12))).await, "mid");
    assert_eq!(served_by(&client, &entry("analyze this")).await, "big");
    let messages =
        json!({"model": "entry", "max_tokens": 9, "messages": [{"role": "user", "content": "analyze this"}]});
    let reply = client.post("/v1/messages", &messages).await;
    assert_eq!(reply.json()["content"][0]["text"], "big", "{}", reply.text());
}
