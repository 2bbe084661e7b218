//! Streams of OpenAI's Responses between two that both speak it: events go on as they came, with the model's shown name.

use bytes::{Bytes, BytesMut};

use super::{CostFn, Phase, StreamDecoder, Tape, openai::write_data, output::Output};
use crate::{
    error::UpstreamError,
    json::{self, Member, Span},
    provider::Shown,
    response,
    sse::{Event, Fields, Splitter},
    usage::{Service, Usage},
};

/// Decoder for one answer.
pub(crate) struct ResponsesStream {
    /// The name to show, as a JSON string.
    model: Bytes,
    events: Splitter,
    members: Vec<Member>,
    phase: Phase,
    started: bool,
    /// The last event went on, so the rest of its line end may.
    kept: bool,
    usage: Option<Usage>,
    tape: Tape,
    /// Room for the next output.
    spare: BytesMut,
}

/// What an event means to the gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// More of the answer.
    Delta,
    /// The last event.
    Last,
    /// The last event, with the failure in its `response`.
    Failed,
    /// A failure itself.
    Error,
    Other,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        match name {
            b"response.completed" | b"response.incomplete" => Self::Last,
            b"response.failed" => Self::Failed,
            b"error" => Self::Error,
            name if name.ends_with(b".delta") && name != b"response.audio.delta" => Self::Delta,
            _ => Self::Other,
        }
    }
}

impl ResponsesStream {
    /// At its beginning.
    pub(crate) fn new(shown: &Shown) -> Self {
        Self {
            model: json::quoted(&shown.model).into(),
            events: Splitter::default(),
            members: Vec::new(),
            phase: Phase::Open,
            started: false,
            kept: true,
            usage: None,
            tape: Tape::default(),
            spare: BytesMut::new(),
        }
    }

    fn drain(&mut self, out: &mut Output) -> Result<(), UpstreamError> {
        while self.phase.is_open() {
            match self.events.next_event() {
                Ok(Some(event)) => self.event(&event, out)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(response::bad_answer(&error)),
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &Event, out: &mut Output) -> Result<(), UpstreamError> {
        if event.tail {
            if self.kept {
                out.keep(event);
            }
            return Ok(());
        }
        self.kept = true;
        let fields = event.fields();
        let Some(data) = fields.data.as_deref().filter(|data| !data.trim_ascii().is_empty()) else {
            out.keep(event);
            return Ok(());
        };
        if data.trim_ascii() == b"[DONE]" {
            self.kept = false;
            return Ok(());
        }
        let mut members = std::mem::take(&mut self.members);
        json::scan_into(data, &mut members, &mut ()).map_err(|error| response::bad_answer(&error))?;
        let kind = json::member(data, &members, "type").map_or(Kind::Other, |name| Kind::of(trimmed(name)));
        if kind == Kind::Error {
            return Err(response::reported(data));
        }
        self.started = true;
        if kind == Kind::Delta
            && let Some([b'"', delta @ .., b'"']) = json::member(data, &members, "delta")
        {
            self.tape.add_escaped(delta);
        }
        let answer = members.iter().rev().find(|member| member.is("response", data)).map(|member| member.value);
        self.members = members;
        let Some(answer) = answer else {
            out.keep(event);
            return Ok(());
        };
        self.answer(event, &fields, answer, out);
        match kind {
            Kind::Last => {
                // The rest of its line end may come with the next frame, which is not read.
                if self.kept && event.raw.ends_with(b"\r") {
                    out.write(b"\n");
                }
                self.phase = Phase::Done;
            }
            Kind::Failed => return Err(response::reported(answer.of(data))),
            Kind::Delta | Kind::Error | Kind::Other => {}
        }
        Ok(())
    }

    /// An event that holds the answer as it is so far: its model's name is the shown one, and its usage is read.
    fn answer(&mut self, event: &Event, fields: &Fields<'_>, answer: Span, out: &mut Output) {
        let data = fields.data.as_deref().unwrap_or_default();
        let text = answer.of(data);
        let members = json::scan(text).unwrap_or_default();
        if let Some(usage) = json::member(text, &members, "usage").and_then(Usage::from_openai) {
            self.usage = Some(usage.served(Service::of(json::member(text, &members, "service_tier"))));
        }
        let named = members.iter().rev().find(|member| member.is("model", text)).map(|member| member.value);
        let Some(model) = named.filter(|model| model.of(text) != self.model) else {
            return out.keep(event);
        };
        let model = Span { start: answer.start + model.start, end: answer.start + model.end };
        if let Some(at) = fields.data_at {
            let old = Span { start: at.start + model.start, end: at.start + model.end };
            return out.keep_changed(event, old, &self.model);
        }
        self.kept = false;
        if let Some(name) = fields.event {
            out.write(b"event: ");
            out.write(name);
            out.write(b"\n");
        }
        let before = data.get(..model.start).unwrap_or_default();
        let after = data.get(model.end..).unwrap_or_default();
        write_data(out, &[before, &self.model, after].concat());
    }

    fn finish(&mut self, out: Output) -> Bytes {
        let (bytes, spare) = out.finish();
        self.spare = spare;
        bytes
    }
}

/// A string's text without its quotes; names of events hold no escapes.
fn trimmed(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        other => other,
    }
}

impl StreamDecoder for ResponsesStream {
    fn push(&mut self, frame: Bytes) -> Result<Bytes, UpstreamError> {
        if let Some(left) = self.phase.left() {
            return left;
        }
        let mut out = Output::new(frame.clone(), std::mem::take(&mut self.spare));
        self.events.feed(frame);
        match self.drain(&mut out) {
            Ok(()) => Ok(self.finish(out)),
            Err(error) => {
                let before = self.finish(out);
                self.phase.fail(error, before)
            }
        }
    }

    fn end(&mut self) -> Result<Bytes, UpstreamError> {
        if let Some(left) = self.phase.left() {
            return left;
        }
        let mut out = Output::new(Bytes::new(), std::mem::take(&mut self.spare));
        // Cut inside an event: that counts as lost, and what came before decides whether the answer is complete.
        if let Some(last) = self.events.finish()
            && self.event(&last, &mut out).is_ok()
            && matches!(self.phase, Phase::Done)
        {
            out.write(b"\n\n");
            return Ok(self.finish(out));
        }
        let error = response::bad_answer(&"its stream ended early");
        self.phase.fail(error, Bytes::new())
    }

    fn started(&self) -> bool {
        self.started
    }

    fn finished(&self) -> bool {
        !self.phase.is_open()
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Usage of this dialect has no place for it.
    fn set_cost(&mut self, _: CostFn) {}
}
