//! The items of an answer, the same for whole ones and at the end of streams.
//!
//! What proves a provider's reasoning to itself has no place of its own in this dialect. It travels where OpenAI's own
//! reasoning does, in `encrypted_content`, with a word before it; clients hand it back as it is.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    chat::{Choice, Content, Source, ToolCall, signature::ExtraContent},
    provider::Shown,
};

const SIGNATURE: &str = "signature:";
const REDACTED: &str = "redacted:";

/// An item of the answer.
#[derive(Debug)]
pub(super) enum Item {
    Message(Vec<Part>),
    Reasoning {
        text: String,
        /// `encrypted_content`.
        sealed: Option<String>,
    },
    Call(ToolCall),
    /// A generated image: base64, or its URL.
    Image(String),
}

/// A part of a message.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part {
    OutputText { text: String, annotations: Vec<Box<RawValue>>, logprobs: Vec<Box<RawValue>> },
    Refusal { refusal: String },
}

/// An item on the wire.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Wire<'a> {
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        content: &'a [Part],
    },
    Reasoning {
        id: String,
        summary: Vec<Summary<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<&'a str>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
        /// Gemini's thought signature, where its own endpoint of OpenAI's dialect has it.
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_content: Option<ExtraContent<'a>>,
    },
    ImageGenerationCall {
        id: String,
        status: &'static str,
        result: &'a str,
    },
}

/// What was thought, as far as it is shown.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary_text")]
pub(super) struct Summary<'a> {
    pub(super) text: &'a str,
}

pub(super) const COMPLETED: &str = "completed";
pub(super) const INCOMPLETE: &str = "incomplete";
pub(super) const IN_PROGRESS: &str = "in_progress";

/// Reasoning that a client hands back; `None` = nothing that its provider could read.
pub(super) fn thought(text: String, sealed: Option<&str>) -> Option<Content> {
    match sealed.map(|sealed| (sealed.strip_prefix(SIGNATURE), sealed.strip_prefix(REDACTED))) {
        Some((Some(signature), _)) => Some(Content::Thinking { text, signature: Some(signature.to_owned()) }),
        Some((_, Some(data))) => Some(Content::RedactedThinking(data.to_owned())),
        // OpenAI's own: nobody else can open it.
        _ => (!text.is_empty()).then_some(Content::Thinking { text, signature: None }),
    }
}

/// A signature as `encrypted_content`.
pub(super) fn signed(signature: &str) -> String {
    format!("{SIGNATURE}{signature}")
}

/// Reasoning that only its provider can read, likewise.
pub(super) fn redacted(data: &str) -> String {
    format!("{REDACTED}{data}")
}

impl Item {
    /// The items of a choice: texts that follow each other are one message.
    pub(super) fn all(choice: &Choice) -> Vec<Self> {
        let mut items: Vec<Self> = Vec::new();
        for content in &choice.content {
            let part = match content {
                Content::Text(text) => Part::text(text.clone()),
                Content::Refusal(text) => Part::Refusal { refusal: text.clone() },
                Content::Thinking { text, signature } => {
                    items.push(Self::Reasoning { text: text.clone(), sealed: signature.as_deref().map(signed) });
                    continue;
                }
                Content::RedactedThinking(data) => {
                    items.push(Self::Reasoning { text: String::new(), sealed: Some(redacted(data)) });
                    continue;
                }
                Content::ToolCall(call) => {
                    items.push(Self::Call(call.clone()));
                    continue;
                }
                Content::Image { source, .. } => {
                    items.push(Self::image(source));
                    continue;
                }
                // Not what a model says.
                Content::Document { .. } | Content::Audio(_) | Content::ToolResult { .. } => continue,
            };
            match items.last_mut() {
                Some(Self::Message(parts)) => parts.push(part),
                _ => items.push(Self::Message(vec![part])),
            }
        }
        let last = items.iter_mut().rev().find_map(|item| match item {
            Self::Message(parts) => parts.last_mut(),
            _ => None,
        });
        if let Some(Part::OutputText { annotations, logprobs, .. }) = last {
            annotations.extend(choice.annotations.iter().map(|raw| annotation(raw)));
            logprobs.extend(choice.logprobs.iter().flat_map(|raw| tokens(raw)));
        }
        items
    }

    /// A generated image.
    pub(super) fn image(source: &Source) -> Self {
        match source {
            Source::Inline { data, .. } => Self::Image(data.clone()),
            Source::Url(url) | Source::File(url) => Self::Image(url.clone()),
        }
    }

    /// Its id; `index` counts the answer's items.
    pub(super) fn id(&self, index: usize, shown: &Shown) -> String {
        let kind = match self {
            Self::Message(_) => "msg",
            Self::Reasoning { .. } => "rs",
            Self::Call(_) => "fc",
            Self::Image(_) => "ig",
        };
        format!("{kind}_{}_{index}", shown.call_id)
    }

    /// As it is shown.
    pub(super) fn wire(&self, index: usize, status: &'static str, shown: &Shown) -> Wire<'_> {
        let id = self.id(index, shown);
        match self {
            Self::Message(content) => Wire::Message { id, status, role: "assistant", content },
            Self::Reasoning { text, sealed } => {
                let summary = if text.is_empty() { Vec::new() } else { vec![Summary { text }] };
                Wire::Reasoning { id, summary, encrypted_content: sealed.as_deref() }
            }
            Self::Call(call) => Wire::FunctionCall {
                id,
                status,
                call_id: &call.id,
                name: &call.name,
                arguments: &call.arguments,
                extra_content: ExtraContent::of(call),
            },
            Self::Image(result) => Wire::ImageGenerationCall { id, status, result },
        }
    }
}

impl Part {
    /// A text with nothing beside it.
    pub(super) fn text(text: String) -> Self {
        Self::OutputText { text, annotations: Vec::new(), logprobs: Vec::new() }
    }
}

/// A citation: chat completions put what it says into a member of its own, this dialect does not.
pub(super) fn annotation(raw: &RawValue) -> Box<RawValue> {
    let flat = || {
        let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(raw.get()).ok()?;
        let serde_json::Value::Object(inner) = object.remove("url_citation")? else { return None };
        object.extend(inner);
        RawValue::from_string(serde_json::Value::Object(object).to_string()).ok()
    };
    flat().unwrap_or_else(|| raw.to_owned())
}

/// The tokens of chat completions' `logprobs`.
pub(super) fn tokens(raw: &RawValue) -> Vec<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Logprobs {
        content: Option<Vec<Box<RawValue>>>,
    }
    let logprobs: Option<Logprobs> = serde_json::from_str(raw.get()).ok();
    logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default()
}
