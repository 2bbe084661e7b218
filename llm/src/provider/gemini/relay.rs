//! Gemini's streams to clients of the same dialect: events go on as they came, but for the model's name in each.

use bytes::Bytes;

use super::{error, own, wire};
use crate::{
    error::UpstreamError,
    json::{self, Visitor},
    provider::Shown,
    response::bad_answer,
    sse::{Event, Splitter},
    stream::{CostFn, Output, Phase, StreamDecoder, Tape, so_far, write_data},
    usage::Usage,
};

/// Largest event: an image in base64.
const MOST_EVENT: usize = 64 * 1024 * 1024;
/// Brackets around the members of a candidate, and of a part of its content: `[{content:{parts:[{`.
const CANDIDATE: u32 = 2;
const PART: u32 = 5;

/// Decoder for one answer.
pub(super) struct Relay {
    shown: Shown,
    events: Splitter,
    phase: Phase,
    started: bool,
    /// A reason to stop was given: the answer is complete when the upstream closes.
    complete: bool,
    /// The last event went on, so the rest of its line end may.
    kept: bool,
    counts: Option<wire::Counts>,
    queries: u64,
    tape: Tape,
}

/// Hears what is said.
struct Listener<'a> {
    tape: &'a mut Tape,
    /// In `candidates`, or in what is said of the prompt.
    answers: bool,
    blocks: bool,
    stopped: bool,
}

impl Visitor for Listener<'_> {
    fn member(&mut self, key: &[u8]) {
        self.answers = key == b"candidates";
        self.blocks = key == b"promptFeedback";
    }

    fn string(&mut self, key: &[u8], value: &[u8], _at: usize, depth: u32) {
        match key {
            b"blockReason" if self.blocks => self.stopped = true,
            b"finishReason" if self.answers && depth == CANDIDATE => self.stopped = true,
            b"text" if self.answers && depth == PART => self.tape.add_escaped(value),
            // Of calls.
            b"thoughtSignature" | b"data" | b"mimeType" => {}
            _ if self.answers && depth > PART => self.tape.add_escaped(value),
            _ => {}
        }
    }
}

impl Relay {
    /// For one answer.
    pub(super) fn new(shown: Shown) -> Self {
        Self {
            shown,
            events: Splitter::new(MOST_EVENT),
            phase: Phase::Open,
            started: false,
            complete: false,
            kept: true,
            counts: None,
            queries: 0,
            tape: Tape::default(),
        }
    }

    fn drain(&mut self, out: &mut Output) -> Result<(), UpstreamError> {
        while self.phase.is_open() {
            match self.events.next_event() {
                Ok(Some(event)) => self.event(&event, out)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(bad_answer(&error)),
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
        let Some(data) = fields.data.as_deref().map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) else {
            // Google's client takes a comment for an answer, and an empty line for nothing.
            self.kept = false;
            out.write(b"\n");
            return Ok(());
        };
        let mut listener = Listener { tape: &mut self.tape, answers: false, blocks: false, stopped: false };
        let mut members = Vec::with_capacity(8);
        json::scan_into(data, &mut members, &mut listener).map_err(|error| bad_answer(&error))?;
        let stopped = listener.stopped;
        let has = |name: &str| json::member(data, &members, name).is_some();
        if has("error") || !(has("candidates") || has("promptFeedback") || has("usageMetadata")) {
            return Err(error::within(data, "candidates"));
        }
        self.complete |= stopped;
        self.started = true;
        let (counts, queries) = own::used(data);
        self.counts = counts.or(self.counts.take());
        self.queries = self.queries.max(queries);
        let named = json::member(data, &members, "modelVersion");
        if named.is_none_or(|named| named == json::quoted(&self.shown.model)) {
            out.keep(event);
            return Ok(());
        }
        self.kept = false;
        let renamed = own::with_model(&Bytes::copy_from_slice(data), &members, &self.shown).to_bytes();
        write_data(out, &renamed);
        Ok(())
    }
}

impl StreamDecoder for Relay {
    fn push(&mut self, frame: Bytes) -> Result<Bytes, UpstreamError> {
        if let Some(left) = self.phase.left() {
            return left;
        }
        let mut out = Output::new(frame.clone(), bytes::BytesMut::new());
        self.events.feed(frame);
        match self.drain(&mut out) {
            Ok(()) => Ok(out.finish().0),
            Err(error) => self.phase.fail(error, out.finish().0),
        }
    }

    fn end(&mut self) -> Result<Bytes, UpstreamError> {
        if let Some(left) = self.phase.left() {
            return left;
        }
        let mut out = Output::new(Bytes::new(), bytes::BytesMut::new());
        if let Some(event) = self.events.finish() {
            // Cut inside an event: that counts as lost, and what came before decides whether the answer is complete.
            if self.event(&event, &mut out).is_ok() && self.kept && self.phase.is_open() {
                out.write(b"\n\n");
            }
        }
        if !self.complete {
            self.phase = Phase::Failed(None);
            return Err(bad_answer(&"its stream ended early"));
        }
        self.phase = Phase::Done;
        Ok(out.finish().0)
    }

    fn started(&self) -> bool {
        self.started
    }

    fn finished(&self) -> bool {
        !self.phase.is_open()
    }

    fn usage(&self) -> Option<Usage> {
        // Before the end it does not count all of what was said.
        let counts = self.counts.as_ref().filter(|_| self.complete);
        so_far(counts.and_then(|counts| counts.usage(self.queries)), self.complete, &self.tape)
    }

    fn tape(&self) -> &Tape {
        &self.tape
    }

    fn set_cost(&mut self, _: CostFn) {}
}
