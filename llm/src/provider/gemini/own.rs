//! Clients that speak Gemini's dialect themselves: what they say goes on with few changes, and so does what they are answered.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;

use super::{error, wire};
use crate::{
    chat::signature::SKIP,
    error::UpstreamError,
    inbound::gemini::signature::ENCODED_MARK,
    json::{self, Member, Span, Visitor},
    provider::{Decoded, Operation, Shown, Target},
    request::{
        Request,
        contents::{self, CONFIG, LIMIT},
    },
    response::bad_answer,
    splice::{self, Editor, Splices},
    usage::Usage,
};

/// Members for the gateway or in the URL, which Google refuses.
const DROPPED: &[&str] = &["model", "metadata", "user", "stream", "stream_options", "messages", "reasoning_effort"];

/// Settings as a backend's own wishes name them, and as Google does.
const SETTINGS: &[(&str, &str)] = &[
    ("max_completion_tokens", "maxOutputTokens"),
    ("max_tokens", "maxOutputTokens"),
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("n", "candidateCount"),
    ("stop", "stopSequences"),
    ("seed", "seed"),
    ("frequency_penalty", "frequencyPenalty"),
    ("presence_penalty", "presencePenalty"),
    ("thinking_config", "thinkingConfig"),
    ("thinkingConfig", "thinkingConfig"),
    ("response_modalities", "responseModalities"),
    ("media_resolution", "mediaResolution"),
];

/// The request as it goes on; `name` = the model's with its folder.
pub(super) fn encode(operation: Operation, request: &Request, target: &Target<'_>, name: &str) -> Splices {
    let mut edit = request.edit();
    if request.has_gateway_only() {
        edit.strip_gateway_only();
    }
    target.params.apply(&mut edit);
    for name in DROPPED {
        edit.delete(name);
    }
    if operation == Operation::CountContent {
        counted(&mut edit, name);
    } else {
        settings(&mut edit, target);
    }
    let body = edit.finish();
    if memmem::find(request.bytes(), ENCODED_MARK.as_bytes()).is_none() {
        return body;
    }
    without_foreign(&body.to_bytes())
}

/// A whole request whose tokens are counted names its model.
fn counted(edit: &mut Editor<'_>, name: &str) {
    let Some(key) = ["generateContentRequest", "generate_content_request"].into_iter().find(|key| edit.has(key)) else {
        return;
    };
    let Some(inner) = edit.value(key).map(Bytes::copy_from_slice) else { return };
    let members = json::scan(&inner).unwrap_or_default();
    let mut inner = Editor::new(&inner, &members);
    inner.set_string("model", name);
    let inner = inner.finish().to_bytes();
    edit.set(key, inner);
}

/// Puts the backend's own wishes where Google looks for them, unless the client wishes otherwise, and lowers the limit of the
/// output to what is allowed.
fn settings(edit: &mut Editor<'_>, target: &Target<'_>) {
    let mut wishes: Vec<(&str, Bytes)> = Vec::new();
    for (name, sent) in SETTINGS {
        let Some(value) = edit.value(name).map(Bytes::copy_from_slice) else { continue };
        edit.delete(name);
        if value != "null" && wishes.iter().all(|(known, _)| known != sent) {
            let one_stop = *sent == "stopSequences" && value.first() == Some(&b'"');
            wishes.push((sent, if one_stop { [b"[", &value[..], b"]"].concat().into() } else { value }));
        }
    }
    let key = CONFIG.into_iter().find(|key| edit.has(key)).unwrap_or(CONFIG[0]);
    let given = edit
        .value(key)
        .filter(|given| *given != b"null")
        .map_or_else(|| Bytes::from_static(b"{}"), Bytes::copy_from_slice);
    let asked = contents::asked(&given).limit;
    let wished = wishes.iter().find(|(sent, _)| *sent == LIMIT[0]).and_then(|(_, value)| json::as_count(value));
    let lowered = target.max_output_tokens.filter(|most| asked.or(wished).is_none_or(|asked| asked > *most));
    if wishes.is_empty() && lowered.is_none() {
        return;
    }
    let members = json::scan(&given).unwrap_or_default();
    let mut inner = Editor::new(&given, &members);
    for (sent, value) in wishes {
        if !inner.has(sent) && !inner.has(&snake(sent)) {
            inner.set(sent, value);
        }
    }
    if let Some(most) = lowered {
        inner.delete(LIMIT[1]);
        inner.set(LIMIT[0], most.to_string());
    }
    let settings = inner.finish().to_bytes();
    edit.set(key, settings);
}

/// `topP` as `top_p`.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Where signatures of others lie.
#[derive(Default)]
struct Foreign(Vec<Span>);

impl Visitor for Foreign {
    fn string(&mut self, key: &[u8], value: &[u8], at: usize, _depth: u32) {
        if matches!(key, b"thoughtSignature" | b"thought_signature") && value.starts_with(ENCODED_MARK.as_bytes()) {
            self.0.push(Span { start: at, end: at.saturating_add(value.len()) });
        }
    }
}

/// Google refuses what others have signed, in a conversation that began with them; by its documentation this value stands for it.
fn without_foreign(body: &Bytes) -> Splices {
    let mut foreign = Foreign::default();
    let mut members = Vec::new();
    if json::scan_into(body, &mut members, &mut foreign).is_err() {
        return Splices::from(body.clone());
    }
    let mut parts = Vec::with_capacity(foreign.0.len() * 2 + 1);
    let mut at = 0;
    for span in foreign.0 {
        parts.push(body.slice(at.min(span.start)..span.start));
        parts.push(Bytes::from_static(SKIP.as_bytes()));
        at = span.end;
    }
    parts.push(body.slice(at.min(body.len())..));
    parts.into_iter().collect()
}

/// What counts in an answer; the rest is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    usage_metadata: Option<wire::Counts>,
    #[serde(default)]
    candidates: Vec<Searched>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Searched {
    grounding_metadata: Option<Searches>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Searches {
    #[serde(default)]
    web_search_queries: Vec<serde::de::IgnoredAny>,
}

/// What an answer, or an event of one, counts: the tokens, and the searches that it took.
pub(super) fn used(answer: &[u8]) -> (Option<wire::Counts>, u64) {
    let Ok(Used { usage_metadata, candidates }) = serde_json::from_slice(answer) else { return (None, 0) };
    let searches = candidates.into_iter().filter_map(|candidate| candidate.grounding_metadata);
    (usage_metadata, searches.map(|searches| searches.web_search_queries.len() as u64).sum())
}

/// A whole answer as the client is to see it.
///
/// # Errors
/// The upstream's fault.
pub(super) fn decode(operation: Operation, body: &Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
    let members = json::scan(body).map_err(|error| bad_answer(&error))?;
    let has = |name: &str| json::member(body, &members, name).is_some();
    if operation == Operation::CountContent {
        let counted = has("totalTokens").then(|| Splices::from(body.clone()));
        let body = counted.ok_or_else(|| error::within(body, "totalTokens"))?;
        return Ok(Decoded { body, usage: Some(Usage::default()) });
    }
    if has("error") || !(has("candidates") || has("promptFeedback")) {
        return Err(error::within(body, "candidates"));
    }
    let (counts, queries) = used(body);
    let usage = counts.and_then(|counts| counts.usage(queries));
    Ok(Decoded { body: with_model(body, &members, shown), usage })
}

/// An answer with the model's shown name.
pub(super) fn with_model(answer: &Bytes, members: &[Member], shown: &Shown) -> Splices {
    let model = json::quoted(&shown.model);
    match members.iter().find(|member| member.is("modelVersion", answer)) {
        Some(named) if named.value.of(answer) != model => splice::replaced(answer, named.value, &model.into()),
        _ => Splices::from(answer.clone()),
    }
}
