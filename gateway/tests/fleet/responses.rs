//! Answers of `/v1/responses` that one gateway has kept, gone on from at another.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use turnpike_testkit::{Client, manifest, postgres};

use crate::stage::{Fleet, KEY};

const RESPONSES: &str = "/v1/responses";
const OTHER: &str = "sk-other-0123456789abcdef";

fn say(text: &str, previous: Option<&Value>) -> Value {
    json!({"model": "small", "input": text, "previous_response_id": previous})
}

async fn delete(client: &Client, target: &str) -> u16 {
    client.send(client.request(Method::DELETE, target).body(Bytes::new()).unwrap()).await.status
}

#[tokio::test]
async fn a_conversation_goes_on_at_another_gateway_and_belongs_to_its_key() {
    let objects = [manifest::key("fleet", KEY), manifest::key("other", OTHER)];
    let database = postgres::database().await;
    let fleet = Fleet::with(2, database, &objects, &["--response-store-days=7"]).await;
    let (one, two) = (fleet.client(0), fleet.client(1));
    let first = one.post(RESPONSES, &say("My name is Ann", None)).await;
    assert_eq!((first.status, &first.json()["store"]), (200, &json!(true)), "{first:?}");
    let id = first.json()["id"].clone();
    let second = two.post(RESPONSES, &say("Who am I?", Some(&id))).await;
    assert_eq!((second.status, &second.json()["previous_response_id"]), (200, &id), "{second:?}");
    let asked = fleet.upstream.log().last().unwrap().json()["messages"].clone();
    let roles: Vec<_> = asked.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"], "{asked}");
    assert_eq!((&asked[0]["content"], &asked[1]["content"]), (&json!("My name is Ann"), &json!("Hi")), "{asked}");

    let path = format!("{RESPONSES}/{}", id.as_str().unwrap());
    let shown = two.get(&path).await;
    assert_eq!((shown.status, shown.json()), (200, first.json()));
    let other = two.with_key(OTHER);
    let refused = other.post(RESPONSES, &say("Who is it?", Some(&id))).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "previous_response_not_found"));
    assert_eq!((other.get(&path).await.status, delete(&other, &path).await), (404, 404));
    assert_eq!((delete(&one, &path).await, two.get(&path).await.status), (200, 404));
}
