//! A streamed answer as Anthropic's clients read it: blocks one after the other, each with a beginning and an end.

use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{self, Message, Usage};
use crate::{
    chat::{Delta, Event, Finish, FinishReason},
    inbound::Writer,
    provider::Shown,
    usage,
};

/// Writes events.
pub(in crate::inbound) struct Blocks {
    shown: Shown,
    begun: bool,
    open: Option<Open>,
    /// Blocks so far.
    count: usize,
    /// The calls' blocks: what follows of a call goes there even if another block has begun.
    calls: Vec<(u32, usize)>,
    finish: Option<Finish>,
}

/// The block that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Call,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said<'a> {
    MessageStart { message: Message<'a> },
    Ping,
    ContentBlockStart { index: usize, content_block: Start<'a> },
    ContentBlockDelta { index: usize, delta: Piece<'a> },
    ContentBlockStop { index: usize },
    MessageDelta { delta: Stop<'a>, usage: Usage },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Start<'a> {
    Text { text: &'static str },
    Thinking { thinking: &'static str, signature: &'static str },
    RedactedThinking { data: &'a str },
    ToolUse { id: String, name: &'a str, input: Empty },
}

/// `{}`.
#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "Anthropic's names")]
enum Piece<'a> {
    TextDelta { text: &'a str },
    ThinkingDelta { thinking: &'a str },
    SignatureDelta { signature: &'a str },
    InputJsonDelta { partial_json: &'a str },
    CitationsDelta { citation: Box<RawValue> },
}

#[derive(Serialize)]
struct Stop<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
}

impl Said<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::Ping => "ping",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(self.name().as_bytes());
        out.extend_from_slice(b"\ndata: ");
        // Writing to memory does not fail, and these types cannot fail to serialise.
        let _ = serde_json::to_writer(&mut *out, self);
        out.extend_from_slice(b"\n\n");
    }
}

impl Blocks {
    /// For one answer.
    pub(in crate::inbound) fn new(shown: Shown) -> Self {
        Self { shown, begun: false, open: None, count: 0, calls: Vec::new(), finish: None }
    }

    fn begin(&mut self, id: Option<&str>, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            Said::MessageStart { message: Message::begun(id, &self.shown) }.write(out);
            Said::Ping.write(out);
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            Said::ContentBlockStop { index: self.last() }.write(out);
        }
    }

    fn last(&self) -> usize {
        self.count.saturating_sub(1)
    }

    fn start(&mut self, open: Open, content_block: Start<'_>, out: &mut Vec<u8>) {
        self.close(out);
        Said::ContentBlockStart { index: self.count, content_block }.write(out);
        self.count += 1;
        self.open = Some(open);
    }

    /// Grows the open block if it is of this kind, else a new one.
    fn grow(&mut self, kind: Open, delta: Piece<'_>, out: &mut Vec<u8>) {
        if self.open != Some(kind) {
            let start = match kind {
                Open::Thinking => Start::Thinking { thinking: "", signature: "" },
                Open::Text | Open::Call => Start::Text { text: "" },
            };
            self.start(kind, start, out);
        }
        Said::ContentBlockDelta { index: self.last(), delta }.write(out);
    }

    fn said(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) | Delta::Refusal(text) => self.grow(Open::Text, Piece::TextDelta { text }, out),
            Delta::Thinking(thinking) => self.grow(Open::Thinking, Piece::ThinkingDelta { thinking }, out),
            Delta::Signature(signature) => {
                self.grow(Open::Thinking, Piece::SignatureDelta { signature }, out);
                // What is thought next is another thought.
                self.close(out);
            }
            Delta::RedactedThinking(data) => {
                self.start(Open::Thinking, Start::RedactedThinking { data }, out);
                self.close(out);
            }
            Delta::ToolCall { index, call } => {
                let id = answer::call_id(call, &self.shown, self.count);
                self.calls.push((*index, self.count));
                self.start(Open::Call, Start::ToolUse { id, name: &call.name, input: Empty {} }, out);
                self.arguments(*index, &call.arguments, out);
            }
            Delta::Arguments { index, json } => self.arguments(*index, json, out),
            Delta::Annotation(annotation) => {
                if let (Some(Open::Text), Some(citation)) = (self.open, answer::citation(annotation)) {
                    self.grow(Open::Text, Piece::CitationsDelta { citation }, out);
                }
            }
            Delta::Image(source) => {
                self.grow(Open::Text, Piece::TextDelta { text: &answer::image(source) }, out);
            }
            // There is no place for it in this dialect.
            Delta::Logprobs(_) => {}
        }
    }

    fn arguments(&mut self, call: u32, json: &str, out: &mut Vec<u8>) {
        let block = self.calls.iter().rev().find(|(index, _)| *index == call).map(|(_, block)| *block);
        if let Some(index) = block.filter(|_| !json.is_empty()) {
            Said::ContentBlockDelta { index, delta: Piece::InputJsonDelta { partial_json: json } }.write(out);
        }
    }
}

impl Writer for Blocks {
    fn write(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id } => self.begin(id.as_deref(), out),
            // Clients of this dialect ask for one choice.
            Event::Delta { choice: 0, delta } => {
                self.begin(None, out);
                self.said(&delta, out);
            }
            Event::Finish { choice: 0, finish } => self.finish = Some(finish),
            Event::Delta { .. } | Event::Finish { .. } | Event::Usage(_) | Event::End => {}
        }
    }

    fn end(&mut self, usage: Option<&usage::Usage>, _cost: Option<i64>, out: &mut Vec<u8>) {
        self.begin(None, out);
        self.close(out);
        let finish = self.finish.take().unwrap_or(Finish::of(FinishReason::Stop));
        let (stop_reason, stop_sequence) = answer::stop(&finish);
        let delta = Stop { stop_reason, stop_sequence };
        Said::MessageDelta { delta, usage: Usage::of(usage) }.write(out);
        Said::MessageStop.write(out);
    }
}
