//! A streamed answer as Gemini's clients read it: answers with what is new, the last with the reason and the tokens.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    answer::{self, Body, Candidate, Counts, Grounding, Logprobs, Part},
    signature,
};
use crate::{
    chat::{Delta, Event, Finish, FinishReason, ToolCall},
    inbound::Writer,
    provider::Shown,
    usage::Usage,
};

/// Writes events.
pub(in crate::inbound) struct Pieces {
    shown: Shown,
    id: Option<String>,
    choices: Vec<Choice>,
}

/// Of one choice, what comes whole or at the end.
#[derive(Default)]
struct Choice {
    index: u32,
    /// Calls by their index: arguments come in pieces, and Google's clients want them in one.
    calls: Vec<(u32, ToolCall)>,
    annotations: Vec<Box<RawValue>>,
    logprobs: Vec<Box<RawValue>>,
    finish: Option<Finish>,
}

impl Pieces {
    /// For one answer.
    pub(in crate::inbound) fn new(shown: Shown) -> Self {
        Self { shown, id: None, choices: Vec::new() }
    }

    fn choice(&mut self, index: u32) -> Option<&mut Choice> {
        let at = self.choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.choices.push(Choice { index, ..Choice::default() });
            self.choices.len() - 1
        });
        self.choices.get_mut(at)
    }

    fn say(&self, choice: u32, part: Part<'_>, out: &mut Vec<u8>) {
        let candidates = vec![Candidate::saying(vec![part], choice)];
        event(&Body { candidates, ..Body::begun(self.id.as_deref(), &self.shown) }, out);
    }

    fn said(&mut self, index: u32, delta: Delta, out: &mut Vec<u8>) {
        let Some(choice) = self.choice(index) else { return };
        match delta {
            Delta::Text(text) | Delta::Refusal(text) => {
                if !text.is_empty() {
                    self.say(index, Part::text(&text), out);
                }
            }
            Delta::Thinking(text) => self.think(index, &text, None, out),
            Delta::Signature(signed) => self.think(index, "", Some(signature::shown(&signed)), out),
            Delta::RedactedThinking(data) => self.think(index, "", Some(signature::redacted(&data)), out),
            Delta::Image(source) => self.say(index, Part::media(&source), out),
            Delta::ToolCall { index, call } => choice.calls.push((index, call)),
            Delta::Arguments { index, json } => {
                let calls = choice.calls.iter_mut().rev();
                if let Some((_, call)) = calls.into_iter().find(|(known, _)| *known == index) {
                    call.arguments.push_str(&json);
                }
            }
            Delta::Annotation(annotation) => choice.annotations.push(annotation),
            Delta::Logprobs(logprobs) => choice.logprobs.push(logprobs),
        }
    }

    fn think(&self, index: u32, text: &str, signature: Option<String>, out: &mut Vec<u8>) {
        if let Some(part) = Part::thought(text, signature.map(Cow::Owned), &self.shown) {
            self.say(index, part, out);
        }
    }
}

impl Writer for Pieces {
    fn write(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id } => self.id = id,
            Event::Delta { choice, delta } => self.said(choice, delta, out),
            Event::Finish { choice, finish } => {
                if let Some(choice) = self.choice(choice) {
                    choice.finish = Some(finish);
                }
            }
            Event::Usage(_) | Event::End => {}
        }
    }

    fn end(&mut self, usage: Option<&Usage>, _cost: Option<i64>, out: &mut Vec<u8>) {
        // An answer that says nothing has ended all the same.
        self.choice(0);
        let silent = Finish::of(FinishReason::Stop);
        let candidates = self.choices.iter().map(|choice| Candidate {
            finish_reason: Some(answer::finish(choice.finish.as_ref().unwrap_or(&silent))),
            grounding_metadata: Grounding::of(&choice.annotations),
            logprobs_result: Logprobs::of(choice.logprobs.iter().map(|logprobs| &**logprobs)),
            ..Candidate::saying(choice.calls.iter().map(|(_, call)| Part::call(call)).collect(), choice.index)
        });
        let last = Body {
            candidates: candidates.collect(),
            usage_metadata: usage.map(Counts::of),
            ..Body::begun(self.id.as_deref(), &self.shown)
        };
        event(&last, out);
    }
}

fn event(body: &Body<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    // Writing to memory does not fail, and these types cannot fail to serialise.
    let _ = serde_json::to_writer(&mut *out, body);
    out.extend_from_slice(b"\n\n");
}
