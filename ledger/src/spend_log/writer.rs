//! The one owner of the spend store: takes rows from every runtime, writes them in batches, keeps them while the store fails.
//!
//! Memory is bounded by places, not by hope: a request takes a place before it is admitted and its row goes into that place
//! when it ends, so submitting cannot fail and cannot wait. While the store is down places run out, and the gateway
//! refuses new requests instead of losing what the running ones cost.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time,
};
use uuid::Uuid;

use super::{EventId, SpendRow, SpendStore};

mod task;

/// Sizes and times of a writer.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Most rows that are reserved or wait to be written, all requests in flight included.
    pub capacity: usize,
    /// Most rows of one transaction.
    pub batch: usize,
    /// Longest that a row waits for others before it is written.
    pub interval: Duration,
    /// First pause after a failed write; it doubles with each further failure.
    pub retry: Duration,
    /// Longest pause between tries.
    pub retry_max: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            capacity: 32_768,
            // Larger ones are no cheaper by the row, and hold more memory: rows, their pages, their write-ahead records.
            batch: 1_024,
            interval: Duration::from_millis(200),
            retry: Duration::from_millis(50),
            retry_max: Duration::from_secs(2),
        }
    }
}

/// No place left: the store cannot keep up or is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the spend log is full")]
pub struct Full;

/// Rows that a flush could not write in time. They are lost when the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rows} spend rows were not written")]
pub struct Unwritten {
    /// How many.
    pub rows: usize,
}

/// How the log is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendStatus {
    /// Rows submitted but not in the store yet.
    pub backlog: usize,
    /// Places still free.
    pub free: usize,
    /// Rows written since the start.
    pub written: u64,
    /// Why the store refuses at the moment; `None` = it works.
    pub failure: Option<Arc<str>>,
}

struct Shared {
    incarnation: Uuid,
    next: AtomicU64,
    /// Submitted, not written. Raised before a row is sent, so it never falls below what the queue holds.
    backlog: AtomicUsize,
    written: AtomicU64,
    wake: Notify,
    batch: usize,
    on_written: OnceLock<OnWritten>,
}

type OnWritten = Box<dyn Fn(&[SpendRow]) + Send + Sync>;

/// Takes rows. Cheap to clone; works from any thread and runtime.
#[derive(Clone)]
pub struct SpendSink {
    shared: Arc<Shared>,
    queue: mpsc::Sender<SpendRow>,
    failure: watch::Receiver<Option<Arc<str>>>,
}

impl SpendSink {
    /// Takes a place for one row, to be held while its request runs. Never waits.
    ///
    /// # Errors
    /// [`Full`]: refuse the request.
    pub fn try_reserve(&self) -> Result<SpendSlot, Full> {
        let permit = self.queue.clone().try_reserve_owned().map_err(|_| Full)?;
        let sequence = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let event = EventId { incarnation: self.shared.incarnation, sequence };
        Ok(SpendSlot { shared: Arc::clone(&self.shared), permit, event })
    }

    /// This run of the gateway, as in the ids of its rows.
    pub fn incarnation(&self) -> Uuid {
        self.shared.incarnation
    }

    /// Has `told` called with each batch that the store has, on the writer's own thread. The first caller is heard.
    pub fn on_written(&self, told: impl Fn(&[SpendRow]) + Send + Sync + 'static) {
        // A second one is dropped, as the doc says.
        let _ = self.shared.on_written.set(Box::new(told));
    }

    /// No request can be admitted now.
    pub fn is_full(&self) -> bool {
        self.queue.capacity() == 0
    }

    /// Rows submitted but not in the store yet.
    pub fn backlog(&self) -> usize {
        self.shared.backlog.load(Ordering::Relaxed)
    }

    /// Rows that this sink's writer has put into the store.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// For health and metrics.
    pub fn status(&self) -> SpendStatus {
        SpendStatus {
            backlog: self.backlog(),
            free: self.queue.capacity(),
            written: self.written(),
            failure: self.failure.borrow().clone(),
        }
    }
}

/// A place for one row. Dropped without a row, it is given back.
pub struct SpendSlot {
    shared: Arc<Shared>,
    permit: mpsc::OwnedPermit<SpendRow>,
    event: EventId,
}

impl SpendSlot {
    /// The key of the row that goes here.
    pub fn event(&self) -> EventId {
        self.event
    }

    /// Hands the row to the writer. Cannot fail and does not wait.
    pub fn submit(self, row: SpendRow) {
        let before = self.shared.backlog.fetch_add(1, Ordering::AcqRel);
        self.permit.send(row);
        // The writer is woken for the first row and for a full batch; in between it sleeps on its own clock, so that
        // a busy gateway does not pay for a wake-up per request.
        if before == 0 || before + 1 == self.shared.batch {
            self.shared.wake.notify_one();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Rows may come at any time.
    Open,
    /// Write what is there and what requests in flight still bring, then end.
    Closing,
    /// Nobody waits any more: end as soon as the store fails.
    Abandoned,
}

/// Owns the thread that writes. Dropping it stops the thread after a last try; [`Self::flush`] is the orderly way.
pub struct SpendWriter {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    ended: oneshot::Receiver<()>,
}

impl SpendWriter {
    /// Starts the thread, with a runtime of its own, and mints the incarnation.
    ///
    /// # Errors
    /// The system gives no thread or no runtime.
    pub fn start<S: SpendStore>(store: S, options: WriterOptions) -> io::Result<(SpendSink, Self)> {
        let shared = Arc::new(Shared {
            incarnation: Uuid::now_v7(),
            next: AtomicU64::new(0),
            backlog: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            wake: Notify::new(),
            batch: options.batch,
            on_written: OnceLock::new(),
        });
        let (queue, rows) = mpsc::channel(options.capacity);
        let (failed, failure) = watch::channel(None);
        let (phase, phases) = watch::channel(Phase::Open);
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let task = task::Task { store, options, shared: Arc::clone(&shared), rows, failed, phases };
        thread::Builder::new().name("spend-writer".to_owned()).spawn(move || {
            runtime.block_on(task.run());
            // Nobody may be waiting any more.
            let _ = end.send(());
        })?;
        let sink = SpendSink { shared: Arc::clone(&shared), queue, failure };
        Ok((sink, Self { shared, phase, ended }))
    }

    /// Refuses new places, waits until every place that is held was submitted or dropped and every row is written.
    ///
    /// Call it last, when requests have ended or been given up.
    ///
    /// # Errors
    /// `limit` has passed and rows are left.
    pub async fn flush(self, limit: Duration) -> Result<(), Unwritten> {
        self.phase.send_replace(Phase::Closing);
        let ended = time::timeout(limit, self.ended).await;
        self.phase.send_replace(Phase::Abandoned);
        match (ended, self.shared.backlog.load(Ordering::Acquire)) {
            (Ok(_), 0) => Ok(()),
            (Ok(_) | Err(_), rows) => Err(Unwritten { rows }),
        }
    }
}
