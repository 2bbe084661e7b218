//! Anthropic's streams to clients of the same dialect: events go on as they came, but the first one, which names the model.

use bytes::Bytes;

use super::{error, own, wire};
use crate::{
    error::UpstreamError,
    json::{self, Visitor},
    provider::Shown,
    response::bad_answer,
    sse::{Event, Splitter},
    stream::{CostFn, Output, Phase, StreamDecoder, Tape, one_line, so_far},
    usage::Usage,
};

const STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// Decoder for one answer.
pub(super) struct Relay {
    shown: Shown,
    events: Splitter,
    phase: Phase,
    started: bool,
    /// A reason to stop was given: the answer is complete even if the upstream just closes.
    complete: bool,
    /// The last event went on, so the rest of its line end may.
    kept: bool,
    counts: wire::Usage,
    tape: Tape,
}

/// Hears what is said.
struct Listener<'a> {
    tape: &'a mut Tape,
    /// In what an event adds.
    grows: bool,
    stopped: bool,
}

impl Visitor for Listener<'_> {
    fn member(&mut self, key: &[u8]) {
        self.grows = matches!(key, b"delta" | b"content_block");
    }

    fn string(&mut self, key: &[u8], value: &[u8], _at: usize, depth: u32) {
        match key {
            _ if !self.grows || depth != 1 => {}
            b"text" | b"thinking" | b"partial_json" => self.tape.add_escaped(value),
            b"stop_reason" => self.stopped = true,
            _ => {}
        }
    }
}

impl Relay {
    /// For one answer.
    pub(super) fn new(shown: Shown) -> Self {
        Self {
            shown,
            events: Splitter::default(),
            phase: Phase::Open,
            started: false,
            complete: false,
            kept: true,
            counts: wire::Usage::default(),
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
            out.keep(event);
            return Ok(());
        };
        let mut listener = Listener { tape: &mut self.tape, grows: false, stopped: false };
        let mut members = Vec::with_capacity(4);
        json::scan_into(data, &mut members, &mut listener).map_err(|error| bad_answer(&error))?;
        self.complete |= listener.stopped;
        let value = |name: &str| json::member(data, &members, name);
        match value("type").and_then(json::as_str).as_deref() {
            Some("error") => return Err(error::within(data)),
            Some("ping") => {}
            Some("message_start") => {
                self.started = true;
                return self.begin(event, value("message").unwrap_or_default(), out);
            }
            Some("message_stop") => {
                // Nothing of its line ends may be missing, as nothing follows.
                if event.raw.ends_with(b"}\n\n") {
                    out.keep(event);
                } else {
                    out.write(STOP);
                }
                self.phase = Phase::Done;
                return Ok(());
            }
            _ => {
                self.started = true;
                self.count(value("usage"));
            }
        }
        out.keep(event);
        Ok(())
    }

    fn begin(&mut self, event: &Event, message: &[u8], out: &mut Output) -> Result<(), UpstreamError> {
        let message = Bytes::copy_from_slice(message);
        let members = json::scan(&message).map_err(|error| bad_answer(&error))?;
        self.count(json::member(&message, &members, "usage"));
        let renamed = own::with_model(&message, &members, &self.shown).to_bytes();
        if renamed == message {
            out.keep(event);
            return Ok(());
        }
        self.kept = false;
        out.write(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
        out.write(&one_line(&renamed));
        out.write(b"}\n\n");
        Ok(())
    }

    fn count(&mut self, usage: Option<&[u8]>) {
        if let Some(newer) = usage.and_then(|usage| serde_json::from_slice(usage).ok()) {
            self.counts.update(newer);
        }
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
        if !matches!(self.phase, Phase::Done) {
            if !self.complete {
                self.phase = Phase::Failed(None);
                return Err(bad_answer(&"its stream ended early"));
            }
            out.write(STOP);
            self.phase = Phase::Done;
        }
        Ok(out.finish().0)
    }

    fn started(&self) -> bool {
        self.started
    }

    fn finished(&self) -> bool {
        !self.phase.is_open()
    }

    fn usage(&self) -> Option<Usage> {
        so_far(self.counts.normal(), self.complete, &self.tape)
    }

    fn tape(&self) -> &Tape {
        &self.tape
    }

    fn set_cost(&mut self, _: CostFn) {}
}
