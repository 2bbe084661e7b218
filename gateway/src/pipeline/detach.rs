//! A call that goes on when its client leaves, so that what it costs is known.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// Set once nobody wants an attempt any more: another one was faster.
pub type Lost = Arc<AtomicBool>;

/// How long one that is lost goes on: what was about to answer has its exact cost, and nothing works for nobody.
const LOST: Duration = Duration::from_secs(2);

/// Runs a future in place; dropped before its end, the rest of it runs as a task of its own, at most `bound` long, or [`LOST`].
pub struct Detach<T: Send + 'static> {
    inner: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    bound: Duration,
    lost: Option<Lost>,
}

impl<T: Send + 'static> Detach<T> {
    /// Wraps a call.
    pub fn new(call: impl Future<Output = T> + Send + 'static, bound: Duration, lost: Option<Lost>) -> Self {
        Self { inner: Some(Box::pin(call)), bound, lost }
    }
}

impl<T: Send + 'static> Future for Detach<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Pending;
        };
        let polled = inner.as_mut().poll(cx);
        if polled.is_ready() {
            self.inner = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Detach<T> {
    fn drop(&mut self) {
        if let Some(rest) = self.inner.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let is_lost = self.lost.as_ref().is_some_and(|lost| lost.load(Ordering::Acquire));
            let bound = if is_lost { LOST.min(self.bound) } else { self.bound };
            runtime.spawn(async move { tokio::time::timeout(bound, rest).await.ok() });
        }
    }
}
