//! Streams of upstreams that speak another dialect than the client: cut into events, read into the neutral form, written anew.

use bytes::Bytes;

use super::{CostFn, Phase, StreamDecoder, Tape, framing::Framing, so_far};
use crate::{
    chat::{Delta, Event, Restoring},
    error::UpstreamError,
    inbound::{self, Writer},
    provider::{Operation, Shown},
    response,
    usage::Usage,
};

/// Reads one upstream's events.
pub(crate) trait Events: Send {
    /// The next one: its name (of server-sent events and AWS frames) and data. What it says is appended.
    ///
    /// # Errors
    /// The upstream failed within its stream, or sent what it should not. What was appended before still counts.
    fn read(&mut self, name: Option<&str>, data: &[u8], out: &mut Vec<Event>) -> Result<(), UpstreamError>;
}

/// Decoder for a stream that is translated.
pub(crate) struct Translated {
    framing: Framing,
    events: Box<dyn Events>,
    restoring: Restoring,
    client: Box<dyn Writer>,
    cost: Option<CostFn>,
    phase: Phase,
    started: bool,
    /// A choice came to its end: the answer is complete even if the upstream just closes.
    complete: bool,
    usage: Option<Usage>,
    tape: Tape,
    /// Room for the events of one frame.
    spare: Vec<Event>,
}

impl Translated {
    /// A decoder for one answer to `operation`.
    pub(crate) fn new(framing: Framing, events: Box<dyn Events>, operation: Operation, shown: Shown) -> Self {
        Self {
            framing,
            events,
            restoring: Restoring::new(shown.recall.clone()),
            client: inbound::writer(operation, shown),
            cost: None,
            phase: Phase::Open,
            started: false,
            complete: false,
            usage: None,
            tape: Tape::default(),
            spare: Vec::new(),
        }
    }

    fn drain(&mut self, out: &mut Vec<u8>) -> Result<(), UpstreamError> {
        let mut events = std::mem::take(&mut self.spare);
        while self.phase.is_open() {
            let Some(unit) = self.framing.next_unit()? else { break };
            let read = unit.read(&mut *self.events, &mut events);
            for event in events.drain(..) {
                if let Some(event) = self.restoring.event(event) {
                    self.pass_on(event, out);
                }
            }
            read?;
        }
        self.spare = events;
        Ok(())
    }

    fn pass_on(&mut self, event: Event, out: &mut Vec<u8>) {
        self.started = true;
        match &event {
            Event::Usage(usage) => {
                self.usage = Some(*usage);
                return;
            }
            Event::End => {
                if self.phase.is_open() {
                    self.close(out);
                }
                return;
            }
            Event::Finish { .. } => self.complete = true,
            Event::Delta { delta, .. } => self.hear(delta),
            Event::Start { .. } => {}
        }
        self.client.write(event, out);
    }

    fn hear(&mut self, delta: &Delta) {
        match delta {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Refusal(text) => self.tape.add(text),
            Delta::ToolCall { call, .. } => {
                self.tape.add(&call.name);
                self.tape.add(&call.arguments);
            }
            Delta::Arguments { json, .. } => self.tape.add(json),
            Delta::Signature(_)
            | Delta::RedactedThinking(_)
            | Delta::Annotation(_)
            | Delta::Logprobs(_)
            | Delta::Image(_) => {}
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let cost = self.cost.as_ref().zip(self.usage.as_ref()).and_then(|(cost, usage)| cost(usage));
        self.client.end(self.usage.as_ref(), cost, out);
        self.phase = Phase::Done;
    }
}

impl StreamDecoder for Translated {
    fn push(&mut self, frame: Bytes) -> Result<Bytes, UpstreamError> {
        if let Some(left) = self.phase.left() {
            return left;
        }
        self.framing.feed(frame);
        let mut out = Vec::new();
        match self.drain(&mut out) {
            Ok(()) => Ok(out.into()),
            Err(error) => self.phase.fail(error, out.into()),
        }
    }

    fn end(&mut self) -> Result<Bytes, UpstreamError> {
        if let Some(left) = self.phase.left() {
            return left;
        }
        let mut out = Vec::new();
        self.framing.finish();
        // Cut inside an event: that counts as lost, and what came before decides whether the answer is complete.
        let _ = self.drain(&mut out);
        if self.phase.is_open() {
            if !self.complete {
                return self.phase.fail(response::bad_answer(&"its stream ended early"), out.into());
            }
            self.close(&mut out);
        }
        Ok(out.into())
    }

    fn started(&self) -> bool {
        self.started
    }

    fn finished(&self) -> bool {
        !self.phase.is_open()
    }

    fn usage(&self) -> Option<Usage> {
        so_far(self.usage, self.complete, &self.tape)
    }

    fn tape(&self) -> &Tape {
        &self.tape
    }

    fn set_cost(&mut self, cost: CostFn) {
        self.cost = Some(cost);
    }
}
