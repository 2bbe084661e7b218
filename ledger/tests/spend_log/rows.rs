//! Rows to write and a way to read them back.

use std::path::Path;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use turnpike_ledger::spend_log::EventId;
use uuid::Uuid;

#[path = "../fixtures/spend_row.rs"]
mod spend_row;

pub(crate) use self::spend_row::spend_row as row;

pub(crate) fn event(sequence: u64) -> EventId {
    EventId { incarnation: Uuid::from_u128(7), sequence }
}

pub(crate) async fn reader(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

pub(crate) async fn count(path: &Path) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM spend").fetch_one(&mut reader(path).await).await.unwrap()
}
