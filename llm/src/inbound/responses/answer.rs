//! The response object, whole and as streams show it.

use bytes::Bytes;
use serde::Serialize;

use super::item::{self, Item, Wire};
use crate::{
    chat::{Answer, Finish, FinishReason},
    json,
    provider::Shown,
    request::Request,
    usage::Usage,
};

/// Members of the request that the answer repeats, with what they are where the client says nothing.
const REPEATED: &[(&str, &str)] = &[
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("reasoning", "{\"effort\":null,\"summary\":null}"),
    ("safety_identifier", "null"),
    ("temperature", "null"),
    ("text", "{\"format\":{\"type\":\"text\"}}"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "null"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// Those members, each behind a comma.
pub(in crate::inbound) fn repeated(request: &Request) -> Bytes {
    let mut out = Vec::with_capacity(512);
    for (name, default) in REPEATED {
        out.push(b',');
        out.extend_from_slice(&json::quoted(name));
        out.push(b':');
        let value = request.member(name).filter(|value| *value != b"null");
        out.extend_from_slice(value.unwrap_or(default.as_bytes()));
    }
    Bytes::from(out)
}

/// What of the answer there is.
pub(super) struct State<'a> {
    pub(super) status: &'static str,
    pub(super) items: &'a [Item],
    /// Why it is incomplete.
    pub(super) reason: Option<&'static str>,
    pub(super) usage: Option<&'a Usage>,
}

#[derive(Serialize)]
struct Head<'a> {
    id: String,
    object: &'static str,
    created_at: i64,
    status: &'static str,
    background: bool,
    error: (),
    incomplete_details: Option<Incomplete>,
    model: &'a str,
    output: Vec<Wire<'a>>,
    previous_response_id: Option<&'a str>,
    store: bool,
    usage: Option<Spent>,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

#[derive(Serialize)]
struct Spent {
    input_tokens: u64,
    input_tokens_details: Input,
    output_tokens: u64,
    output_tokens_details: Output,
    total_tokens: u64,
}

#[derive(Serialize)]
struct Input {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct Output {
    reasoning_tokens: u64,
}

impl Spent {
    fn of(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.prompt,
            input_tokens_details: Input {
                cached_tokens: usage.cached,
                cache_write_tokens: usage.cache_write.saturating_add(usage.cache_write_1h),
            },
            output_tokens: usage.completion,
            output_tokens_details: Output { reasoning_tokens: usage.reasoning },
            total_tokens: usage.total(),
        }
    }
}

/// A whole answer. This dialect knows one choice only.
pub(in crate::inbound) fn write(answer: &Answer, shown: &Shown) -> Vec<u8> {
    let choice = answer.choices.first();
    let items = choice.map(Item::all).unwrap_or_default();
    let (status, reason) = status(choice.map(|choice| &choice.finish));
    let mut out = Vec::with_capacity(1024);
    object(&State { status, items: &items, reason, usage: answer.usage.as_ref() }, shown, &mut out);
    out
}

/// How an answer that ended so is called, and why it is incomplete.
pub(super) fn status(finish: Option<&Finish>) -> (&'static str, Option<&'static str>) {
    match finish.map(|finish| &finish.reason) {
        Some(FinishReason::Length) => (item::INCOMPLETE, Some("max_output_tokens")),
        Some(FinishReason::ContentFilter) => (item::INCOMPLETE, Some("content_filter")),
        None | Some(FinishReason::Stop | FinishReason::StopSequence(_) | FinishReason::ToolCalls) => {
            (item::COMPLETED, None)
        }
    }
}

/// Writes the object.
pub(super) fn object(state: &State<'_>, shown: &Shown, out: &mut Vec<u8>) {
    // What was cut is what came last.
    let last = state.items.len().saturating_sub(1);
    let is_cut = |at| state.reason.is_some() && at == last;
    let status = |at| if is_cut(at) { item::INCOMPLETE } else { item::COMPLETED };
    let items = state.items.iter().enumerate();
    let head = Head {
        id: format!("resp_{}", shown.call_id),
        object: "response",
        created_at: shown.created,
        status: state.status,
        background: false,
        error: (),
        incomplete_details: state.reason.map(|reason| Incomplete { reason }),
        model: &shown.model,
        output: items.map(|(at, item)| item.wire(at, status(at), shown)).collect(),
        previous_response_id: shown.stored.as_ref().and_then(|stored| stored.previous.as_deref()),
        store: shown.stored.as_ref().is_some_and(|stored| stored.is_kept),
        usage: state.usage.map(Spent::of),
    };
    // Writing to memory does not fail, and neither do these types.
    let _ = serde_json::to_writer(&mut *out, &head);
    // Into the object just written.
    out.pop();
    out.extend_from_slice(&shown.repeated);
    out.push(b'}');
}
