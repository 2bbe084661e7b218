//! A whole answer as Gemini's clients read it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::signature;
use crate::{
    chat::{Answer, Content, Finish, FinishReason, Source, ToolCall},
    inbound::GEMINI_THOUGHTS,
    json,
    provider::Shown,
    usage::Usage,
};

/// Google's words for an answer that was withheld.
const WITHHELD: &[&str] = &[
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
];

/// Writes it.
pub(in crate::inbound) fn write(answer: &Answer, shown: &Shown) -> Vec<u8> {
    let candidates = answer.choices.iter().zip(0..).map(|(choice, index)| Candidate {
        finish_reason: Some(finish(&choice.finish)),
        grounding_metadata: Grounding::of(&choice.annotations),
        logprobs_result: choice.logprobs.as_deref().and_then(|logprobs| Logprobs::of([logprobs])),
        ..Candidate::saying(choice.content.iter().filter_map(|content| Part::of(content, shown)).collect(), index)
    });
    let body = Body {
        candidates: candidates.collect(),
        usage_metadata: answer.usage.as_ref().map(Counts::of),
        ..Body::begun(answer.id.as_deref(), shown)
    };
    // Serialising these types cannot fail: no maps with other keys than strings, no numbers that are none.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// An answer, or a piece of one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    pub(super) candidates: Vec<Candidate<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage_metadata: Option<Counts>,
    pub(super) model_version: &'a str,
    pub(super) response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    pub(super) content: Said<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_reason: Option<&'a str>,
    pub(super) index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grounding_metadata: Option<Grounding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs_result: Option<Logprobs>,
}

#[derive(Serialize)]
pub(super) struct Said<'a> {
    parts: Vec<Part<'a>>,
    role: &'static str,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    thought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<FileData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileData<'a> {
    file_uri: &'a str,
}

#[derive(Serialize)]
struct Call<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: &'a str,
    args: Box<RawValue>,
}

/// `usageMetadata`; thoughts are counted beside the answer.
#[derive(Serialize)]
pub(super) struct Counts {
    #[serde(rename = "promptTokenCount")]
    prompt: u64,
    #[serde(rename = "candidatesTokenCount")]
    candidates: u64,
    #[serde(rename = "totalTokenCount")]
    total: u64,
    #[serde(rename = "cachedContentTokenCount", skip_serializing_if = "is_zero")]
    cached: u64,
    #[serde(rename = "thoughtsTokenCount", skip_serializing_if = "is_zero")]
    thoughts: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// What is shown.
    pub(super) fn of(usage: &Usage) -> Self {
        Self {
            prompt: usage.prompt,
            candidates: usage.completion.saturating_sub(usage.reasoning),
            total: usage.prompt.saturating_add(usage.completion),
            cached: usage.cached,
            thoughts: usage.reasoning,
        }
    }
}

impl<'a> Body<'a> {
    /// With nothing said yet.
    pub(super) fn begun(id: Option<&'a str>, shown: &'a Shown) -> Self {
        Self {
            candidates: Vec::new(),
            usage_metadata: None,
            model_version: &shown.model,
            response_id: id.unwrap_or(&shown.call_id),
        }
    }
}

impl<'a> Candidate<'a> {
    /// Google's clients take a content without parts for a broken one.
    pub(super) fn saying(mut parts: Vec<Part<'a>>, index: u32) -> Self {
        if parts.is_empty() {
            parts.push(Part::text(""));
        }
        let content = Said { parts, role: "model" };
        Self { content, finish_reason: None, index, grounding_metadata: None, logprobs_result: None }
    }
}

impl<'a> Part<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self { text: Some(text), ..Self::default() }
    }

    /// A thought, as far as the client wants to see any.
    pub(super) fn thought(text: &'a str, signature: Option<Cow<'a, str>>, shown: &Shown) -> Option<Self> {
        let text = Some(text).filter(|text| !text.is_empty());
        let is_shown = shown.repeated == GEMINI_THOUGHTS && (text.is_some() || signature.is_some());
        is_shown.then(|| Self { text, thought: true, thought_signature: signature, ..Self::default() })
    }

    pub(super) fn call(call: &'a ToolCall) -> Self {
        let function_call = Some(Call { id: &call.id, name: &call.name, args: call.input() });
        let thought_signature = call.signature.as_deref().map(Cow::Borrowed);
        Self { function_call, thought_signature, ..Self::default() }
    }

    /// Media that the model made.
    pub(super) fn media(source: &'a Source) -> Self {
        match source {
            Source::Inline { media_type, data } => {
                Self { inline_data: Some(Blob { mime_type: media_type, data }), ..Self::default() }
            }
            Source::Url(uri) | Source::File(uri) => {
                Self { file_data: Some(FileData { file_uri: uri }), ..Self::default() }
            }
        }
    }

    fn of(content: &'a Content, shown: &Shown) -> Option<Self> {
        match content {
            Content::Text(text) | Content::Refusal(text) => (!text.is_empty()).then(|| Self::text(text)),
            Content::Thinking { text, signature } => {
                let signature = signature.as_deref().map(|signature| Cow::Owned(signature::shown(signature)));
                Self::thought(text, signature, shown)
            }
            Content::RedactedThinking(data) => Self::thought("", Some(signature::redacted(data).into()), shown),
            Content::ToolCall(call) => Some(Self::call(call)),
            Content::Image { source, .. } | Content::Audio(source) => Some(Self::media(source)),
            // Not what a model says.
            Content::Document { .. } | Content::ToolResult { .. } => None,
        }
    }
}

/// `finishReason`.
pub(super) fn finish(finish: &Finish) -> &str {
    match &finish.reason {
        FinishReason::Stop | FinishReason::StopSequence(_) | FinishReason::ToolCalls => "STOP",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => {
            finish.native.as_deref().filter(|native| WITHHELD.contains(native)).unwrap_or("SAFETY")
        }
    }
}

/// `groundingMetadata`: the pages that were cited.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grounding {
    grounding_chunks: Vec<Chunk>,
}

#[derive(Serialize)]
struct Chunk {
    web: Page,
}

#[derive(Serialize)]
struct Page {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

impl Grounding {
    /// Of OpenAI's annotations; `None` = no page is cited.
    pub(super) fn of(annotations: &[Box<RawValue>]) -> Option<Self> {
        let page = |annotation: &RawValue| {
            let text = annotation.get().as_bytes();
            let members = json::scan(text).ok()?;
            let page = json::member(text, &members, "url_citation")?;
            let members = json::scan(page).ok()?;
            let string = |name: &str| Some(json::as_str(json::member(page, &members, name)?)?.into_owned());
            Some(Chunk { web: Page { uri: string("url")?, title: string("title") } })
        };
        let grounding_chunks: Vec<Chunk> = annotations.iter().filter_map(|annotation| page(annotation)).collect();
        (!grounding_chunks.is_empty()).then_some(Self { grounding_chunks })
    }
}

/// `logprobsResult`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Logprobs {
    chosen_candidates: Vec<Token>,
    top_candidates: Vec<Top>,
}

#[derive(Serialize)]
struct Top {
    candidates: Vec<Token>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    token: String,
    log_probability: serde_json::Number,
}

impl Logprobs {
    /// Of OpenAI's objects, one after the other; `None` = they hold none.
    pub(super) fn of<'a>(all: impl IntoIterator<Item = &'a RawValue>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Shape {
            content: Option<Vec<Chosen>>,
        }
        #[derive(Deserialize)]
        struct Chosen {
            token: String,
            logprob: serde_json::Number,
            #[serde(default)]
            top_logprobs: Vec<Other>,
        }
        #[derive(Deserialize)]
        struct Other {
            token: String,
            logprob: serde_json::Number,
        }
        let mut result = Self { chosen_candidates: Vec::new(), top_candidates: Vec::new() };
        let shapes = all.into_iter().filter_map(|raw| serde_json::from_str::<Shape>(raw.get()).ok());
        for chosen in shapes.filter_map(|shape| shape.content).flatten() {
            result.chosen_candidates.push(Token { token: chosen.token, log_probability: chosen.logprob });
            let others = chosen.top_logprobs.into_iter();
            let candidates = others.map(|Other { token, logprob }| Token { token, log_probability: logprob }).collect();
            result.top_candidates.push(Top { candidates });
        }
        (!result.chosen_candidates.is_empty()).then_some(result)
    }
}
