//! Who is given whose answers.

use serde_json::json;
use turnpike_testkit::manifest;

use crate::stage::{ALICE, BOB, Stage, ask, chat, keys, model, setup};

const EVE: &str = "sk-eve-0123456789abcdef";

#[tokio::test]
async fn a_key_its_own_a_team_its_own_or_all() {
    for (scope, team, others) in [("Key", false, false), ("Team", true, false), ("Cluster", true, true)] {
        let eve = manifest::key("eve", EVE).with("subject", json!({"team": "sales"}));
        let stage = Stage::with(json!({"enabled": true, "scope": scope}), &[eve]).await;
        assert!(!ask(&stage.alice(), &chat("Hi")).await);
        assert!(ask(&stage.alice(), &chat("Hi")).await);
        assert_eq!(ask(&stage.bob(), &chat("Hi")).await, team, "{scope}");
        assert_eq!(ask(&stage.gateway.client().with_key(EVE), &chat("Hi")).await, others, "{scope}");
        assert_eq!(ask(&stage.gateway.admin(), &chat("Hi")).await, others, "{scope}");
    }
}

#[tokio::test]
async fn teams_of_one_name_in_two_namespaces_are_two() {
    let upstream = turnpike_testkit::upstream::Demands::default().start().await;
    let model = model(&upstream, json!({"enabled": true, "scope": "Team"})).with("visibility", "Cluster");
    let [alice, bob] = keys();
    let objects = [model, alice, bob.in_namespace("elsewhere")];
    let gateway = setup().manifests(&objects).start().await;
    let client = |key| gateway.client().with_key(key);
    assert!(!ask(&client(ALICE), &chat("Hi")).await);
    assert!(!ask(&client(BOB), &chat("Hi")).await);
    assert!(ask(&client(BOB), &chat("Hi")).await);
}
