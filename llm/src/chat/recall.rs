//! What a request had to say in other words than the client's, so that the answer is told in the client's own.
//!
//! An adapter writes it down while it encodes; whole answers and streams are put right before they are written, for
//! every dialect in the same way.

use std::sync::Arc;

use super::{Answer, Choice, Content, Delta, Event, Finish, FinishReason, ToolCall};
use crate::provider::{Operation, rerank::Asked};

/// The name of the tool that stands for an answer's format where a provider has no better way to ask for one.
pub(crate) const FORMAT_TOOL: &str = "json_tool_call";

/// Kept from the encoding of a request for the reading of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    /// Names of tools that the provider does not take: as sent, and the client's.
    tools: Vec<(Box<str>, Box<str>)>,
    /// The answer's format was asked for as a call of [`FORMAT_TOOL`]: its arguments are the answer's text.
    format_tool: bool,
    /// What the answer to a rerank request is to hold.
    reranked: Option<Arc<Asked>>,
    /// A chat that was sent as Responses.
    as_responses: bool,
}

impl Recall {
    /// Of a rerank request.
    pub(crate) fn reranked(asked: Asked) -> Self {
        Self { reranked: Some(Arc::new(asked)), ..Self::default() }
    }

    /// Of a chat that is sent as Responses.
    pub(crate) fn as_responses() -> Self {
        Self { as_responses: true, ..Self::default() }
    }

    /// Whose URL is called for this operation, and whose answer comes.
    pub fn called(&self, operation: Operation) -> Operation {
        if self.as_responses { Operation::Responses } else { operation }
    }

    /// What the answer to a rerank request is to hold.
    pub(crate) fn asked(&self) -> Option<&Asked> {
        self.reranked.as_deref()
    }

    /// A tool goes by another name at the provider.
    pub(crate) fn renamed(&mut self, sent: &str, own: &str) {
        if self.tools.iter().all(|(known, _)| known.as_ref() != sent) {
            self.tools.push((sent.into(), own.into()));
        }
    }

    /// The answer's format was asked for as a call of [`FORMAT_TOOL`].
    pub(crate) fn format_as_tool(&mut self) {
        self.format_tool = true;
    }

    /// Nothing to put right.
    pub(crate) fn is_empty(&self) -> bool {
        self.tools.is_empty() && !self.format_tool
    }

    /// Puts a whole answer right.
    pub(crate) fn restore(&self, answer: &mut Answer) {
        for choice in &mut answer.choices {
            self.restore_choice(choice);
        }
    }

    fn restore_choice(&self, choice: &mut Choice) {
        let mut told = false;
        let contents = std::mem::take(&mut choice.content);
        choice.content = contents.into_iter().filter_map(|content| self.restored(content, &mut told)).collect();
        let calls = choice.content.iter().any(|content| matches!(content, Content::ToolCall(_)));
        end(&mut choice.finish, told && !calls);
    }

    fn restored(&self, content: Content, told: &mut bool) -> Option<Content> {
        match content {
            Content::ToolCall(call) if self.is_format(&call) => {
                // Two answers one after the other would be no JSON.
                (!std::mem::replace(told, true)).then_some(Content::Text(call.arguments))
            }
            Content::ToolCall(mut call) => {
                self.rename(&mut call);
                Some(Content::ToolCall(call))
            }
            other => Some(other),
        }
    }

    fn is_format(&self, call: &ToolCall) -> bool {
        self.format_tool && call.name == FORMAT_TOOL
    }

    fn rename(&self, call: &mut ToolCall) {
        if let Some((_, own)) = self.tools.iter().find(|(sent, _)| **sent == *call.name) {
            call.name = own.to_string();
        }
    }
}

/// An answer told by way of a call has not stopped for the call's sake.
fn end(finish: &mut Finish, told: bool) {
    if told && finish.reason == FinishReason::ToolCalls {
        finish.reason = FinishReason::Stop;
    }
}

/// Puts a streamed answer right.
#[derive(Debug)]
pub(crate) struct Restoring {
    recall: Recall,
    /// Calls that came: choice, index as the provider counts, whether it was the format's.
    calls: Vec<(u32, u32, bool)>,
}

impl Restoring {
    /// For one stream.
    pub(crate) fn new(recall: Recall) -> Self {
        Self { recall, calls: Vec::new() }
    }

    /// The event as the client is to see it; `None` = not at all.
    pub(crate) fn event(&mut self, event: Event) -> Option<Event> {
        if self.recall.is_empty() {
            return Some(event);
        }
        match event {
            Event::Delta { choice, delta } => Some(Event::Delta { choice, delta: self.delta(choice, delta)? }),
            Event::Finish { choice, mut finish } => {
                let mut own = self.calls.iter().filter(|(of, ..)| *of == choice).map(|(.., format)| *format);
                let told = own.clone().any(|format| format) && own.all(|format| format);
                end(&mut finish, told);
                Some(Event::Finish { choice, finish })
            }
            other => Some(other),
        }
    }

    fn delta(&mut self, choice: u32, delta: Delta) -> Option<Delta> {
        match delta {
            Delta::ToolCall { index, mut call } => {
                let format = self.recall.is_format(&call);
                let first = self.is_first_format(choice);
                self.calls.push((choice, index, format));
                if format {
                    return (first && !call.arguments.is_empty()).then_some(Delta::Text(call.arguments));
                }
                self.recall.rename(&mut call);
                Some(Delta::ToolCall { index: self.shown(choice, index), call })
            }
            Delta::Arguments { index, json } => match self.format_call(choice, index) {
                None => Some(Delta::Arguments { index: self.shown(choice, index), json }),
                Some(true) => Some(Delta::Text(json)),
                Some(false) => None,
            },
            other => Some(other),
        }
    }

    fn is_first_format(&self, choice: u32) -> bool {
        !self.calls.iter().any(|(of, _, format)| *of == choice && *format)
    }

    /// Whether this is the format's call and, if so, whether it is the one that is told.
    fn format_call(&self, choice: u32, index: u32) -> Option<bool> {
        let mut formats = self.calls.iter().filter(|(of, _, format)| *of == choice && *format);
        let first = formats.clone().next().is_some_and(|(_, at, _)| *at == index);
        formats.any(|(_, at, _)| *at == index).then_some(first)
    }

    /// The index without the format's calls before it.
    fn shown(&self, choice: u32, index: u32) -> u32 {
        let before = self.calls.iter().filter(|(of, at, format)| *of == choice && *format && *at < index).count();
        index.saturating_sub(u32::try_from(before).unwrap_or(0))
    }
}
