//! A request body of chained slices, sent without joining them.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use turnpike_llm::splice::Splices;

/// Splices as a body. Its exact size becomes the Content-Length.
#[derive(Debug)]
pub struct SplicedBody {
    left: usize,
    slices: <Splices as IntoIterator>::IntoIter,
}

impl From<Splices> for SplicedBody {
    fn from(splices: Splices) -> Self {
        Self { left: splices.len(), slices: splices.into_iter() }
    }
}

impl Body for SplicedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(slice) = self.slices.next() else {
            return Poll::Ready(None);
        };
        self.left = self.left.saturating_sub(slice.len());
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
