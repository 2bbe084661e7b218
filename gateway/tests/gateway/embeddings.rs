//! Embeddings: whatever the upstream sends, the client gets the encoding that it asked for, value by value.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use turnpike_testkit::{Script, spend};

use crate::stage::{MODEL, Stage, with};

const EMBEDDINGS: &str = "/v1/embeddings";

/// What the upstream means, straight from it.
fn expected(index: u16) -> Vec<f32> {
    vec![0.1 + f32::from(index), -1.0 / 3.0, 1.0e-7, f32::MIN_POSITIVE, 12345.678, 0.0]
}

fn decode(embedding: &Value) -> Vec<f32> {
    match embedding {
        Value::String(text) => {
            let bytes = STANDARD.decode(text).unwrap();
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
        }
        #[expect(clippy::cast_possible_truncation, reason = "as every client does that wants f32")]
        Value::Array(numbers) => numbers.iter().map(|number| number.as_f64().unwrap() as f32).collect(),
        other => panic!("neither text nor numbers: {other}"),
    }
}

#[tokio::test]
async fn come_in_the_encoding_that_was_asked_for() {
    let stage = Stage::new().await;
    let plain = json!({"model": MODEL, "input": ["a", "b", "c"]});
    let float = with(plain.clone(), "encoding_format", json!("float"));
    let base64 = with(plain.clone(), "encoding_format", json!("base64"));
    for (body, coded) in [(plain, false), (float, false), (base64, true)] {
        for sent in ["float", "base64"] {
            stage.upstream.next(Script::default().embeddings_as(sent));
            let reply = stage.alice().post(EMBEDDINGS, &body).await.json();
            assert_eq!((&reply["object"], &reply["model"]), (&json!("list"), &json!(MODEL)));
            for (index, entry) in reply["data"].as_array().unwrap().iter().enumerate() {
                assert_eq!(entry["embedding"].is_string(), coded, "{body} from {sent}");
                assert_eq!(entry["index"], index);
                assert_eq!(decode(&entry["embedding"]), expected(u16::try_from(index).unwrap()), "{body} from {sent}");
            }
            assert_eq!(reply["usage"]["prompt_tokens"], 10);
        }
    }
}

#[tokio::test]
async fn of_a_large_batch_are_whole() {
    let stage = Stage::new().await;
    let inputs: Vec<String> = (0..20_000).map(|index| format!("text {index}")).collect();
    let body = json!({"model": MODEL, "input": inputs, "encoding_format": "base64"});
    stage.upstream.next(Script::default().embeddings_as("float"));
    let reply = stage.alice().post(EMBEDDINGS, &body).await;
    assert_eq!(reply.status, 200);
    let reply = reply.json();
    let data = reply["data"].as_array().unwrap();
    assert_eq!(data.len(), 20_000);
    assert_eq!(decode(&data[19_999]["embedding"]), expected(19_999));
}

#[tokio::test]
async fn take_tokens_and_are_logged() {
    let stage = Stage::new().await;
    let reply = stage.alice().post(EMBEDDINGS, &json!({"model": MODEL, "input": [1, 2, 3], "dimensions": 6})).await;
    assert_eq!(reply.json()["data"].as_array().unwrap().len(), 1);
    let sent = stage.upstream.only().json();
    assert_eq!((&sent["input"], &sent["dimensions"]), (&json!([1, 2, 3]), &json!(6)));
    let rows = spend::rows(
        &stage.gateway.database(),
        ("spend", "sequence"),
        &["operation", "prompt_tokens", "completion_tokens"],
        1,
    )
    .await;
    assert_eq!(rows[0], json!({"operation": "embeddings", "prompt_tokens": 10, "completion_tokens": 0}));
}
