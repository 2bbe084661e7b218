//! Answers that go through as they come: events whose usage is read on the way, or bytes that are nobody's to read.

use bytes::{Bytes, BytesMut};

use crate::{
    error::UpstreamError,
    json,
    response::{bad_answer, reported},
    sse::Splitter,
    stream::{CostFn, StreamDecoder, Tape},
    usage::Usage,
};

/// Largest event: an image in base64.
const MOST_EVENT: usize = 64 * 1024 * 1024;

/// Passes an answer through unchanged.
pub struct Relayed {
    /// Cuts it into events; `None` = it is sound.
    events: Option<Splitter>,
    /// What came before the first event was whole, which may say that there will be none.
    held: BytesMut,
    started: bool,
    usage: Option<Usage>,
    tape: Tape,
}

impl Relayed {
    /// Server-sent events.
    pub fn events() -> Self {
        Self { events: Some(Splitter::new(MOST_EVENT)), ..Self::bytes() }
    }

    /// Anything else.
    pub fn bytes() -> Self {
        Self { events: None, held: BytesMut::new(), started: false, usage: None, tape: Tape::default() }
    }

    fn read(&mut self, events: &mut Splitter) -> Result<(), UpstreamError> {
        while let Some(event) = events.next_event().map_err(|error| bad_answer(&error))? {
            if let Some(data) = event.fields().data {
                self.event(&data)?;
            }
        }
        Ok(())
    }

    /// The frame, behind what was held.
    fn passed(&mut self, frame: Bytes) -> Bytes {
        if self.started && self.held.is_empty() {
            return frame;
        }
        self.held.extend_from_slice(&frame);
        if self.started { self.held.split().freeze() } else { Bytes::new() }
    }

    fn event(&mut self, data: &[u8]) -> Result<(), UpstreamError> {
        // What is no JSON is the client's to judge.
        let Ok(members) = json::scan(data) else {
            self.started = true;
            return Ok(());
        };
        let kind = json::member(data, &members, "type").and_then(json::as_str).unwrap_or_default();
        let failed = kind == "error" || json::member(data, &members, "error").is_some_and(|error| error != b"null");
        if failed && !self.started {
            return Err(reported(data));
        }
        self.started = true;
        let images = u64::from(matches!(&*kind, "image_generation.completed" | "image_edit.completed"));
        let usage = json::member(data, &members, "usage").and_then(Usage::from_openai);
        if images > 0 || usage.is_some() {
            let before = self.usage.unwrap_or_default();
            let queries = before.queries.saturating_add(images);
            let now = usage.unwrap_or(before);
            self.usage = Some(Usage { queries: now.queries.max(queries), ..now });
        }
        Ok(())
    }
}

impl StreamDecoder for Relayed {
    fn push(&mut self, frame: Bytes) -> Result<Bytes, UpstreamError> {
        let Some(mut events) = self.events.take() else {
            self.started |= !frame.is_empty();
            return Ok(frame);
        };
        events.feed(frame.clone());
        let read = self.read(&mut events);
        self.events = Some(events);
        read?;
        Ok(self.passed(frame))
    }

    fn end(&mut self) -> Result<Bytes, UpstreamError> {
        let last = self.events.as_mut().and_then(Splitter::finish);
        if let Some(data) = last.as_ref().and_then(|event| event.fields().data) {
            self.event(&data)?;
        }
        if self.started { Ok(self.passed(Bytes::new())) } else { Err(bad_answer(&"it is empty")) }
    }

    fn started(&self) -> bool {
        self.started
    }

    fn finished(&self) -> bool {
        false
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn tape(&self) -> &Tape {
        &self.tape
    }

    fn set_cost(&mut self, _: CostFn) {}
}
