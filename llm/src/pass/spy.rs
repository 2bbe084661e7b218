//! A stream that goes through byte by byte, while the provider's own decoder reads along what it uses.

use bytes::Bytes;

use crate::{
    error::UpstreamError,
    stream::{CostFn, StreamDecoder, Tape},
    usage::Usage,
};

/// Passes an answer through unchanged.
pub struct Spy {
    /// Reads along; `None` = nothing is read.
    reader: Option<Box<dyn StreamDecoder>>,
    /// It met what it does not understand: what it heard until then counts.
    lost: bool,
    nothing: Tape,
}

impl Spy {
    /// With the decoder of the provider's dialect, where it is a dialect of a model call.
    pub fn new(reader: Option<Box<dyn StreamDecoder>>) -> Self {
        Self { reader, lost: false, nothing: Tape::default() }
    }
}

impl StreamDecoder for Spy {
    fn push(&mut self, frame: Bytes) -> Result<Bytes, UpstreamError> {
        if let Some(reader) = self.reader.as_mut().filter(|reader| !self.lost && !reader.finished()) {
            self.lost = reader.push(frame.clone()).is_err();
        }
        Ok(frame)
    }

    fn end(&mut self) -> Result<Bytes, UpstreamError> {
        if let Some(reader) = self.reader.as_mut().filter(|_| !self.lost) {
            self.lost = reader.end().is_err();
        }
        Ok(Bytes::new())
    }

    /// The upstream's status is the client's: there is nothing to wait for.
    fn started(&self) -> bool {
        true
    }

    fn finished(&self) -> bool {
        false
    }

    fn usage(&self) -> Option<Usage> {
        self.reader.as_ref().and_then(|reader| reader.usage())
    }

    fn tape(&self) -> &Tape {
        self.reader.as_ref().map_or(&self.nothing, |reader| reader.tape())
    }

    fn set_cost(&mut self, _: CostFn) {}
}
