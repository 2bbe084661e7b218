//! A streamed answer of a Gemini model: each event is an answer with what is new.

use serde_json::value::RawValue;

use super::{
    error, grounding,
    response::{self, Calls},
    wire::{Candidate, Response},
};
use crate::{
    chat::{Content, Delta, Event, Finish, FinishReason, Source},
    error::UpstreamError,
    provider::Shown,
    stream::Events,
};

/// Reads its events.
#[derive(Debug)]
pub(super) struct Reader {
    started: bool,
    calls: Calls,
    choices: Vec<Progress>,
    queries: u64,
}

/// Of one choice.
#[derive(Debug, Default)]
struct Progress {
    index: u32,
    calls: u32,
    finished: bool,
    /// What it said, which citations count their places in.
    text: String,
    /// Citations told already: they may come again with every event.
    cited: Vec<Box<RawValue>>,
}

impl Reader {
    /// For one answer.
    pub(super) fn new(shown: &Shown) -> Self {
        Self { started: false, calls: Calls::new(shown), choices: Vec::new(), queries: 0 }
    }

    fn is_complete(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished)
    }

    fn candidate(&mut self, candidate: Candidate, out: &mut Vec<Event>) {
        let index = candidate.index;
        let at = self.choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.choices.push(Progress { index, ..Progress::default() });
            self.choices.len() - 1
        });
        let Some(choice) = self.choices.get_mut(at) else { return };
        let mut contents = Vec::new();
        for part in candidate.content.into_iter().flat_map(|said| said.parts) {
            response::read(part, &mut self.calls, &mut contents);
        }
        let mut say = |delta| out.push(Event::Delta { choice: index, delta });
        for content in contents {
            choice.content(content, &mut say);
        }
        if let Some(logprobs) = candidate.logprobs_result.as_ref().and_then(response::logprobs) {
            say(Delta::Logprobs(logprobs));
        }
        let annotations = grounding::annotations(
            &choice.text,
            candidate.grounding_metadata.as_ref(),
            candidate.citation_metadata.as_ref(),
        );
        for annotation in annotations {
            if !choice.cited.iter().any(|known| known.get() == annotation.get()) {
                choice.cited.push(annotation.clone());
                say(Delta::Annotation(annotation));
            }
        }
        if let Some(word) = candidate.finish_reason.filter(|_| !choice.finished) {
            choice.finished = true;
            out.push(Event::Finish { choice: index, finish: response::finish(&word, choice.calls > 0) });
        }
    }
}

impl Progress {
    fn content(&mut self, content: Content, say: &mut impl FnMut(Delta)) {
        match content {
            Content::Text(text) => {
                self.text.push_str(&text);
                say(Delta::Text(text));
            }
            Content::Thinking { text, signature } => {
                if !text.is_empty() {
                    say(Delta::Thinking(text));
                }
                if let Some(signature) = signature {
                    say(Delta::Signature(signature));
                }
            }
            Content::ToolCall(call) => {
                say(Delta::ToolCall { index: self.calls, call });
                self.calls += 1;
            }
            Content::Image { source, .. } => say(Delta::Image(source)),
            Content::Audio(Source::Inline { .. } | Source::Url(_) | Source::File(_))
            | Content::Document { .. }
            | Content::RedactedThinking(_)
            | Content::ToolResult { .. }
            | Content::Refusal(_) => {}
        }
    }
}

impl Events for Reader {
    fn read(&mut self, _name: Option<&str>, data: &[u8], out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        let response: Response = serde_json::from_slice(data).map_err(|_| error::within(data, "candidates"))?;
        let blocked = response.prompt_feedback.and_then(|feedback| feedback.block_reason);
        if response.candidates.is_empty() && response.usage_metadata.is_none() && blocked.is_none() {
            return Err(error::within(data, "candidates"));
        }
        if !self.started {
            self.started = true;
            out.push(Event::Start { id: response.id });
        }
        let queries = response.candidates.iter().map(grounding::queries).sum();
        self.queries = self.queries.max(queries);
        let withheld = blocked.is_some() && response.candidates.is_empty();
        if let Some(native) = blocked.filter(|_| withheld) {
            let finish = Finish { reason: FinishReason::ContentFilter, native: Some(native) };
            out.push(Event::Finish { choice: 0, finish });
        }
        for candidate in response.candidates {
            self.candidate(candidate, out);
        }
        // Before the end it does not count all of what was said: of a broken stream that is better estimated.
        if withheld || self.is_complete() {
            out.extend(response.usage_metadata.and_then(|counts| counts.usage(self.queries)).map(Event::Usage));
        }
        Ok(())
    }
}
