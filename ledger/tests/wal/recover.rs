//! What the next start makes of what is left: rows in the store, each once.

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use turnpike_ledger::{
    spend_log::SpendStore,
    store::SqliteStore,
    wal::{Wal, WalOptions, abandoned},
};

use crate::rows::{RUN, opening, row};

#[tokio::test]
async fn each_attempt_has_one_row_however_often_it_is_replayed() {
    let folder = TempDir::new().unwrap();
    let (files, database) = (folder.path().join("wal"), folder.path().join("spend.db"));
    let mut store = SqliteStore::open(&database).await.unwrap();
    let wal = Wal::create(&files, RUN, WalOptions::default()).unwrap();
    let (one, other) = (wal.writer(), wal.writer());
    one.open(&opening(0)).unwrap();
    one.close(&row(0)).unwrap();
    other.open(&opening(1)).unwrap();
    other.close(&row(1)).unwrap();
    one.open(&opening(2)).unwrap();
    // The store has one of them, and one that is open here: the process ended before it could take note.
    store.append(&[row(0), row(2)]).await.unwrap();
    drop((wal, one, other));

    let mut news = Vec::new();
    for _ in 0..2 {
        let dead = abandoned(&files).unwrap();
        assert_eq!(dead[0].incarnation(), RUN);
        let left = dead[0].read().unwrap();
        assert_eq!((left.rows.len(), left.crashed, left.whole), (3, 1, true));
        news.push(store.append(&left.rows).await.unwrap());
    }
    assert_eq!(news, [1, 0]);
    let mut reader = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&database)).await.unwrap();
    let cost: i64 = sqlx::query_scalar("SELECT sum(cost_nano) FROM spend").fetch_one(&mut reader).await.unwrap();
    assert_eq!(cost, 3 * 1_500_000);

    let dead = abandoned(&files).unwrap().remove(0);
    assert!(abandoned(&files).unwrap().is_empty(), "two recover the same files");
    dead.delete().unwrap();
    assert!(abandoned(&files).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_not_there_has_nothing_in_it() {
    let folder = TempDir::new().unwrap();
    assert!(abandoned(&folder.path().join("none")).unwrap().is_empty());
}
