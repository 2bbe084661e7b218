//! Files go when the store has what they tell, and the spend log says when that is.

use std::{sync::Arc, time::Duration};

use tempfile::TempDir;
use turnpike_ledger::{
    spend_log::{EventId, SpendRow, SpendStore, SpendWriter, StoreError, WriterOptions},
    wal::{Sync, Wal, WalOptions, abandoned},
};

use crate::{
    files::segments,
    rows::{RUN, crashed, left, opening, row},
};

const SMALL: WalOptions = WalOptions { segment: 4096, keep: 2, sync: Sync::Never };

#[test]
fn segments_whose_rows_are_confirmed_are_deleted() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::create(folder.path(), RUN, SMALL).unwrap();
    let writer = wal.writer();
    let rows: Vec<_> = (0..100).map(row).collect();
    for row in &rows {
        writer.open(&opening(row.event.sequence)).unwrap();
        writer.close(row).unwrap();
    }
    let many = segments(folder.path()).len();
    assert!(many > 10, "{many}");
    wal.confirm(&rows[..99]);
    assert_eq!(segments(folder.path()).len(), 1);
    wal.confirm(&rows[99..]);
    wal.finish().unwrap();
    assert!(!folder.path().join(RUN.to_string()).exists());
}

#[test]
fn one_long_stream_does_not_keep_all_files() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::create(folder.path(), RUN, SMALL).unwrap();
    let writer = wal.writer();
    writer.open(&opening(0)).unwrap();
    for sequence in 1..500 {
        writer.open(&opening(sequence)).unwrap();
        writer.close(&row(sequence)).unwrap();
        wal.confirm(&[row(sequence)]);
        let files = segments(folder.path()).len();
        assert!(files <= SMALL.keep + 2, "{files}");
    }
    // Its record was carried along, and nothing that the store has was made up again.
    drop((wal, writer));
    let left = left(folder.path());
    assert_eq!(left.rows[0], crashed(opening(0)));
    assert_eq!(left.crashed, 1);
    assert!(left.rows[1..].iter().all(|got| *got == row(got.event.sequence)));
    assert!(left.whole);
}

#[test]
fn rows_that_the_store_refuses_keep_their_files() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::create(folder.path(), RUN, SMALL).unwrap();
    let writer = wal.writer();
    let rows: Vec<_> = (0..100).map(row).collect();
    for row in &rows {
        writer.close(row).unwrap();
    }
    wal.confirm(&rows[50..]);
    wal.finish().unwrap();
    drop((wal, writer));
    let left = left(folder.path());
    assert!(rows[..50].iter().all(|row| left.rows.contains(row)));
    assert_eq!(left.crashed, 0);
}

#[test]
fn a_record_that_cannot_be_written_is_an_error() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::create(folder.path(), RUN, SMALL).unwrap();
    let writer = wal.writer();
    std::fs::remove_dir_all(folder.path().join(RUN.to_string())).unwrap();
    assert!(writer.open(&opening(0)).is_err());
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::create(folder.path(), RUN, SMALL).unwrap();
    wal.writer().open(&opening(0)).unwrap();
    assert!(Wal::create(folder.path(), RUN, SMALL).is_err());
    assert!(abandoned(folder.path()).unwrap().is_empty(), "its owner lives");
    drop(wal);
    assert_eq!(left(folder.path()).rows.len(), 1);
}

#[tokio::test]
async fn a_group_is_synced() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::create(folder.path(), RUN, WalOptions { sync: Sync::Group, ..SMALL }).unwrap();
    let writers: [_; 2] = std::array::from_fn(|_| wal.writer());
    let mut records = Vec::new();
    // More than one segment each.
    for sequence in 0..20 {
        for writer in &writers {
            records.push((writer, writer.open(&opening(sequence)).unwrap()));
        }
    }
    for (writer, record) in records {
        writer.synced(record).await.unwrap();
    }
}

struct Discard;

impl SpendStore for Discard {
    async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, StoreError> {
        Ok(rows.len() as u64)
    }
}

#[tokio::test]
async fn the_spend_log_confirms_what_it_has_written() {
    let folder = TempDir::new().unwrap();
    let (sink, log) = SpendWriter::start(Discard, WriterOptions::default()).unwrap();
    let wal = Arc::new(Wal::create(folder.path(), sink.incarnation(), SMALL).unwrap());
    let writer = wal.writer();
    let confirming = Arc::downgrade(&wal);
    sink.on_written(move |rows| confirming.upgrade().into_iter().for_each(|wal| wal.confirm(rows)));
    for _ in 0..100 {
        let slot = sink.try_reserve().unwrap();
        let row = SpendRow { event: EventId { ..slot.event() }, ..row(0) };
        writer.open(&row).unwrap();
        writer.close(&row).unwrap();
        slot.submit(row);
    }
    log.flush(Duration::from_secs(30)).await.unwrap();
    Arc::into_inner(wal).unwrap().finish().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
