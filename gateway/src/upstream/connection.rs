//! One HTTP/1.1 connection to an upstream, moved by the request that uses it.
//!
//! hyper expects a task of its own for each connection, and hands an answer over chunk by chunk: a wake-up, two turns of
//! the runtime and one write to the client for every chunk. Here the request's task polls the connection itself, so all
//! that one read brought is at hand at once and goes on in one write, and a lone token waits for nobody's turn.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;

use super::{body::SplicedBody, connect::Stream};

/// A connection and what moves it.
pub(super) struct Connection {
    sender: SendRequest<SplicedBody>,
    /// `None` = it has ended; whoever waited for it was told how.
    driver: Option<http1::Connection<TokioIo<Stream>, SplicedBody>>,
    relay: Arc<Relay>,
    /// Of `relay`.
    waker: Waker,
}

/// Wakes the task that uses the connection now, and knows whether anything happened since it last looked.
struct Relay {
    task: Mutex<Waker>,
    stirred: AtomicBool,
    /// The task itself is taking a part of the answer, which wakes the driver: no reason to wake the task.
    taking: AtomicBool,
}

impl Connection {
    pub(super) async fn open(stream: Stream) -> hyper::Result<Self> {
        let (sender, driver) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
        let relay = Arc::new(Relay {
            task: Mutex::new(Waker::noop().clone()),
            stirred: AtomicBool::new(true),
            taking: AtomicBool::new(false),
        });
        let waker = Waker::from(Arc::clone(&relay));
        Ok(Self { sender, driver: Some(driver), relay, waker })
    }

    /// Sends a request; ends with the head of its answer, whose body is read with [`Self::poll_body`].
    pub(super) async fn send(
        &mut self,
        request: Request<SplicedBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<SplicedBody>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let answered = poll_fn(|cx| {
            self.relay.follow(cx.waker());
            self.drive();
            // Nothing but the driver completes it.
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await;
        // The body has not been looked for yet.
        self.relay.stirred.store(true, Ordering::Release);
        answered
    }

    /// The next part of the answer's body, which must be that of the last [`Self::send`].
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.relay.follow(cx.waker());
        // hyper's server asks several times a turn.
        if !self.relay.stirred.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let mut polled = self.take(body);
        if polled.is_pending() {
            self.drive();
            polled = self.take(body);
        }
        if polled.is_ready() {
            // There may be more; the caller asks until there is not.
            self.relay.stirred.store(true, Ordering::Release);
        }
        polled
    }

    /// Whether it can take a request. Nobody watches an idle connection: that its server closed it is noticed here.
    pub(super) fn is_ready(&mut self) -> bool {
        self.relay.follow(Waker::noop());
        self.drive();
        self.driver.is_some() && self.sender.is_ready()
    }

    /// What the driver has handed over. Nothing but the driver brings more, so no waker is needed.
    fn take(&mut self, body: &mut Incoming) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.relay.taking.store(true, Ordering::Release);
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        self.relay.taking.store(false, Ordering::Release);
        polled
    }

    /// Reads and writes what can be now; the relay is woken when there is more to do.
    fn drive(&mut self) {
        // Before, not after: what happens meanwhile must not be missed.
        self.relay.stirred.store(false, Ordering::Release);
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(&mut Context::from_waker(&self.waker)).is_ready()
        {
            self.driver = None;
        }
    }
}

impl Relay {
    fn follow(&self, task: &Waker) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(task);
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.stirred.store(true, Ordering::Release);
        if !self.taking.load(Ordering::Acquire) {
            self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }
}
