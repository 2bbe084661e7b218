//! Where a decoder stands: what is given once its stream is over, and an error behind the bytes that came before it.

use bytes::Bytes;

use crate::error::UpstreamError;

pub(crate) enum Phase {
    Open,
    /// The end was passed on.
    Done,
    /// Broken; the error is there until it was given.
    Failed(Option<UpstreamError>),
}

impl Phase {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// What is left to give after the stream's end; `None` = it goes on.
    pub(crate) fn left(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        match self {
            Self::Open => None,
            Self::Done => Some(Ok(Bytes::new())),
            Self::Failed(error) => Some(error.take().map_or(Ok(Bytes::new()), Err)),
        }
    }

    /// Ends it with an error: given at once, or behind the bytes that came before it.
    pub(crate) fn fail(&mut self, error: UpstreamError, before: Bytes) -> Result<Bytes, UpstreamError> {
        if before.is_empty() {
            *self = Self::Failed(None);
            return Err(error);
        }
        *self = Self::Failed(Some(error));
        Ok(before)
    }
}
