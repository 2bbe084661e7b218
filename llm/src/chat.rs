//! One form of a conversation for all dialects: what a client says in one and an upstream hears in another.
//!
//! ```text
//!  client's request  ─ inbound::read ────────▶ Chat   ─ provider/*/request  ─▶ upstream's request
//!  upstream's answer ─ provider/*/response ──▶ Answer ─ inbound::write ─────▶ client's answer
//!  upstream's stream ─ provider/*/stream ────▶ Event  ─ inbound::Writer ────▶ client's stream
//! ```
//! The same dialect on both sides never comes here: its bytes are edited in place.

use std::borrow::Cow;

use serde_json::{Number, value::RawValue};

use crate::json;

mod answer;
mod name;
mod recall;
pub(crate) mod signature;
mod support;

pub(crate) use answer::{Answer, Choice, Delta, Event, Finish, FinishReason};
pub(crate) use name::fitting;
pub use recall::Recall;
pub(crate) use recall::{FORMAT_TOOL, Restoring};
pub(crate) use support::{Support, demanded};

/// A request, without the model's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chat {
    /// System and developer messages in their order; [`Content::Text`] only.
    pub(crate) system: Vec<Block>,
    /// Everything else. Neighbours may have the same role: [`merged`] joins them where a dialect wants turns to alternate.
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: Option<ToolChoice>,
    /// Whether one answer may call several tools.
    pub(crate) parallel_tools: Option<bool>,
    pub(crate) format: Format,
    /// Most output tokens of one choice.
    pub(crate) max_tokens: Option<u64>,
    pub(crate) sampling: Sampling,
    pub(crate) reasoning: Option<Reasoning>,
    /// OpenAI's `service_tier`, where another class of service than the usual one is asked for.
    pub(crate) service_tier: Option<&'static str>,
    /// The end user in the client's words.
    pub(crate) user: Option<String>,
    pub(crate) stream: bool,
    /// Members of the client's dialect that change the answer and that only some other dialects have, by name.
    /// An adapter takes out those that it can say; [`Support::rest`] refuses what is left.
    pub(crate) demands: Vec<(&'static str, Box<RawValue>)>,
    /// Members that are nobody's standard: the upstream's own, meant for it, and passed on as they are.
    pub(crate) others: Vec<(String, Box<RawValue>)>,
}

/// How the next token is drawn, and what is told about it. Numbers keep the client's digits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sampling {
    pub(crate) temperature: Option<Number>,
    pub(crate) top_p: Option<Number>,
    pub(crate) top_k: Option<Number>,
    pub(crate) frequency_penalty: Option<Number>,
    pub(crate) presence_penalty: Option<Number>,
    pub(crate) seed: Option<Number>,
    pub(crate) stop: Vec<String>,
    /// Choices; `None` = one.
    pub(crate) n: Option<u64>,
    pub(crate) logprobs: bool,
    pub(crate) top_logprobs: Option<u64>,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    /// Who among several users or assistants.
    pub(crate) name: Option<String>,
    pub(crate) blocks: Vec<Block>,
}

/// Who speaks. Results of tools are the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
}

/// A part of a message.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) content: Content,
    /// The prompt up to here is to be cached.
    pub(crate) cache: Option<CacheLifetime>,
}

impl From<Content> for Block {
    fn from(content: Content) -> Self {
        Self { content, cache: None }
    }
}

/// How long a cached prefix is to live, by Anthropic's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheLifetime {
    /// The provider's default, five minutes.
    Default,
    /// An hour.
    Hour,
}

/// What a block holds, in requests and answers alike.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Text(String),
    Image {
        source: Source,
        /// OpenAI's `detail`: `low`, `high` or `auto`.
        detail: Option<String>,
    },
    /// A PDF or another file.
    Document {
        source: Source,
        name: Option<String>,
    },
    Audio(Source),
    /// Reasoning shown, with what proves to its provider that it is its own.
    Thinking {
        text: String,
        signature: Option<String>,
    },
    /// Reasoning that only its provider can read.
    RedactedThinking(String),
    ToolCall(ToolCall),
    ToolResult {
        /// Of the call that it answers.
        id: String,
        /// Of the tool, where the client repeats it; see [`Chat::tool_name`].
        name: Option<String>,
        content: Vec<Block>,
        failed: bool,
    },
    /// Why the model would not.
    Refusal(String),
}

/// A call of a tool by the model.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON text as the model wrote it; it may not be valid. Empty = no arguments.
    pub(crate) arguments: String,
    /// Gemini's thought signature.
    pub(crate) signature: Option<String>,
}

impl ToolCall {
    /// The arguments as an object, for dialects that want one. What a model wrote wrong is kept as text in it: a
    /// conversation must be able to go on.
    pub(crate) fn input(&self) -> Box<RawValue> {
        let text = if self.arguments.trim().is_empty() { "{}" } else { &self.arguments };
        let object = json::scan(text.as_bytes()).ok().and_then(|_| RawValue::from_string(text.to_owned()).ok());
        object.unwrap_or_else(|| {
            let text = serde_json::json!({ "arguments": text }).to_string();
            RawValue::from_string(text).unwrap_or_default()
        })
    }
}

/// Where media are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Url(String),
    /// In place.
    Inline {
        media_type: String,
        /// base64, standard alphabet.
        data: String,
    },
    /// Uploaded to the provider before, under this id.
    File(String),
}

impl Source {
    /// A URL that leads to it, or holds it; of an uploaded file its id.
    pub(crate) fn url(&self) -> Cow<'_, str> {
        match self {
            Self::Url(url) | Self::File(url) => Cow::Borrowed(url),
            Self::Inline { media_type, data } => Cow::Owned(format!("data:{media_type};base64,{data}")),
        }
    }
}

/// Something that the model may call.
#[derive(Clone, Debug)]
pub(crate) enum Tool {
    Function {
        name: String,
        description: Option<String>,
        /// JSON Schema of the arguments; `None` = it takes none.
        parameters: Option<Box<RawValue>>,
        strict: Option<bool>,
        cache: Option<CacheLifetime>,
    },
    /// A tool that the provider runs itself, in the provider's own words.
    Native(Box<RawValue>),
}

/// Which tool is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    /// Any, but one.
    Required,
    Function(String),
}

/// What shape the answer's text has.
#[derive(Clone, Debug, Default)]
pub(crate) enum Format {
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// JSON of this schema.
    Schema { name: String, description: Option<String>, schema: Box<RawValue>, strict: Option<bool> },
}

/// How much the model may think before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reasoning {
    Off,
    Effort(Effort),
    /// So many tokens at most.
    Budget(u64),
    /// As the model sees fit.
    Adaptive,
}

/// OpenAI's `reasoning_effort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// OpenAI's word; `None` where it means no reasoning or nothing.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// The same, as OpenAI writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// Tokens to think with, for models that take a number. The scale is LiteLLM's, so that clients of both see the same.
    pub(crate) fn budget(self) -> u64 {
        match self {
            Self::Minimal | Self::Low => 1024,
            Self::Medium => 2048,
            Self::High => 4096,
            Self::XHigh => 8192,
            Self::Max => 16384,
        }
    }
}

impl Chat {
    /// The name of the tool whose call has this id, for dialects that name tools in results.
    pub(crate) fn tool_name(&self, id: &str) -> Option<&str> {
        self.turns.iter().flat_map(|turn| &turn.blocks).find_map(|block| match &block.content {
            Content::ToolCall(call) if call.id == id => Some(call.name.as_str()),
            _ => None,
        })
    }
}

/// Joins neighbours of one role, so that turns alternate.
pub(crate) fn merged(turns: Vec<Turn>) -> Vec<Turn> {
    let mut out: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns {
        match out.last_mut() {
            Some(last) if last.role == turn.role => last.blocks.extend(turn.blocks),
            _ => out.push(turn),
        }
    }
    out
}

/// The texts of some blocks, one after the other; everything else is left out.
pub(crate) fn text_of(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|block| match &block.content {
        Content::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}
