//! The writer's batches, its bound, its retries and its end.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use turnpike_ledger::{
    spend_log::{Full, SpendRow, SpendSink, SpendStore, SpendWriter, StoreError, Unwritten, WriterOptions},
    store::SqliteStore,
};
use turnpike_testkit::wait::eventually;

use crate::rows::{count, reader, row};

const LONG: Duration = Duration::from_secs(30);

fn submit(sink: &SpendSink) {
    let slot = sink.try_reserve().unwrap();
    let row = row(slot.event());
    slot.submit(row);
}

/// Remembers the sizes of the batches; refuses while `down`.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    down: bool,
    refused: usize,
    batches: Vec<usize>,
    events: Vec<u64>,
}

impl SpendStore for Scripted {
    async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, StoreError> {
        let mut script = self.0.lock().unwrap();
        if script.down {
            script.refused += 1;
            return Err(StoreError::Write(sqlx::Error::WorkerCrashed));
        }
        script.batches.push(rows.len());
        script.events.extend(rows.iter().map(|row| row.event.sequence));
        Ok(rows.len() as u64)
    }
}

impl Scripted {
    fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    /// Waits for something that the writer's thread will bring about.
    async fn until(&self, reached: impl Fn(&Script) -> bool) {
        eventually("the writer's thread has got there", || async { reached(&self.0.lock().unwrap()).then_some(()) })
            .await;
    }
}

fn quick() -> WriterOptions {
    WriterOptions { retry: Duration::from_millis(1), retry_max: Duration::from_millis(4), ..WriterOptions::default() }
}

#[tokio::test]
async fn rows_of_many_runtimes_are_all_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let (sink, writer) = SpendWriter::start(SqliteStore::open(&path).await.unwrap(), WriterOptions::default()).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let sink = sink.clone();
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async { (0..2_000).for_each(|_| submit(&sink)) });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    writer.flush(LONG).await.unwrap();
    assert_eq!(count(&path).await, 8_000);
    assert_eq!((sink.backlog(), sink.written()), (0, 8_000));
    let gaps: i64 = sqlx::query_scalar("SELECT max(sequence) - min(sequence) + 1 - count(*) FROM spend")
        .fetch_one(&mut reader(&path).await)
        .await
        .unwrap();
    assert_eq!(gaps, 0);
}

#[tokio::test]
async fn a_lone_row_is_written_after_the_interval() {
    let store = Scripted::default();
    let (sink, _writer) = SpendWriter::start(store.clone(), WriterOptions::default()).unwrap();
    submit(&sink);
    store.until(|script| script.batches == [1]).await;
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_the_interval() {
    let store = Scripted::default();
    let options = WriterOptions { batch: 10, interval: Duration::from_hours(1), ..WriterOptions::default() };
    let (sink, writer) = SpendWriter::start(store.clone(), options).unwrap();
    (0..25).for_each(|_| submit(&sink));
    store.until(|script| script.events.len() >= 20).await;
    assert!(store.0.lock().unwrap().batches.iter().all(|rows| *rows <= 10));
    // The rest does, unless the gateway closes.
    writer.flush(LONG).await.unwrap();
    assert_eq!(store.0.lock().unwrap().events, (0..25).collect::<Vec<_>>());
}

#[tokio::test]
async fn places_bound_running_requests_and_waiting_rows_together() {
    let store = Scripted::default();
    store.set_down(true);
    let options = WriterOptions { capacity: 4, batch: 2, ..quick() };
    let (sink, writer) = SpendWriter::start(store.clone(), options).unwrap();
    let held: Vec<_> = (0..4).map(|_| sink.try_reserve().unwrap()).collect();
    assert!(sink.is_full());
    assert_eq!(sink.try_reserve().err(), Some(Full));
    drop(held);
    assert!(!sink.is_full());

    // The batch in hand is outside the queue: capacity + batch rows at most.
    eventually("all places are taken", || async {
        while let Ok(slot) = sink.try_reserve() {
            let row = row(slot.event());
            slot.submit(row);
        }
        (sink.backlog() == 6).then_some(())
    })
    .await;
    store.set_down(false);
    writer.flush(LONG).await.unwrap();
    assert_eq!(store.0.lock().unwrap().events.len(), 6);
}

#[tokio::test]
async fn a_failing_store_is_retried_and_reported_until_it_works() {
    let store = Scripted::default();
    store.set_down(true);
    let (sink, writer) = SpendWriter::start(store.clone(), quick()).unwrap();
    (0..3).for_each(|_| submit(&sink));
    store.until(|script| script.refused >= 3).await;
    let status = sink.status();
    assert_eq!((status.backlog, status.written), (3, 0));
    assert!(status.failure.unwrap().starts_with("cannot write spend rows: "));
    store.set_down(false);
    writer.flush(LONG).await.unwrap();
    assert_eq!(store.0.lock().unwrap().events, [0, 1, 2]);
    assert_eq!((sink.status().failure, sink.backlog()), (None, 0));
}

#[tokio::test]
async fn a_locked_file_delays_rows_but_loses_none() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let (sink, writer) = SpendWriter::start(SqliteStore::open(&path).await.unwrap(), quick()).unwrap();
    let mut other = reader(&path).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    (0..40).for_each(|_| submit(&sink));
    let failure = eventually("a batch is refused", || async { sink.status().failure }).await;
    assert!(failure.contains("locked"), "{failure}");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    writer.flush(LONG).await.unwrap();
    assert_eq!(count(&path).await, 40);
}

#[tokio::test]
async fn a_flush_waits_for_requests_in_flight() {
    let store = Scripted::default();
    let (sink, writer) = SpendWriter::start(store.clone(), quick()).unwrap();
    let slot = sink.try_reserve().unwrap();
    let abandoned = sink.try_reserve().unwrap();
    let flush = tokio::spawn(writer.flush(LONG));
    eventually("the flush has begun", || async { sink.try_reserve().is_err().then_some(()) }).await;
    assert!(!flush.is_finished());
    drop(abandoned);
    let last = row(slot.event());
    slot.submit(last);
    flush.await.unwrap().unwrap();
    assert_eq!(store.0.lock().unwrap().events, [0]);
}

#[tokio::test]
async fn a_flush_says_what_it_could_not_write() {
    let store = Scripted::default();
    store.set_down(true);
    let (sink, writer) = SpendWriter::start(store.clone(), quick()).unwrap();
    (0..7).for_each(|_| submit(&sink));
    assert_eq!(writer.flush(Duration::from_millis(50)).await, Err(Unwritten { rows: 7 }));
}
