//! A streamed answer in events of Responses.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    answer::{self, State},
    item::{self, Item, Part, Summary},
};
use crate::{
    chat::{Delta, Event, Finish, ToolCall},
    inbound::Writer,
    provider::Shown,
    usage::Usage,
};

/// Writes events.
pub(in crate::inbound) struct Events {
    shown: Shown,
    wire: Numbered,
    started: bool,
    /// All so far, in the order in which they began.
    items: Vec<Item>,
    /// Where the message or the reasoning is that goes on.
    open: Option<usize>,
    /// Where the calls are, by their index. They end with the answer, as their arguments may come in turns.
    calls: Vec<usize>,
    finish: Option<Finish>,
}

/// Numbers events.
#[derive(Default)]
struct Numbered {
    next: u64,
}

#[derive(Serialize)]
struct Wire<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    body: T,
}

/// A piece of an item: where it belongs and what it says. Members that an event does not have are left out.
#[derive(Default, Serialize)]
struct Piece<'a> {
    item_id: String,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Shape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<&'a [Box<RawValue>]>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shape<'a> {
    Part(&'a Part),
    Summary(Summary<'a>),
}

/// An item that begins or ends.
#[derive(Serialize)]
struct Whole<'a> {
    output_index: usize,
    item: item::Wire<'a>,
}

impl Numbered {
    fn emit(&mut self, kind: &str, body: impl Serialize, out: &mut Vec<u8>) {
        head(kind, out);
        // Writing to memory does not fail, and neither do these types.
        let _ = serde_json::to_writer(&mut *out, &Wire { kind, sequence_number: self.next, body });
        out.extend_from_slice(b"\n\n");
        self.next += 1;
    }

    /// An event with the answer as it is so far.
    fn state(&mut self, kind: &str, state: &State<'_>, shown: &Shown, out: &mut Vec<u8>) {
        head(kind, out);
        out.extend_from_slice(
            format!("{{\"type\":\"{kind}\",\"sequence_number\":{},\"response\":", self.next).as_bytes(),
        );
        answer::object(state, shown, out);
        out.extend_from_slice(b"}\n\n");
        self.next += 1;
    }
}

fn head(kind: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
}

impl Events {
    /// For one answer.
    pub(in crate::inbound) fn new(shown: Shown) -> Self {
        Self {
            shown,
            wire: Numbered::default(),
            started: false,
            items: Vec::new(),
            open: None,
            calls: Vec::new(),
            finish: None,
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            let state = State { status: item::IN_PROGRESS, items: &[], reason: None, usage: None };
            self.wire.state(kind, &state, &self.shown, out);
        }
    }

    fn delta(&mut self, delta: Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => self.said(&text, false, out),
            Delta::Refusal(text) => self.said(&text, true, out),
            Delta::Thinking(text) => self.thought(&text, out),
            Delta::Signature(signature) => {
                let at = self.reasoning(out);
                if let Some(Item::Reasoning { sealed, .. }) = self.items.get_mut(at) {
                    *sealed = Some(item::signed(&signature));
                }
                self.close(out);
            }
            Delta::RedactedThinking(data) => {
                self.whole(Item::Reasoning { text: String::new(), sealed: Some(item::redacted(&data)) }, out);
            }
            Delta::Image(source) => self.whole(Item::image(&source), out),
            Delta::ToolCall { index, call } => self.call(index, call, out),
            Delta::Arguments { index, json } => self.arguments(index, &json, out),
            Delta::Annotation(raw) => self.annotated(&raw, out),
            Delta::Logprobs(raw) => {
                if let Some(Part::OutputText { logprobs, .. }) = self.last_part() {
                    logprobs.extend(item::tokens(&raw));
                }
            }
        }
    }

    /// Begins an item; what was open before is closed.
    fn begin(&mut self, item: Item, out: &mut Vec<u8>) -> usize {
        self.close(out);
        let at = self.items.len();
        let body = Whole { output_index: at, item: item.wire(at, item::IN_PROGRESS, &self.shown) };
        self.wire.emit("response.output_item.added", body, out);
        self.items.push(item);
        at
    }

    /// An item that comes in one piece.
    fn whole(&mut self, item: Item, out: &mut Vec<u8>) {
        let at = self.begin(item, out);
        self.done(at, out);
    }

    fn done(&mut self, at: usize, out: &mut Vec<u8>) {
        if let Some(item) = self.items.get(at) {
            // Only what is open at the answer's end can have been cut.
            let is_last = at + 1 == self.items.len();
            let (status, _) = answer::status(self.finish.as_ref().filter(|_| is_last));
            let body = Whole { output_index: at, item: item.wire(at, status, &self.shown) };
            self.wire.emit("response.output_item.done", body, out);
        }
    }

    fn piece(&self, at: usize) -> Piece<'static> {
        let item_id = self.items.get(at).map(|item| item.id(at, &self.shown)).unwrap_or_default();
        Piece { item_id, output_index: at, ..Piece::default() }
    }

    fn last_part(&mut self) -> Option<&mut Part> {
        match self.items.get_mut(self.open?)? {
            Item::Message(parts) => parts.last_mut(),
            Item::Reasoning { .. } | Item::Call(_) | Item::Image(_) => None,
        }
    }

    fn said(&mut self, more: &str, refuses: bool, out: &mut Vec<u8>) {
        let at = match self.open {
            Some(at) if matches!(self.items.get(at), Some(Item::Message(_))) => at,
            _ => {
                let at = self.begin(Item::Message(Vec::new()), out);
                self.open = Some(at);
                at
            }
        };
        let is_same = match self.last_part() {
            Some(Part::OutputText { .. }) => !refuses,
            Some(Part::Refusal { .. }) => refuses,
            None => false,
        };
        if !is_same {
            self.part_done(at, out);
            let part = if refuses { Part::Refusal { refusal: String::new() } } else { Part::text(String::new()) };
            let content_index = Some(self.parts(at).len());
            let piece = Piece { content_index, part: Some(Shape::Part(&part)), ..self.piece(at) };
            self.wire.emit("response.content_part.added", piece, out);
            if let Some(Item::Message(parts)) = self.items.get_mut(at) {
                parts.push(part);
            }
        }
        if let Some(Part::OutputText { text, .. } | Part::Refusal { refusal: text }) = self.last_part() {
            text.push_str(more);
        }
        let content_index = self.parts(at).len().checked_sub(1);
        let piece = Piece { content_index, delta: Some(more), ..self.piece(at) };
        if refuses {
            self.wire.emit("response.refusal.delta", piece, out);
        } else {
            self.wire.emit("response.output_text.delta", Piece { logprobs: Some(&[]), ..piece }, out);
        }
    }

    fn parts(&self, at: usize) -> &[Part] {
        match self.items.get(at) {
            Some(Item::Message(parts)) => parts,
            _ => &[],
        }
    }

    /// Ends the last part of a message.
    fn part_done(&mut self, at: usize, out: &mut Vec<u8>) {
        let Some(Item::Message(parts)) = self.items.get(at) else { return };
        let Some(part) = parts.last() else { return };
        let content_index = parts.len().checked_sub(1);
        let place = Piece { content_index, ..self.piece(at) };
        match part {
            Part::OutputText { text, logprobs, .. } => {
                let piece = Piece { text: Some(text), logprobs: Some(logprobs), ..place };
                self.wire.emit("response.output_text.done", piece, out);
            }
            Part::Refusal { refusal } => {
                let piece = Piece { refusal: Some(refusal), ..place };
                self.wire.emit("response.refusal.done", piece, out);
            }
        }
        let piece = Piece { content_index, part: Some(Shape::Part(part)), ..self.piece(at) };
        self.wire.emit("response.content_part.done", piece, out);
    }

    fn annotated(&mut self, raw: &RawValue, out: &mut Vec<u8>) {
        let raw = item::annotation(raw);
        let Some(Part::OutputText { annotations, .. }) = self.last_part() else { return };
        let annotation_index = Some(annotations.len());
        annotations.push(raw.clone());
        let at = self.open.unwrap_or_default();
        let content_index = self.parts(at).len().checked_sub(1);
        let piece = Piece { content_index, annotation_index, annotation: Some(&raw), ..self.piece(at) };
        self.wire.emit("response.output_text.annotation.added", piece, out);
    }

    /// The reasoning that is under way, or a new one.
    fn reasoning(&mut self, out: &mut Vec<u8>) -> usize {
        match self.open {
            Some(at) if matches!(self.items.get(at), Some(Item::Reasoning { .. })) => at,
            _ => {
                let at = self.begin(Item::Reasoning { text: String::new(), sealed: None }, out);
                self.open = Some(at);
                at
            }
        }
    }

    fn thought(&mut self, more: &str, out: &mut Vec<u8>) {
        let at = self.reasoning(out);
        let place = || Piece { summary_index: Some(0), ..self.piece(at) };
        let (added, delta) = (place(), place());
        let Some(Item::Reasoning { text, .. }) = self.items.get_mut(at) else { return };
        if text.is_empty() {
            let piece = Piece { part: Some(Shape::Summary(Summary { text: "" })), ..added };
            self.wire.emit("response.reasoning_summary_part.added", piece, out);
        }
        text.push_str(more);
        self.wire.emit("response.reasoning_summary_text.delta", Piece { delta: Some(more), ..delta }, out);
    }

    fn call(&mut self, index: u32, call: ToolCall, out: &mut Vec<u8>) {
        let json = call.arguments.clone();
        let at = self.begin(Item::Call(ToolCall { arguments: String::new(), ..call }), out);
        self.calls.push(at);
        if !json.is_empty() {
            self.arguments(index, &json, out);
        }
    }

    fn arguments(&mut self, index: u32, json: &str, out: &mut Vec<u8>) {
        let at = usize::try_from(index).ok().and_then(|index| self.calls.get(index).copied());
        let Some((at, Item::Call(call))) = at.and_then(|at| Some((at, self.items.get_mut(at)?))) else { return };
        call.arguments.push_str(json);
        let piece = Piece { delta: Some(json), ..self.piece(at) };
        self.wire.emit("response.function_call_arguments.delta", piece, out);
    }

    /// Ends the message or the reasoning that is under way.
    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(at) = self.open.take() else { return };
        self.part_done(at, out);
        if let Some(Item::Reasoning { text, .. }) = self.items.get(at)
            && !text.is_empty()
        {
            let place = || Piece { summary_index: Some(0), ..self.piece(at) };
            let (done, part) = (place(), place());
            self.wire.emit("response.reasoning_summary_text.done", Piece { text: Some(text), ..done }, out);
            let piece = Piece { part: Some(Shape::Summary(Summary { text })), ..part };
            self.wire.emit("response.reasoning_summary_part.done", piece, out);
        }
        self.done(at, out);
    }

    fn end_calls(&mut self, out: &mut Vec<u8>) {
        for at in std::mem::take(&mut self.calls) {
            if let Some(Item::Call(call)) = self.items.get(at) {
                let (name, arguments) = (Some(call.name.as_str()), Some(call.arguments.as_str()));
                let piece = Piece { name, arguments, ..self.piece(at) };
                self.wire.emit("response.function_call_arguments.done", piece, out);
            }
            self.done(at, out);
        }
    }
}

impl Writer for Events {
    fn write(&mut self, event: Event, out: &mut Vec<u8>) {
        self.start(out);
        match event {
            // This dialect knows one choice only.
            Event::Delta { choice: 0, delta } => self.delta(delta, out),
            Event::Finish { choice: 0, finish } => self.finish = Some(finish),
            Event::Delta { .. } | Event::Finish { .. } | Event::Start { .. } | Event::Usage(_) | Event::End => {}
        }
    }

    fn end(&mut self, usage: Option<&Usage>, _cost: Option<i64>, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        self.end_calls(out);
        let (status, reason) = answer::status(self.finish.as_ref());
        let state = State { status, items: &self.items, reason, usage };
        let kind = if reason.is_none() { "response.completed" } else { "response.incomplete" };
        self.wire.state(kind, &state, &self.shown, out);
    }
}
