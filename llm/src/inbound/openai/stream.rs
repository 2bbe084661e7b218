//! A streamed chat answer in OpenAI's dialect: chunks.

use std::io::Write;

use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{self, Call, Image, Thinking};
use crate::{
    chat::{Delta, Event},
    inbound::Writer,
    json,
    price::nano_to_usd_string,
    provider::Shown,
    usage::Usage,
};

/// Writes chunks.
pub(in crate::inbound) struct Chunks {
    shown: Shown,
    /// An event up to the elements of `choices`; made with the first one, as the id may come from the upstream.
    head: Vec<u8>,
    /// Choices whose role was given, by index.
    begun: Vec<u32>,
}

#[derive(Default, Serialize)]
struct Said<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_blocks: Option<[Thinking<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[Call<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<[&'a RawValue; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<[Image; 1]>,
}

/// An element of `choices`.
#[derive(Serialize)]
struct Shape<'a> {
    index: u32,
    delta: Said<'a>,
    logprobs: Option<&'a RawValue>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<&'a str>,
}

impl Chunks {
    /// For one answer.
    pub(in crate::inbound) fn new(shown: Shown) -> Self {
        Self { shown, head: Vec::new(), begun: Vec::new() }
    }

    fn start(&mut self, id: Option<&str>) {
        if !self.head.is_empty() {
            return;
        }
        let head = &mut self.head;
        head.extend_from_slice(b"data: {\"id\":");
        head.extend_from_slice(&json::quoted(&answer::id(id, &self.shown)));
        // Writing to memory does not fail.
        let _ = write!(head, ",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":", self.shown.created);
        head.extend_from_slice(&json::quoted(&self.shown.model));
        head.extend_from_slice(b",\"choices\":[");
    }

    fn chunk(&mut self, mut shape: Shape<'_>, out: &mut Vec<u8>) {
        self.start(None);
        if !self.begun.contains(&shape.index) {
            self.begun.push(shape.index);
            shape.delta.role = Some("assistant");
        }
        out.extend_from_slice(&self.head);
        // As above, and these types cannot fail to serialise.
        let _ = serde_json::to_writer(&mut *out, &shape);
        out.extend_from_slice(b"]}\n\n");
    }

    fn said(&mut self, choice: u32, delta: &Delta, out: &mut Vec<u8>) {
        let mut logprobs = None;
        let mut said = Said::default();
        match delta {
            Delta::Text(text) => said.content = Some(text),
            Delta::Refusal(text) => said.refusal = Some(text),
            Delta::Thinking(text) => said.reasoning_content = Some(text),
            Delta::Signature(signature) => {
                said.thinking_blocks = Some([Thinking::Thinking { thinking: "", signature: Some(signature) }]);
            }
            Delta::RedactedThinking(data) => said.thinking_blocks = Some([Thinking::RedactedThinking { data }]),
            Delta::ToolCall { index, call } => {
                said.tool_calls = Some([Call::begun(*index, call)]);
            }
            Delta::Arguments { index, json } => said.tool_calls = Some([Call::more(*index, json)]),
            Delta::Annotation(raw) => said.annotations = Some([raw]),
            Delta::Image(source) => said.images = Some([Image::of(source)]),
            Delta::Logprobs(raw) => logprobs = Some(raw.as_ref()),
        }
        let shape = Shape { index: choice, delta: said, logprobs, finish_reason: None, native_finish_reason: None };
        self.chunk(shape, out);
    }
}

impl Writer for Chunks {
    fn write(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id } => self.start(id.as_deref()),
            Event::Delta { choice, delta } => self.said(choice, &delta, out),
            Event::Finish { choice, finish } => {
                let shape = Shape {
                    index: choice,
                    delta: Said::default(),
                    logprobs: None,
                    finish_reason: Some(answer::word(&finish)),
                    native_finish_reason: finish.native.as_deref(),
                };
                self.chunk(shape, out);
            }
            Event::Usage(_) | Event::End => {}
        }
    }

    fn end(&mut self, usage: Option<&Usage>, cost: Option<i64>, out: &mut Vec<u8>) {
        if let Some(usage) = usage.filter(|_| self.shown.include_usage) {
            self.start(None);
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"],\"usage\":");
            let _ = serde_json::to_writer(&mut *out, &usage.to_openai());
            if let Some(cost) = cost {
                // Into the object just written.
                out.pop();
                let _ = write!(out, ",\"cost\":{}}}", nano_to_usd_string(cost));
            }
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
