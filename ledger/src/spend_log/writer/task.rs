//! The writer's loop: wait for a batch, write it, keep it until it is written.

use std::{
    error::Error,
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time,
};

use super::{Phase, Shared, WriterOptions};
use crate::spend_log::{SpendRow, SpendStore, StoreError};

pub(super) struct Task<S> {
    pub(super) store: S,
    pub(super) options: WriterOptions,
    pub(super) shared: Arc<Shared>,
    pub(super) rows: mpsc::Receiver<SpendRow>,
    pub(super) failed: watch::Sender<Option<Arc<str>>>,
    pub(super) phases: watch::Receiver<Phase>,
}

impl<S: SpendStore> Task<S> {
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(self.options.batch);
        while self.phase() == Phase::Open {
            self.wait().await;
            while batch.len() < self.options.batch
                && let Ok(row) = self.rows.try_recv()
            {
                batch.push(row);
            }
            if !self.write(&mut batch).await {
                return;
            }
        }
        self.rows.close();
        // Ends when the last place that a request holds is used or dropped.
        while self.next(&mut batch).await > 0 {
            if !self.write(&mut batch).await {
                return;
            }
        }
    }

    /// The next rows of a closed queue; 0 when there will be none, or nobody waits for them.
    async fn next(&mut self, batch: &mut Vec<SpendRow>) -> usize {
        tokio::select! {
            biased;
            got = self.rows.recv_many(batch, self.options.batch) => got,
            () = abandoned(&mut self.phases) => 0,
        }
    }

    fn phase(&self) -> Phase {
        // A writer that was dropped without a flush closes its channel.
        if self.phases.has_changed().is_err() { Phase::Abandoned } else { *self.phases.borrow() }
    }

    /// Until a batch is full, or its first row has waited long enough, or the gateway is closing.
    async fn wait(&mut self) {
        while self.shared.backlog.load(Ordering::Acquire) == 0 {
            tokio::select! {
                () = self.shared.wake.notified() => {}
                _ = self.phases.changed() => return,
            }
        }
        let due = time::sleep(self.options.interval);
        tokio::pin!(due);
        while self.shared.backlog.load(Ordering::Acquire) < self.options.batch {
            tokio::select! {
                () = self.shared.wake.notified() => {}
                _ = self.phases.changed() => return,
                () = &mut due => return,
            }
        }
    }

    /// Writes the batch, however often that takes. False = given up because nobody waits any more.
    async fn write(&mut self, batch: &mut Vec<SpendRow>) -> bool {
        let mut pause = self.options.retry;
        while !batch.is_empty() {
            match self.store.append(batch).await {
                Ok(new) => self.done(batch, new),
                Err(error) => {
                    self.fail(&error, batch.len());
                    if self.phase() == Phase::Abandoned {
                        return false;
                    }
                    self.pause(pause).await;
                    pause = (pause * 2).min(self.options.retry_max);
                }
            }
        }
        true
    }

    async fn pause(&mut self, pause: Duration) {
        // A change of phase is a reason to try again at once.
        tokio::select! {
            () = time::sleep(pause) => {}
            _ = self.phases.changed() => {}
        }
    }

    fn done(&self, batch: &mut Vec<SpendRow>, new: u64) {
        self.shared.written.fetch_add(new, Ordering::Relaxed);
        if let Some(told) = self.shared.on_written.get() {
            told(batch);
        }
        self.shared.backlog.fetch_sub(batch.len(), Ordering::AcqRel);
        batch.clear();
        if self.failed.send_if_modified(|failure| failure.take().is_some()) {
            tracing::info!("the spend store works again");
        }
    }

    fn fail(&self, error: &StoreError, rows: usize) {
        let reason: Arc<str> = chain(error).into();
        if self.failed.send_if_modified(|failure| failure.replace(Arc::clone(&reason)).is_none()) {
            tracing::error!(%reason, rows, "the spend store refuses rows; they are kept and tried again");
        }
    }
}

async fn abandoned(phases: &mut watch::Receiver<Phase>) {
    // An error means that the sender is gone, which is the same.
    let _ = phases.wait_for(|phase| *phase == Phase::Abandoned).await;
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
