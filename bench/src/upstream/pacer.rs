//! Beats for paced streams, spread over time. The runtime's own timer has millisecond steps: a hundred streams on it
//! would send their chunks in four big volleys, and whoever forwards them would get by with few wake-ups.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::Context as _;
use tokio::sync::Notify;

use crate::script::PACE;

/// Streams are spread over that many moments within [`PACE`]: 125 us apart.
const PHASES: u32 = 32;

struct Shared {
    phases: Vec<Notify>,
    /// Streams now being paced; the thread sleeps while there is none.
    streams: AtomicUsize,
    /// Index of the phase that is on now.
    now: AtomicUsize,
}

/// Hands out beats; owns the thread that makes them.
pub(super) struct Pacer {
    shared: Arc<Shared>,
    thread: thread::Thread,
}

/// One stream's beat, from [`Pacer::join`] until dropped.
pub(super) struct Beat<'a> {
    shared: &'a Shared,
    phase: usize,
}

impl Pacer {
    pub(super) fn start() -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            phases: (0..PHASES).map(|_| Notify::new()).collect(),
            streams: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
        });
        let beating = shared.clone();
        let thread = thread::Builder::new().name("pacer".to_owned()).spawn(move || beating.beat()).context("pacer")?;
        Ok(Self { shared, thread: thread.thread().clone() })
    }

    /// Takes the phase that is on now: the next beat is one [`PACE`] away.
    pub(super) fn join(&self) -> Beat<'_> {
        if self.shared.streams.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.unpark();
        }
        Beat { shared: &self.shared, phase: self.shared.now.load(Ordering::Relaxed) }
    }
}

impl Beat<'_> {
    /// Waits for this stream's next moment. A stream that was held up skips the moments that it missed.
    pub(super) async fn next(&self) {
        if let Some(phase) = self.shared.phases.get(self.phase) {
            phase.notified().await;
        }
    }
}

impl Drop for Beat<'_> {
    fn drop(&mut self) {
        self.shared.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn beat(&self) {
        let step = PACE / PHASES;
        let mut next = Instant::now();
        for (index, phase) in self.phases.iter().enumerate().cycle() {
            while self.streams.load(Ordering::SeqCst) == 0 {
                thread::park();
                next = Instant::now();
            }
            self.now.store(index, Ordering::Relaxed);
            phase.notify_waiters();
            next += step;
            // May wake early when a stream joins; then waits on.
            while let Some(left) = next.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                thread::park_timeout(left);
            }
        }
    }
}
