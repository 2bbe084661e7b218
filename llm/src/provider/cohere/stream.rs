//! A streamed chat answer of Cohere's.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::response::{Call, Spoken, Usage, finish, logprobs};
use crate::{
    chat::{Delta, Event, ToolCall},
    error::UpstreamError,
    response::{bad_answer, reported},
    stream::Events,
};

/// Reads the events of one answer.
#[derive(Default)]
pub(super) struct Chat {
    /// Calls that began.
    calls: u32,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    /// Of a shape that goes by the type.
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    logprobs: Option<Spoken>,
}

#[derive(Deserialize)]
struct Message<T> {
    message: Option<T>,
}

#[derive(Deserialize)]
struct Content {
    content: Option<Piece>,
}

#[derive(Deserialize)]
struct Piece {
    text: Option<String>,
    thinking: Option<String>,
}

#[derive(Deserialize)]
struct Plan {
    tool_plan: Option<String>,
}

#[derive(Deserialize)]
struct Calls {
    tool_calls: Option<Call>,
}

#[derive(Deserialize)]
struct Citations {
    citations: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
struct End {
    finish_reason: Option<String>,
    usage: Option<Usage>,
    error: Option<String>,
}

impl Events for Chat {
    fn read(&mut self, _name: Option<&str>, data: &[u8], out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        if data == b"[DONE]" {
            out.push(Event::End);
            return Ok(());
        }
        let wire: Wire<'_> = serde_json::from_slice(data).map_err(|error| bad_answer(&error))?;
        let Some(kind) = wire.kind.as_deref() else {
            return Err(reported(data));
        };
        let said = |delta| Event::Delta { choice: 0, delta };
        match kind {
            "message-start" => out.push(Event::Start { id: wire.id }),
            "content-start" | "content-delta" => {
                let piece = message::<Content>(wire.delta)?.and_then(|message| message.content);
                let (text, thinking) = piece.map_or((None, None), |piece| (piece.text, piece.thinking));
                let filled = |text: &String| !text.is_empty();
                out.extend(thinking.filter(filled).map(|text| said(Delta::Thinking(text))));
                out.extend(text.filter(filled).map(|text| said(Delta::Text(text))));
                let shown = wire.logprobs.and_then(|piece| logprobs(&[piece]));
                out.extend(shown.map(|raw| said(Delta::Logprobs(raw))));
            }
            "tool-plan-delta" => {
                let plan = message::<Plan>(wire.delta)?.and_then(|message| message.tool_plan);
                out.extend(plan.map(|text| said(Delta::Text(text))));
            }
            "tool-call-start" => {
                let call = message::<Calls>(wire.delta)?.and_then(|message| message.tool_calls).unwrap_or_default();
                out.push(said(Delta::ToolCall { index: self.calls, call: call.into() }));
                self.calls = self.calls.saturating_add(1);
            }
            "tool-call-delta" => {
                let call = message::<Calls>(wire.delta)?.and_then(|message| message.tool_calls).unwrap_or_default();
                let json = ToolCall::from(call).arguments;
                let index =
                    self.calls.checked_sub(1).ok_or_else(|| bad_answer(&"a tool call goes on before one began"))?;
                out.push(said(Delta::Arguments { index, json }));
            }
            "citation-start" => {
                let cited = message::<Citations>(wire.delta)?.and_then(|message| message.citations);
                out.extend(cited.map(|raw| said(Delta::Annotation(raw))));
            }
            "message-end" => self.end(wire.delta, out)?,
            // content-end, tool-call-end, citation-end, and what is new.
            _ => {}
        }
        Ok(())
    }
}

impl Chat {
    fn end(&self, delta: Option<&RawValue>, out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        let end: End = typed(delta)?.unwrap_or_default();
        out.extend(end.usage.as_ref().and_then(Usage::neutral).map(Event::Usage));
        let finish = finish(end.finish_reason.as_deref(), self.calls > 0, end.error)?;
        out.push(Event::Finish { choice: 0, finish });
        Ok(())
    }
}

fn message<'a, T: Deserialize<'a>>(delta: Option<&'a RawValue>) -> Result<Option<T>, UpstreamError> {
    Ok(typed::<Message<T>>(delta)?.and_then(|delta| delta.message))
}

fn typed<'a, T: Deserialize<'a>>(delta: Option<&'a RawValue>) -> Result<Option<T>, UpstreamError> {
    delta.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(|error| bad_answer(&error))
}
