//! Streams of chat and completions chunks in the OpenAI dialect.
//!
//! Most chunks need nothing or one new model name, so they go on as they came, with at most that one range
//! exchanged. Only what carries usage is edited as an object.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::{CostFn, Phase, StreamDecoder, Tape, chunk::Chunk, output::Output, pattern::Pattern};
use crate::{
    error::UpstreamError,
    json::{self, Member, Span},
    provider::Shown,
    response::{self, thoughts::Thoughts},
    splice::Editor,
    sse::{Event, Fields, Splitter},
    usage::Usage,
};

mod with_usage;

const DONE: &[u8] = b"data: [DONE]\n\n";

/// Decoder for every upstream that streams OpenAI's chunks.
pub struct OpenAiStream {
    include_usage: bool,
    /// The name to show, as a JSON string.
    model: Bytes,
    cost: Option<CostFn>,
    events: Splitter,
    members: Vec<Member>,
    phase: Phase,
    started: bool,
    /// A finish reason was seen: the answer is complete even without `[DONE]`.
    complete: bool,
    /// The last event went on, so the rest of its line end may.
    kept: bool,
    usage: Option<Usage>,
    /// The last chunk that held usage beside choices, and its usage: shown as a chunk of its own before the end.
    held: Option<(Bytes, Bytes)>,
    tape: Tape,
    pattern: Pattern,
    /// Contents may be lists of parts.
    in_parts: bool,
    /// Contents may begin with thinking.
    thoughts: Option<Thoughts>,
    /// Room for the next output.
    spare: BytesMut,
}

impl OpenAiStream {
    /// A decoder for one answer.
    pub fn new(shown: Shown) -> Self {
        let Shown { model, include_usage, .. } = shown;
        Self {
            include_usage,
            model: json::quoted(&model).into(),
            cost: None,
            events: Splitter::default(),
            members: Vec::new(),
            phase: Phase::Open,
            started: false,
            complete: false,
            kept: true,
            usage: None,
            held: None,
            tape: Tape::default(),
            pattern: Pattern::default(),
            in_parts: false,
            thoughts: None,
            spare: BytesMut::new(),
        }
    }

    /// For an upstream whose contents may be lists of parts: they are told as texts.
    pub(crate) fn in_parts(mut self) -> Self {
        self.in_parts = true;
        self
    }

    /// For an upstream whose contents may begin with what the model thought: it is told apart.
    pub(crate) fn with_thoughts(mut self, are_split: bool) -> Self {
        self.thoughts = are_split.then(Thoughts::default);
        self
    }

    /// The text of an event of a known shape, where it may go on as it is.
    fn spoken<'a>(&self, event: &'a Bytes) -> Option<&'a [u8]> {
        if self.thoughts.as_ref().is_some_and(|thoughts| !thoughts.are_over()) {
            return None;
        }
        self.pattern.spoken(event)
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
        if let Some(spoken) = self.spoken(&event.raw) {
            self.tape.add_escaped(spoken);
            match self.pattern.model.filter(|model| model.of(&event.raw) != self.model) {
                Some(model) => out.keep_changed(event, model, &self.model),
                None => out.keep(event),
            }
            return Ok(());
        }
        let fields = event.fields();
        match fields.data.as_deref().map(<[u8]>::trim_ascii) {
            None => out.keep(event),
            // Data without content is a keep-alive that SDKs would try to parse.
            Some([]) => self.kept = false,
            Some(b"[DONE]") => self.done(event, out),
            Some(data) => {
                let plain = match &mut self.thoughts {
                    Some(thoughts) => thoughts.chunk(data),
                    None if self.in_parts => response::plain_contents(data, "delta"),
                    None => None,
                };
                match plain {
                    Some(plain) => {
                        let raw = [b"data: ", &plain[..], b"\n\n"].concat();
                        let event = Event { raw: raw.into(), at: None, tail: false };
                        self.kept = false;
                        self.chunk(&event, &event.fields(), out)?;
                    }
                    None => self.chunk(event, &fields, out)?,
                }
            }
        }
        Ok(())
    }

    fn done(&mut self, event: &Event, out: &mut Output) {
        self.started = true;
        self.show_held(out);
        if event.raw.ends_with(b"]\n\n") {
            out.keep(event);
        } else {
            out.write(DONE);
        }
        self.phase = Phase::Done;
    }

    fn chunk(&mut self, event: &Event, fields: &Fields<'_>, out: &mut Output) -> Result<(), UpstreamError> {
        let data = fields.data.as_deref().unwrap_or_default();
        let mut members = std::mem::take(&mut self.members);
        let chunk = Chunk::read(data, &mut members, &mut self.tape).map_err(|error| response::bad_answer(&error))?;
        let named_error = chunk.is_error || fields.event == Some(b"error");
        if chunk.error || (named_error && chunk.choices.is_none()) {
            return Err(response::reported(data));
        }
        self.started = true;
        self.complete |= chunk.finish;
        let view = View { event, fields, data, members: &members, chunk };
        self.pattern.learn(&view);
        if chunk.usage.is_some_and(|usage| is_object(usage.of(data))) || chunk.x_groq.is_some() {
            self.chunk_with_usage(&view, out);
        } else {
            self.plain_chunk(&view, out);
        }
        self.members = members;
        Ok(())
    }

    /// Passes a chunk on with the model's shown name.
    fn plain_chunk(&mut self, view: &View<'_>, out: &mut Output) {
        let Some(model) = view.chunk.model.filter(|model| model.of(view.data) != self.model) else {
            return out.keep(view.event);
        };
        match view.fields.data_at {
            Some(at) => {
                let old = Span { start: at.start + model.start, end: at.start + model.end };
                out.keep_changed(view.event, old, &self.model);
            }
            None => self.edit(view, out, |_| {}),
        }
    }

    /// Passes a chunk on as an edited object.
    fn edit(&mut self, view: &View<'_>, out: &mut Output, change: impl FnOnce(&mut Editor<'_>)) {
        let text = match view.fields.data_at {
            Some(at) => view.event.raw.slice(at.start..at.end),
            None => Bytes::copy_from_slice(view.data),
        };
        let mut editor = Editor::new(&text, view.members);
        editor.replace("model", self.model.clone());
        change(&mut editor);
        let new = editor.finish().to_bytes();
        if let Some(at) = view.fields.data_at {
            return out.keep_changed(view.event, at, &new);
        }
        self.kept = false;
        for (name, value) in [(&b"event: "[..], view.fields.event), (b"id: ", view.fields.id)] {
            if let Some(value) = value {
                out.write(name);
                out.write(value);
                out.write(b"\n");
            }
        }
        write_data(out, &new);
    }

    /// An event with the model's shown name.
    fn with_model(&mut self, event: &[u8], old: Span) -> Bytes {
        self.spare.reserve(event.len() + self.model.len());
        self.spare.extend_from_slice(event.get(..old.start).unwrap_or_default());
        self.spare.extend_from_slice(&self.model);
        self.spare.extend_from_slice(event.get(old.end..).unwrap_or_default());
        self.spare.split().freeze()
    }

    fn finish(&mut self, out: Output) -> Bytes {
        let (bytes, spare) = out.finish();
        self.spare = spare;
        bytes
    }

    /// What the stream ended with, without the blank line that would have ended it.
    fn leftover(&mut self, out: &mut Output) {
        let Some(event) = self.events.finish() else {
            return;
        };
        // Cut inside an event: that counts as lost, and what came before decides whether the answer is complete.
        if self.event(&event, out).is_ok() && self.kept && self.phase.is_open() {
            out.write(b"\n\n");
        }
    }
}

impl StreamDecoder for OpenAiStream {
    fn push(&mut self, frame: Bytes) -> Result<Bytes, UpstreamError> {
        if let Some(left) = self.phase.left() {
            return left;
        }
        if self.events.is_between_events()
            && let Some(spoken) = self.spoken(&frame)
        {
            // The frame is one event of a known shape.
            self.kept = true;
            self.tape.add_escaped(spoken);
            let changed = self.pattern.model.filter(|model| model.of(&frame) != self.model);
            return Ok(changed.map_or_else(|| frame.clone(), |model| self.with_model(&frame, model)));
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
        self.leftover(&mut out);
        if !matches!(self.phase, Phase::Done) {
            if !self.complete {
                self.phase = Phase::Failed(None);
                return Err(response::bad_answer(&"its stream ended early"));
            }
            self.show_held(&mut out);
            out.write(DONE);
            self.phase = Phase::Done;
        }
        Ok(self.finish(out))
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

    fn set_cost(&mut self, cost: CostFn) {
        self.cost = Some(cost);
    }
}

/// A chunk with everything known about it.
pub(super) struct View<'a> {
    pub(super) event: &'a Event,
    pub(super) fields: &'a Fields<'a>,
    data: &'a [u8],
    members: &'a [Member],
    pub(super) chunk: Chunk,
}

fn is_object(value: &[u8]) -> bool {
    value.first() == Some(&b'{')
}

/// An event with this JSON, on one line: a line feed in JSON text is white space.
pub(crate) fn write_data(out: &mut Output, text: &[u8]) {
    out.write(b"data: ");
    out.write(&one_line(text));
    out.write(b"\n\n");
}

/// JSON without line ends.
pub(crate) fn one_line(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\n', b'\r', text).is_some() {
        Cow::Owned(text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect())
    } else {
        Cow::Borrowed(text)
    }
}
