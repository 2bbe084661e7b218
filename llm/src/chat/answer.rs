//! What an upstream says, whole or piece by piece.

use serde_json::value::RawValue;

use super::{Content, ToolCall};
use crate::usage::Usage;

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The upstream's own id; `None` = this call's is shown.
    pub(crate) id: Option<String>,
    pub(crate) choices: Vec<Choice>,
    /// `None` = the upstream said nothing.
    pub(crate) usage: Option<Usage>,
}

/// One of the answers.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// In the model's order: texts, thinking, tool calls, refusals, images.
    pub(crate) content: Vec<Content>,
    /// Citations, as OpenAI's `annotations` (`{"type":"url_citation",...}`) or the provider's own objects.
    pub(crate) annotations: Vec<Box<RawValue>>,
    /// OpenAI's `logprobs` object.
    pub(crate) logprobs: Option<Box<RawValue>>,
    pub(crate) finish: Finish,
}

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finish {
    pub(crate) reason: FinishReason,
    /// The provider's word, where it says more than `reason`.
    pub(crate) native: Option<String>,
}

/// What all dialects tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FinishReason {
    /// It had said everything.
    Stop,
    /// One of the client's stop sequences came; which one, where the provider tells.
    StopSequence(Option<String>),
    /// The most output tokens, or the end of the context window.
    Length,
    ToolCalls,
    /// Cut or withheld by a safety system, or declined by the model.
    ContentFilter,
}

/// One piece of a streamed answer, in order.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The upstream has accepted the request.
    Start {
        /// The upstream's own id.
        id: Option<String>,
    },
    Delta {
        /// Index of the choice.
        choice: u32,
        delta: Delta,
    },
    /// A choice is complete.
    Finish { choice: u32, finish: Finish },
    /// Replaces what was reported before.
    Usage(Usage),
    /// The answer is complete; nothing follows.
    End,
}

/// What a choice grows by.
#[derive(Clone, Debug)]
pub(crate) enum Delta {
    Text(String),
    Thinking(String),
    /// Ends a stretch of thinking.
    Signature(String),
    RedactedThinking(String),
    /// A call begins; its arguments follow, those given here first.
    ToolCall {
        /// Counts the calls of this choice from 0.
        index: u32,
        call: ToolCall,
    },
    Arguments {
        /// Of the call.
        index: u32,
        /// Continues the JSON text.
        json: String,
    },
    Refusal(String),
    Annotation(Box<RawValue>),
    /// OpenAI's `logprobs` object for what came last.
    Logprobs(Box<RawValue>),
    /// A generated image.
    Image(super::Source),
}

impl Finish {
    /// A reason with nothing to add.
    pub(crate) fn of(reason: FinishReason) -> Self {
        Self { reason, native: None }
    }
}
