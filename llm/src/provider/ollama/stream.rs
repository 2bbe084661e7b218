//! A streamed chat answer of Ollama's: each line like a whole answer, but for what came before.

use std::sync::Arc;

use super::response::Wire;
use crate::{
    chat::{Delta, Event},
    error::UpstreamError,
    stream::Events,
};

/// Reads the lines of one answer.
pub(super) struct Chat {
    /// This call's id, for calls of tools without one.
    id: Arc<str>,
    started: bool,
    /// Calls that came.
    calls: usize,
}

impl Chat {
    /// For one answer.
    pub(super) fn new(id: &Arc<str>) -> Self {
        Self { id: Arc::clone(id), started: false, calls: 0 }
    }
}

impl Events for Chat {
    fn read(&mut self, _name: Option<&str>, data: &[u8], out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        let mut wire = Wire::read(data)?;
        if !std::mem::replace(&mut self.started, true) {
            out.push(Event::Start { id: None });
        }
        let said = |delta| Event::Delta { choice: 0, delta };
        if let Some(message) = wire.message.take() {
            let filled = |text: &String| !text.is_empty();
            out.extend(message.thinking.filter(filled).map(|text| said(Delta::Thinking(text))));
            out.extend(message.content.filter(filled).map(|text| said(Delta::Text(text))));
            for call in message.tool_calls.into_iter().flatten() {
                let index = u32::try_from(self.calls).unwrap_or(u32::MAX);
                out.push(said(Delta::ToolCall { index, call: call.neutral(&self.id, self.calls) }));
                self.calls += 1;
            }
        }
        out.extend(wire.logprobs().map(|raw| said(Delta::Logprobs(raw))));
        if wire.done == Some(true) {
            out.extend(wire.usage().map(Event::Usage));
            out.push(Event::Finish { choice: 0, finish: wire.finish(self.calls > 0) });
            out.push(Event::End);
        }
        Ok(())
    }
}
