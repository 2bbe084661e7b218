//! The events of `ConverseStream`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::response::{self, Bytes, Fields, ServiceTier, TokenUsage, parsed};
use crate::{
    chat::{Delta, Event, ToolCall},
    error::UpstreamError,
    stream,
};

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Calls so far.
    calls: u32,
    /// The call whose arguments are coming.
    open: Option<Open>,
    /// The format of the image that is coming.
    image: Option<String>,
}

#[derive(Debug)]
struct Open {
    index: u32,
    /// Some of its arguments came.
    said: bool,
}

#[derive(Deserialize)]
struct BlockStart {
    start: Start,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    tool_use: Option<ToolUse>,
    image: Option<ImageStart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse {
    #[serde(rename = "toolUseId")]
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct ImageStart {
    format: String,
}

#[derive(Deserialize)]
struct BlockDelta {
    delta: Grown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grown {
    text: Option<String>,
    tool_use: Option<Input>,
    reasoning_content: Option<Reasoning>,
    citation: Option<Box<RawValue>>,
    image: Option<ImageDelta>,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning {
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct ImageDelta {
    source: Option<Bytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageStop {
    stop_reason: String,
    additional_model_response_fields: Option<Fields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    usage: Option<TokenUsage>,
    service_tier: Option<ServiceTier>,
}

impl stream::Events for Events {
    fn read(&mut self, name: Option<&str>, data: &[u8], out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        match name.unwrap_or_default() {
            "messageStart" => out.push(Event::Start { id: None }),
            "contentBlockStart" => self.start(parsed::<BlockStart>(data)?.start, out),
            "contentBlockDelta" => self.grow(parsed::<BlockDelta>(data)?.delta, out),
            "contentBlockStop" => self.stop(out),
            "messageStop" => {
                let MessageStop { stop_reason, additional_model_response_fields } = parsed(data)?;
                let finish = response::finish(&stop_reason, additional_model_response_fields, self.calls > 0);
                out.push(Event::Finish { choice: 0, finish });
            }
            "metadata" => {
                let Metadata { usage, service_tier } = parsed(data)?;
                out.extend(response::used(usage, service_tier).map(Event::Usage));
                out.push(Event::End);
            }
            // Not known yet, so nothing that this stream was asked for.
            _ => {}
        }
        Ok(())
    }
}

impl Events {
    fn start(&mut self, start: Start, out: &mut Vec<Event>) {
        if let Some(ToolUse { id, name }) = start.tool_use {
            let index = self.calls;
            self.calls += 1;
            self.open = Some(Open { index, said: false });
            let call = ToolCall { id, name, arguments: String::new(), signature: None };
            out.push(said(Delta::ToolCall { index, call }));
        }
        self.image = start.image.map(|image| image.format);
    }

    fn grow(&mut self, grown: Grown, out: &mut Vec<Event>) {
        let full = |text: &String| !text.is_empty();
        out.extend(grown.text.filter(full).map(Delta::Text).map(said));
        if let Some((Input { input }, open)) = grown.tool_use.zip(self.open.as_mut())
            && !input.is_empty()
        {
            open.said = true;
            out.push(said(Delta::Arguments { index: open.index, json: input }));
        }
        if let Some(Reasoning { text, signature, redacted_content }) = grown.reasoning_content {
            out.extend(text.filter(full).map(Delta::Thinking).map(said));
            out.extend(signature.filter(full).map(Delta::Signature).map(said));
            out.extend(redacted_content.filter(full).map(Delta::RedactedThinking).map(said));
        }
        out.extend(grown.citation.map(Delta::Annotation).map(said));
        let data = grown.image.and_then(|image| image.source?.bytes);
        if let Some((data, format)) = data.zip(self.image.as_deref()) {
            out.push(said(Delta::Image(response::image(format, data))));
        }
    }

    /// A tool that takes nothing is called with nothing; clients want an object.
    fn stop(&mut self, out: &mut Vec<Event>) {
        if let Some(Open { index, said: false }) = self.open.take() {
            out.push(said(Delta::Arguments { index, json: "{}".to_owned() }));
        }
    }
}

fn said(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}
