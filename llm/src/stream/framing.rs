//! How upstreams cut their streams into events.

use bytes::Bytes;

use super::translated::Events;
use crate::{
    chat::Event,
    error::UpstreamError,
    response,
    sse::{self, Splitter},
};

/// A way of cutting.
pub(crate) enum Framing {
    /// Server-sent events.
    Sse {
        /// Cuts.
        splitter: Splitter,
        /// What the stream ended in, without the blank line that would have ended it.
        last: Option<sse::Event>,
    },
}

/// One event as it came.
pub(crate) enum Unit {
    Sse(sse::Event),
}

impl Framing {
    /// Server-sent events.
    pub(crate) fn sse() -> Self {
        Self::Sse { splitter: Splitter::default(), last: None }
    }

    /// Hands in the next bytes.
    pub(super) fn feed(&mut self, frame: Bytes) {
        match self {
            Self::Sse { splitter, .. } => splitter.feed(frame),
        }
    }

    /// Nothing more will come.
    pub(super) fn finish(&mut self) {
        match self {
            Self::Sse { splitter, last } => *last = splitter.finish(),
        }
    }

    /// The next complete event; `None` = more bytes are needed.
    pub(super) fn next_unit(&mut self) -> Result<Option<Unit>, UpstreamError> {
        match self {
            Self::Sse { splitter, last } => {
                let event = splitter.next_event().map_err(|error| response::bad_answer(&error))?;
                Ok(event.or_else(|| last.take()).map(Unit::Sse))
            }
        }
    }
}

impl Unit {
    /// Has it read.
    pub(super) fn read(&self, events: &mut dyn Events, out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        match self {
            Self::Sse(event) => {
                let fields = event.fields();
                let name = fields.event.and_then(|name| std::str::from_utf8(name).ok());
                match fields.data.as_deref().map(<[u8]>::trim_ascii) {
                    // Comments, and keep-alives without content.
                    None | Some([]) => Ok(()),
                    Some(data) => events.read(name, data, out),
                }
            }
        }
    }
}
