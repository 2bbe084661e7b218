//! Vectors between floats and base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_llm::{
    error::{ErrorClass, UpstreamError},
    provider::{Operation, Shown},
    response,
};

fn convert(body: &str, base64_embeddings: bool) -> Result<Bytes, UpstreamError> {
    let shown = Shown { model: "m".into(), include_usage: false, base64_embeddings, ..Shown::default() };
    let body = Bytes::copy_from_slice(body.as_bytes());
    response::decode(Operation::Embeddings, &body, &shown).map(|decoded| decoded.body.to_bytes())
}

fn packed(values: &[f32]) -> String {
    STANDARD.encode(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

/// Vectors as the SDK reads them.
fn vectors(body: &[u8]) -> Vec<Vec<f32>> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let read = |item: &Value| match &item["embedding"] {
        Value::String(text) => STANDARD
            .decode(text)
            .unwrap()
            .chunks(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect(),
        Value::Array(numbers) => numbers.iter().map(|number| number.to_string().parse().unwrap()).collect(),
        other => panic!("{other}"),
    };
    body["data"].as_array().unwrap().iter().map(read).collect()
}

#[test]
fn only_the_vectors_change() {
    let floats = r#"{ "object":"list","data":[ {"object":"embedding","embedding":[ 0.5 , -1e-3,3],"index":0} , {"index":1,"embedding":[]}],"model":"m","usage":{"prompt_tokens":2}}"#;
    let base64 =
        floats.replace("[ 0.5 , -1e-3,3]", &format!("\"{}\"", packed(&[0.5, -0.001, 3.0]))).replace("[]", "\"\"");
    assert_eq!(convert(floats, true).unwrap(), base64);
    assert_eq!(convert(&base64, false).unwrap(), floats.replace("[ 0.5 , -1e-3,3]", "[0.5,-0.001,3.0]"));
    assert_eq!(convert(floats, false).unwrap(), floats);
    assert_eq!(convert(&base64, true).unwrap(), base64);
}

#[test]
fn what_is_no_vector_of_numbers_stays() {
    for data in [
        r#"[{"embedding":[[1,2],[3]]}]"#,
        r#"[{"embedding":{"float":[1]}}]"#,
        r#"[{"embedding":null}]"#,
        "[1,[],{}]",
        "[]",
    ] {
        let body = format!("{{\"data\":{data}}}");
        assert_eq!(convert(&body, true).unwrap(), body);
    }
}

#[test]
fn broken_vectors_are_the_upstreams_fault() {
    let nan = packed(&[1.0, f32::NAN]);
    let infinite = packed(&[f32::INFINITY]);
    for (embedding, to_base64) in [
        ("\"@@@\"", false),
        ("\"AAAA\"", false),
        (&format!("\"{nan}\""), false),
        (&format!("\"{infinite}\""), false),
        ("[1e39]", true),
    ] {
        let error = convert(&format!("{{\"data\":[{{\"embedding\":{embedding}}}]}}"), to_base64).unwrap_err();
        assert_eq!(error.class, ErrorClass::BadAnswer, "{embedding}");
    }
}

proptest! {
    #[test]
    fn every_float_survives_both_ways(values in proptest::collection::vec(proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL | proptest::num::f32::ZERO, 0..40)) {
        let base64 = json!({"data": [{"embedding": packed(&values), "index": 0}]}).to_string();
        let floats = convert(&base64, false).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
        prop_assert_eq!(bits(&vectors(&floats)[0]), bits(&values));
        prop_assert_eq!(convert(std::str::from_utf8(&floats).unwrap(), true).unwrap(), base64);
    }
}
