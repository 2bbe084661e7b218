//! Nothing is lost, whatever well-formed requests and answers there are.
//!
//! Where client and provider speak the same dialect, all members go on, unknown ones included ([`same`]). Where one is put into
//! the other's words, everything that is said arrives ([`asked`] of requests, [`answered`] of answers, whole and streamed).

mod answered;
mod asked;
mod clients;
mod same;
mod upstreams;

use std::sync::Arc;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value};
use turnpike_llm::{
    provider::{Dialect, Operation, ProviderKind, Shown},
    request::Request,
    usage::Usage,
};

/// What a model says in one answer, in no dialect.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    thought: String,
    text: String,
    /// Names and arguments.
    calls: Vec<(String, Map<String, Value>)>,
    /// Of the prompt and of the answer.
    tokens: (u64, u64),
}

/// Any text that is one: providers do not send empty ones.
fn text() -> impl Strategy<Value = String> {
    ".{1,12}"
}

fn said() -> impl Strategy<Value = Said> {
    let calls = vec(("[a-z]{1,8}", arguments()), 0..3);
    let tokens = (1..10_000_u64, 1..10_000_u64);
    let texts = (prop_oneof![Just(String::new()), text()], prop_oneof![Just(String::new()), text()]);
    (texts, calls, tokens).prop_map(|((thought, text), calls, tokens)| {
        // Some answer there is.
        let text = if text.is_empty() && calls.is_empty() { "Yes.".to_owned() } else { text };
        Said { thought, text, calls, tokens }
    })
}

/// Arguments of a call, nested.
fn arguments() -> impl Strategy<Value = Map<String, Value>> {
    vec((".{1,6}", super::survival::value()), 0..3).prop_map(|members| members.into_iter().collect())
}

/// A stream's bytes for the client and the usage heard, fed in pieces of `size` bytes.
fn streamed(kind: ProviderKind, operation: Operation, body: &[u8], size: usize) -> (String, Option<Usage>) {
    let mut decoder = kind.adapter().unwrap().stream(operation, shown_to(operation));
    let mut out = Vec::new();
    for frame in body.chunks(size) {
        out.extend_from_slice(&decoder.push(Bytes::copy_from_slice(frame)).unwrap());
        if decoder.finished() {
            break;
        }
    }
    out.extend_from_slice(&decoder.end().unwrap());
    (String::from_utf8(out).unwrap(), decoder.usage())
}

fn shown() -> Shown {
    Shown { model: Arc::from("shown"), include_usage: true, call_id: Arc::from("call-1"), ..Shown::default() }
}

/// Clients of Gemini's want to see thoughts.
fn shown_to(operation: Operation) -> Shown {
    let thoughts = r#"{"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}"#;
    let asked = Request::scan_contents(Bytes::from_static(thoughts.as_bytes()), false).unwrap();
    match operation.dialect() {
        Dialect::Gemini => Shown { repeated: Shown::repeated(operation, &asked), ..shown() },
        _ => shown(),
    }
}

/// The events' data of a stream of JSON.
fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}
