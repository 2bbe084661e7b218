//! Events of Responses in the neutral form.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::response::{Item, Response, annotation, logprobs};
use crate::{
    chat::{Delta, Event},
    error::UpstreamError,
    response::{bad_answer, reported},
    stream::Events,
};

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: String,
    output_index: Option<u64>,
    summary_index: Option<u64>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

/// Reads events.
#[derive(Default)]
pub(in crate::provider::openai_compat) struct Reader {
    /// Calls that have begun, in order.
    calls: Vec<Begun>,
    /// Some of the reasoning that is under way was shown.
    thinks: bool,
}

/// A call under way.
struct Begun {
    /// As the upstream counts its items.
    item: u64,
    /// Some of its arguments came.
    is_heard: bool,
}

fn said(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

fn parsed<T: DeserializeOwned>(raw: Option<&RawValue>) -> Result<Option<T>, UpstreamError> {
    raw.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(|error| bad_answer(&error))
}

impl Wire<'_> {
    fn text(&self) -> Result<Option<String>, UpstreamError> {
        Ok(parsed::<String>(self.delta)?.filter(|text| !text.is_empty()))
    }
}

impl Reader {
    fn index(&self, item: Option<u64>) -> Option<u32> {
        let at = self.calls.iter().position(|call| Some(call.item) == item)?;
        u32::try_from(at).ok()
    }

    fn added(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        self.thinks = false;
        let Some(item) = parsed::<Item>(wire.item)?.filter(|item| item.kind == "function_call") else {
            return Ok(());
        };
        let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let call = item.call();
        let is_heard = !call.arguments.is_empty();
        self.calls.push(Begun { item: wire.output_index.unwrap_or_default(), is_heard });
        out.push(said(Delta::ToolCall { index, call }));
        Ok(())
    }

    fn arguments(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        if let (Some(index), Some(json)) = (self.index(wire.output_index), wire.text()?) {
            self.hear(wire.output_index);
            out.push(said(Delta::Arguments { index, json }));
        }
        Ok(())
    }

    fn hear(&mut self, item: Option<u64>) {
        if let Some(call) = self.calls.iter_mut().find(|call| Some(call.item) == item) {
            call.is_heard = true;
        }
    }

    fn done(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        let Some(item) = parsed::<Item>(wire.item)? else {
            return Ok(());
        };
        match item.kind.as_str() {
            "reasoning" => {
                let shown = std::mem::take(&mut self.thinks);
                let sealed = item.sealed().map(if shown { Delta::Signature } else { Delta::RedactedThinking });
                out.extend(sealed.map(said));
            }
            "function_call" => {
                let is_heard = self.calls.iter().any(|call| Some(call.item) == wire.output_index && call.is_heard);
                let json = item.call().arguments;
                if let Some(index) = self.index(wire.output_index).filter(|_| !is_heard && !json.is_empty()) {
                    out.push(said(Delta::Arguments { index, json }));
                }
            }
            "image_generation_call" => out.extend(item.image().map(Delta::Image).map(said)),
            _ => {}
        }
        Ok(())
    }

    fn thought(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        if let Some(text) = wire.text()? {
            self.thinks = true;
            out.push(said(Delta::Thinking(text)));
        }
        Ok(())
    }

    fn last(&self, wire: &Wire<'_>, out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        let response: Option<Response<'_>> =
            wire.response.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(|error| bad_answer(&error))?;
        if let Some(response) = response {
            out.extend(response.usage().map(Event::Usage));
            out.push(Event::Finish { choice: 0, finish: response.finish(!self.calls.is_empty()) });
        }
        out.push(Event::End);
        Ok(())
    }
}

impl Events for Reader {
    fn read(&mut self, _name: Option<&str>, data: &[u8], out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        if data == b"[DONE]" {
            return Ok(());
        }
        let wire: Wire<'_> = serde_json::from_slice(data).map_err(|error| bad_answer(&error))?;
        match wire.kind.as_str() {
            "response.created" => {
                let id = parsed::<Named>(wire.response)?.and_then(|response| response.id);
                out.push(Event::Start { id });
            }
            "response.output_item.added" => self.added(&wire, out)?,
            "response.output_item.done" => self.done(&wire, out)?,
            "response.output_text.delta" => {
                out.extend(wire.text()?.map(Delta::Text).map(said));
                let tokens: Vec<Box<RawValue>> = parsed(wire.logprobs)?.unwrap_or_default();
                out.extend(logprobs(&tokens).map(Delta::Logprobs).map(said));
            }
            "response.output_text.annotation.added" => {
                out.extend(wire.annotation.map(|raw| said(Delta::Annotation(annotation(raw.to_owned())))));
            }
            "response.refusal.delta" => out.extend(wire.text()?.map(Delta::Refusal).map(said)),
            "response.reasoning_summary_part.added" if wire.summary_index > Some(0) => {
                out.push(said(Delta::Thinking("\n\n".to_owned())));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => self.thought(&wire, out)?,
            "response.function_call_arguments.delta" => self.arguments(&wire, out)?,
            "response.completed" | "response.incomplete" => self.last(&wire, out)?,
            "response.failed" => return Err(reported(wire.response.map_or(data, |raw| raw.get().as_bytes()))),
            "error" => return Err(reported(data)),
            // Ends of what came piece by piece, and what OpenAI's own tools do.
            _ => {}
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Named {
    id: Option<String>,
}
