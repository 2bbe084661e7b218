//! Several backends behind one name: shares by weight, order by priority, routes.

use serde_json::json;
use turnpike_testkit::{
    Client,
    manifest::{self, Manifest},
};

use crate::stage::{ALICE, CHAT, chat, setup, with};

/// How many of `calls` answers each of two mocks gave.
async fn split(client: &Client, model: &str, calls: usize) -> (usize, usize) {
    let mut connection = client.connect().await;
    let (mut first, mut second) = (0, 0);
    for _ in 0..calls {
        let request = client.json(CHAT, &with(chat(), "model", json!(model)), &[]);
        let reply = connection.send(request).await.unwrap().json();
        match reply["choices"][0]["message"]["content"].as_str().unwrap() {
            "first" => first += 1,
            "second" => second += 1,
            other => panic!("{other}"),
        }
    }
    (first, second)
}

fn member(name: &str, pool: &str, answer: &str) -> Manifest {
    manifest::mock(name, answer).with("modelName", pool)
}

#[tokio::test]
async fn share_by_weight_among_those_of_the_lowest_priority() {
    let objects = [
        member("a1", "shared", "first").with("weight", 3),
        member("a2", "shared", "second"),
        member("b1", "ordered", "first").with("priority", 5),
        member("b2", "ordered", "second"),
        member("c1", "drained", "first").with("weight", 0),
        member("c2", "drained", "second"),
        manifest::key("alice", ALICE),
    ];
    let gateway = setup().manifests(&objects).start().await;
    let client = gateway.client().with_key(ALICE);
    // 300 draws of 3/4: a standard deviation of 7.5.
    let (first, second) = split(&client, "shared", 300).await;
    assert!((180..=270).contains(&first), "{first}:{second}");
    assert_eq!(split(&client, "ordered", 20).await, (0, 20));
    assert_eq!(split(&client, "drained", 20).await, (0, 20));
}

#[tokio::test]
async fn routes_lead_to_their_targets() {
    let route = manifest::mock("entry", "").without("mock").with(
        "route",
        json!({"strategy": "Weighted", "targets": [
            {"modelRef": {"name": "one"}, "weight": 1},
            {"modelRef": {"name": "two"}, "weight": 1},
        ]}),
    );
    let objects = [
        route,
        manifest::mock("one", "first").with("visibility", "Internal"),
        manifest::mock("two", "second").with("visibility", "Internal"),
        manifest::key("alice", ALICE),
    ];
    let gateway = setup().manifests(&objects).start().await;
    let client = gateway.client().with_key(ALICE);
    let (first, second) = split(&client, "entry", 60).await;
    assert!(first > 5 && second > 5, "{first}:{second}");
    let direct = client.post(CHAT, &with(chat(), "model", json!("one"))).await;
    assert_eq!(direct.status, 404, "internal models are targets only");
    let reply = client.post(CHAT, &with(chat(), "model", json!("entry"))).await;
    assert_eq!(reply.json()["model"], "entry");
    let served = reply.header("x-litellm-model-id").unwrap();
    assert!(served.ends_with("one") || served.ends_with("two"), "names who served: {served}");
}

#[tokio::test]
async fn other_namespaces_see_what_is_visible_to_the_cluster_and_no_more() {
    let objects = [
        member("own", "mixed", "first").in_namespace("a"),
        member("all", "mixed", "second").with("visibility", "Cluster").in_namespace("a"),
        member("private", "private", "first").in_namespace("a"),
        member("shadowed", "shadowed", "first").with("visibility", "Cluster").in_namespace("a"),
        member("shadow", "shadowed", "second").in_namespace("b"),
        manifest::key("inside", "sk-inside-0123456789").in_namespace("a"),
        manifest::key("outside", "sk-outside-0123456789").in_namespace("b"),
        manifest::key("far", "sk-far-away-0123456789").in_namespace("c"),
    ];
    let gateway = setup().manifests(&objects).start().await;
    let inside = gateway.client().with_key("sk-inside-0123456789");
    let (first, second) = split(&inside, "mixed", 60).await;
    assert!(first > 5 && second > 5, "the own namespace uses both: {first}:{second}");
    for key in ["sk-outside-0123456789", "sk-far-away-0123456789"] {
        let client = gateway.client().with_key(key);
        assert_eq!(split(&client, "mixed", 20).await, (0, 20), "{key}");
        let hidden = client.post(CHAT, &with(chat(), "model", json!("private"))).await;
        let unknown = client.post(CHAT, &with(chat(), "model", json!("unknown"))).await;
        assert_eq!((hidden.status, unknown.status), (404, 404));
        assert_eq!(hidden.json()["error"]["code"], unknown.json()["error"]["code"]);
    }
    let outside = gateway.client().with_key("sk-outside-0123456789");
    assert_eq!(split(&outside, "shadowed", 10).await, (0, 10), "own names shadow the cluster's");
    assert_eq!(split(&inside, "shadowed", 10).await, (10, 0));
}
