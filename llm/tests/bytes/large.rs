//! Large whole answers: the same result as the collected path, wherever frames are cut.

use bytes::Bytes;
use proptest::prelude::*;
use turnpike_llm::{
    provider::{Operation, Shown},
    response::{self, LargeAnswer},
    stream::StreamDecoder,
    usage::Usage,
};

fn shown() -> Shown {
    Shown { model: "shown \"name\"".into(), ..Shown::default() }
}

fn pass(body: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<Usage>, bool) {
    let mut decoder = LargeAnswer::new(&shown());
    let mut out = Vec::new();
    let mut start = 0;
    for cut in cuts.iter().copied().chain([body.len()]) {
        out.extend_from_slice(&decoder.push(Bytes::copy_from_slice(&body[start..cut])).unwrap());
        start = cut;
    }
    let whole = decoder.end().is_ok();
    (out, decoder.usage(), whole)
}

const ANSWERS: [&str; 4] = [
    r#"{"object":"list","data":[{"index":0,"embedding":[0.5,-1e3],"model":"inner"}],"model":"real","usage":{"prompt_tokens":7,"total_tokens":7}}"#,
    r#" { "id" : "x", "model" : "r\"e,}al" , "usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}},"choices":[{"message":{"content":"\\\"model\":{[,"}}] } "#,
    r#"{"usage":null,"choices":[],"model":null}"#,
    r#"{"choices":[{"text":"usage"}],"model":"m","model_extra":1,"us\u0061ge":2}"#,
];

#[test]
fn gives_what_the_collected_path_gives() {
    for answer in ANSWERS {
        let operation = if answer.contains("\"data\"") { Operation::Embeddings } else { Operation::Chat };
        let collected = response::decode(operation, &Bytes::from(answer), &shown()).unwrap();
        let (out, usage, whole) = pass(answer.as_bytes(), &[]);
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(&out), value(&collected.body.to_bytes()), "{answer}");
        assert_eq!(usage, collected.usage, "{answer}");
        assert!(whole);
    }
}

#[test]
fn cuts_make_no_difference_and_a_cut_answer_is_an_error() {
    for answer in ANSWERS {
        let body = answer.trim_end().as_bytes();
        let expected = pass(body, &[]);
        for cut in 0..=body.len() {
            assert_eq!(pass(body, &[cut]), expected, "cut at {cut}");
        }
        for end in 0..body.len() {
            assert!(!pass(&body[..end], &[]).2, "ended at {end}");
        }
    }
}

proptest! {
    #[test]
    fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200usize) {
        pass(&body, &[cut.min(body.len())]);
    }
}
