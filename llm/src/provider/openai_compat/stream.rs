//! Chunks of chat completions in the neutral form, for clients of other dialects.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::response::{self, Call, Message, Text};
use crate::{
    chat::{Content, Delta, Event},
    error::UpstreamError,
    provider::Shown,
    response::{bad_answer, plain_contents, reported, thoughts::Thoughts},
    stream::Events,
};

#[derive(Deserialize)]
struct Chunk<'a> {
    id: Option<String>,
    choices: Option<Vec<Shape>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<Groq<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    object: Option<String>,
}

#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    index: u32,
    delta: Option<Message>,
    finish_reason: Option<String>,
    logprobs: Option<Box<RawValue>>,
}

/// Reads chunks.
pub(super) struct Chunks {
    shown: Shown,
    /// Contents may begin with thinking.
    thoughts: Option<Thoughts>,
    started: bool,
    /// Calls that have begun, in order.
    calls: Vec<Begun>,
}

/// A call under way.
struct Begun {
    choice: u32,
    /// As the upstream counts; some do not.
    theirs: Option<u64>,
    id: Option<String>,
}

impl Chunks {
    /// For one answer.
    pub(super) fn new(shown: Shown, may_think: bool) -> Self {
        Self { shown, thoughts: may_think.then(Thoughts::default), started: false, calls: Vec::new() }
    }

    fn shape(&mut self, shape: Shape, out: &mut Vec<Event>) {
        let choice = shape.index;
        if let Some(delta) = shape.delta {
            self.delta(choice, delta, out);
        }
        if let Some(raw) = shape.logprobs {
            out.push(Event::Delta { choice, delta: Delta::Logprobs(raw) });
        }
        if let Some(reason) = shape.finish_reason {
            let has_calls = self.calls.iter().any(|call| call.choice == choice);
            out.push(Event::Finish { choice, finish: response::finish(Some(&reason), has_calls) });
        }
    }

    fn delta(&mut self, choice: u32, message: Message, out: &mut Vec<Event>) {
        let mut say = |delta| out.push(Event::Delta { choice, delta });
        let thinking = message.thinking_blocks.unwrap_or_default();
        if let Some(text) = message.reasoning_content.or(message.reasoning).filter(|text| !text.is_empty()) {
            say(Delta::Thinking(text));
        } else {
            thinking.into_iter().map(response::Reasoning::content).flat_map(deltas).for_each(&mut say);
        }
        match message.content {
            Some(Text::Plain(text)) if !text.is_empty() => say(Delta::Text(text)),
            Some(Text::Parts(parts)) => {
                parts.into_iter().filter_map(response::Part::content).flat_map(deltas).for_each(&mut say);
            }
            _ => {}
        }
        if let Some(text) = message.refusal.filter(|text| !text.is_empty()) {
            say(Delta::Refusal(text));
        }
        message.annotations.into_iter().flatten().map(Delta::Annotation).for_each(&mut say);
        message.images.into_iter().flatten().filter_map(response::Image::source).map(Delta::Image).for_each(&mut say);
        let called = message.function_call.map(Call::of);
        for call in message.tool_calls.into_iter().flatten().chain(called) {
            say(self.call(choice, call));
        }
    }

    /// A call that begins, or goes on. A new one has another id than the one before it at its index.
    fn call(&mut self, choice: u32, call: Call) -> Delta {
        let mut own = self.calls.iter().enumerate().rev().filter(|(_, begun)| begun.choice == choice);
        let known = match call.index {
            Some(index) => own.find(|(_, begun)| begun.theirs == Some(index)),
            None => own.next(),
        };
        let is_new = |begun: &Begun| call.id.as_ref().is_some_and(|id| !id.is_empty() && begun.id.as_ref() != Some(id));
        let known = known.filter(|(_, begun)| !is_new(begun)).map(|(at, _)| at);
        let index = |at: usize| {
            let before = self.calls.iter().take(at).filter(|begun| begun.choice == choice).count();
            u32::try_from(before).unwrap_or(u32::MAX)
        };
        if let Some(at) = known {
            let arguments = call.function.and_then(|function| function.arguments);
            let json = arguments.map(response::Arguments::text).unwrap_or_default();
            return Delta::Arguments { index: index(at), json };
        }
        let at = self.calls.len();
        let index = index(at);
        self.calls.push(Begun { choice, theirs: call.index, id: call.id.clone() });
        Delta::ToolCall { index, call: call.begin(at, &self.shown) }
    }
}

fn deltas(content: Content) -> Vec<Delta> {
    match content {
        Content::Text(text) => vec![Delta::Text(text)],
        Content::Thinking { text, signature } => {
            let text = (!text.is_empty()).then_some(Delta::Thinking(text));
            text.into_iter().chain(signature.map(Delta::Signature)).collect()
        }
        Content::RedactedThinking(data) => vec![Delta::RedactedThinking(data)],
        _ => Vec::new(),
    }
}

impl Events for Chunks {
    fn read(&mut self, name: Option<&str>, data: &[u8], out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        if data == b"[DONE]" {
            out.push(Event::End);
            return Ok(());
        }
        let plain = plain_contents(data, "delta");
        let data = plain.as_deref().unwrap_or(data);
        let told = self.thoughts.as_mut().and_then(|thoughts| thoughts.chunk(data));
        let data = told.as_deref().unwrap_or(data);
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(|error| bad_answer(&error))?;
        let is_told = |error: &RawValue| !matches!(error.get(), "null" | "false" | "\"\"" | "{}");
        let named = name == Some("error") || chunk.object.as_deref() == Some("error");
        if chunk.error.is_some_and(is_told) || (named && chunk.choices.is_none()) {
            return Err(reported(data));
        }
        if !std::mem::replace(&mut self.started, true) {
            out.push(Event::Start { id: chunk.id });
        }
        for shape in chunk.choices.into_iter().flatten() {
            self.shape(shape, out);
        }
        let usage = chunk.usage.or_else(|| chunk.x_groq.and_then(|groq| groq.usage));
        out.extend(response::used(usage, chunk.service_tier).map(Event::Usage));
        Ok(())
    }
}
