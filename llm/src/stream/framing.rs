//! How upstreams cut their streams into events.

use bytes::Bytes;

use super::{lines::Lines, translated::Events};
use crate::{
    chat::Event,
    error::UpstreamError,
    eventstream::{Kind, Message, Messages},
    provider::aws_exception,
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
    /// AWS event-stream messages.
    AwsEvents(Messages),
    /// A JSON object a line.
    Lines(Lines),
}

/// One event as it came.
pub(crate) enum Unit {
    Sse(sse::Event),
    Aws(Message),
    Line(Bytes),
}

impl Framing {
    /// Server-sent events.
    pub(crate) fn sse() -> Self {
        Self::Sse { splitter: Splitter::default(), last: None }
    }

    /// AWS event-stream messages; exceptions among them end the stream with their error.
    pub(crate) fn aws_events() -> Self {
        Self::AwsEvents(Messages::default())
    }

    /// A JSON object a line.
    pub(crate) fn lines() -> Self {
        Self::Lines(Lines::default())
    }

    /// Hands in the next bytes.
    pub(super) fn feed(&mut self, frame: Bytes) {
        match self {
            Self::Sse { splitter, .. } => splitter.feed(frame),
            Self::AwsEvents(messages) => messages.feed(&frame),
            Self::Lines(lines) => lines.feed(&frame),
        }
    }

    /// Nothing more will come.
    pub(super) fn finish(&mut self) {
        match self {
            Self::Sse { splitter, last } => *last = splitter.finish(),
            // The begin of a message says nothing.
            Self::AwsEvents(_) => {}
            Self::Lines(lines) => lines.finish(),
        }
    }

    /// The next complete event; `None` = more bytes are needed.
    pub(super) fn next_unit(&mut self) -> Result<Option<Unit>, UpstreamError> {
        match self {
            Self::Sse { splitter, last } => {
                let event = splitter.next_event().map_err(|error| response::bad_answer(&error))?;
                Ok(event.or_else(|| last.take()).map(Unit::Sse))
            }
            Self::AwsEvents(messages) => {
                let message = messages.next_message().map_err(|error| response::bad_answer(&error))?;
                match message {
                    Some(Message { kind: Kind::Exception | Kind::Error, name, payload }) => {
                        Err(aws_exception(&name, &payload))
                    }
                    event => Ok(event.map(Unit::Aws)),
                }
            }
            Self::Lines(lines) => {
                let line = lines.next_line().map_err(|error| response::bad_answer(&error))?;
                Ok(line.map(Unit::Line))
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
            Self::Line(line) => match line.trim_ascii() {
                [] => Ok(()),
                line => events.read(None, line, out),
            },
            Self::Aws(message) => events.read(Some(&message.name), &message.payload, out),
        }
    }
}
