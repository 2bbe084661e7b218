//! What the store promises about one batch.

use std::ops::Range;

use sqlx::{Connection, Row};
use tempfile::TempDir;
use turnpike_ledger::{
    spend_log::{EventId, SpendRow, SpendStore, StoreError},
    store::SqliteStore,
};
use uuid::Uuid;

use crate::rows::{count, event, reader, row};

#[tokio::test]
async fn every_field_comes_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let mut full = row(event(3));
    full.end_user = Some("customer-9".into());
    full.tags = Some(r#"["env:prod"]"#.into());
    full.metadata = Some(r#"{"variant":"b"}"#.into());
    full.estimated = true;
    full.stream = true;
    SqliteStore::open(&path).await.unwrap().append(&[full]).await.unwrap();

    let read = sqlx::query("SELECT * FROM spend").fetch_one(&mut reader(&path).await).await.unwrap();
    assert_eq!(read.get::<Vec<u8>, _>("incarnation"), 7_u128.to_be_bytes());
    let texts = ["request_id", "key_id", "team", "user", "end_user", "requested_model", "model", "provider"];
    let expected = ["req-3", "vk_a", "search", "ada", "customer-9", "smart", "llm/gpt", "openai"];
    assert_eq!(texts.map(|column| read.get::<String, _>(column)), expected);
    let texts = ["upstream_model", "operation", "outcome", "tags", "metadata"];
    assert_eq!(
        texts.map(|column| read.get::<String, _>(column)),
        ["gpt-5", "chat", "success", r#"["env:prod"]"#, r#"{"variant":"b"}"#]
    );
    let numbers =
        ["sequence", "started_at_us", "stream", "status", "estimated", "first_byte_us", "latency_us", "upstream_us"];
    assert_eq!(
        numbers.map(|column| read.get::<i64, _>(column)),
        [3, 1_763_719_200_123_456, 1, 200, 1, 40_000, 250_000, 240_000]
    );
    let amounts =
        ["prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nano"];
    assert_eq!(amounts.map(|column| read.get::<i64, _>(column)), [1000, 200, 100, 0, 50, 1_500_000]);
}

#[tokio::test]
async fn what_is_unknown_is_null() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let mut refused = row(event(0));
    (refused.team, refused.user, refused.model, refused.provider) = (None, None, None, None);
    (refused.upstream_model, refused.cost_nano, refused.first_byte_us, refused.upstream_us) = (None, None, None, None);
    SqliteStore::open(&path).await.unwrap().append(&[refused]).await.unwrap();

    let nulls: i64 = sqlx::query_scalar(
        "SELECT (team IS NULL) + (user IS NULL) + (end_user IS NULL) + (model IS NULL) + (provider IS NULL) +
         (upstream_model IS NULL) + (cost_nano IS NULL) + (first_byte_us IS NULL) + (upstream_us IS NULL) +
         (tags IS NULL) + (metadata IS NULL) FROM spend",
    )
    .fetch_one(&mut reader(&path).await)
    .await
    .unwrap();
    assert_eq!(nulls, 11);
}

#[tokio::test]
async fn an_event_counts_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let mut store = SqliteStore::open(&path).await.unwrap();
    // More than one statement's worth of each size, with a remainder, and not in order.
    let first: Vec<_> = (0..300).rev().map(|n| row(event(n))).collect();
    assert_eq!(store.append(&first).await.unwrap(), 300);
    let overlapping: Vec<_> = (260..350).map(|n| row(event(n))).collect();
    assert_eq!(store.append(&overlapping).await.unwrap(), 50);
    assert_eq!(count(&path).await, 350);
}

#[tokio::test]
async fn runs_of_the_gateway_keep_their_events_apart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let mut store = SqliteStore::open(&path).await.unwrap();
    let of = |run, sequence| row(EventId { incarnation: Uuid::from_u128(run), sequence });
    assert_eq!(store.append(&[of(1, 5), of(2, 5)]).await.unwrap(), 2);
    let mut other = SqliteStore::open(&path).await.unwrap();
    assert_eq!(other.append(&[of(2, 5), of(3, 5), of(1, 6)]).await.unwrap(), 2);
    assert_eq!(store.append(&[of(3, 5), of(3, (1 << 44) - 1)]).await.unwrap(), 1);
    let events: Vec<(Vec<u8>, i64)> =
        sqlx::query_as("SELECT incarnation, sequence FROM spend ORDER BY incarnation, sequence")
            .fetch_all(&mut reader(&path).await)
            .await
            .unwrap();
    let expected = [(1_u128, 5), (1, 6), (2, 5), (3, 5), (3, (1 << 44) - 1)];
    assert_eq!(events, expected.map(|(run, sequence)| (run.to_be_bytes().to_vec(), sequence)));
}

/// What the rows of [`of_many`] must read as.
const KEYS_AND_MODELS: &str = "SELECT count(*), count(*) FILTER (WHERE key_id = 'vk_' || (sequence % 7) AND team = 'team-' || (sequence % 3)
    AND requested_model = 'model-' || sequence AND stream = (sequence % 2) AND request_id = 'req-' || sequence) FROM spend";

/// Rows of seven keys and three teams, each with a requested model of its own.
fn of_many(sequences: Range<u64>) -> Vec<SpendRow> {
    let of = |n| {
        let mut row = row(event(n));
        row.key_id = format!("vk_{}", n % 7).into();
        row.team = Some(format!("team-{}", n % 3).into());
        row.requested_model = format!("model-{n}").into();
        row.stream = n % 2 == 1;
        row
    };
    sequences.map(of).collect()
}

#[tokio::test]
async fn each_row_keeps_its_own_key_and_model_however_many_there_are() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let mut store = SqliteStore::open(&path).await.unwrap();
    for start in [0, 20_000, 10_000] {
        assert_eq!(store.append(&of_many(start..start + 10_000)).await.unwrap(), 10_000);
    }
    let read: (i64, i64) = sqlx::query_as(KEYS_AND_MODELS).fetch_one(&mut reader(&path).await).await.unwrap();
    assert_eq!(read, (30_000, 30_000));
}

#[tokio::test]
async fn a_batch_that_failed_midway_is_whole_when_it_is_tried_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let mut store = SqliteStore::open(&path).await.unwrap();
    let mut other = reader(&path).await;
    sqlx::query("CREATE TRIGGER refuse BEFORE INSERT ON spend_row WHEN NEW.request_id = 'req-250' BEGIN SELECT RAISE(ABORT, 'refused'); END")
        .execute(&mut other)
        .await
        .unwrap();
    let batch = of_many(0..300);
    let error = store.append(&batch).await.err().unwrap();
    assert!(matches!(error, StoreError::Write(_)), "{error:?}");
    assert_eq!(count(&path).await, 0);
    sqlx::query("DROP TRIGGER refuse").execute(&mut other).await.unwrap();
    assert_eq!(store.append(&batch).await.unwrap(), 300);
    let read: (i64, i64) = sqlx::query_as(KEYS_AND_MODELS).fetch_one(&mut other).await.unwrap();
    assert_eq!(read, (300, 300));
}

#[tokio::test]
async fn a_file_is_reopened_with_its_rows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    for n in 0..3 {
        let mut store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.append(&[row(event(n))]).await.unwrap(), 1);
    }
    assert_eq!(count(&path).await, 3);
}

#[tokio::test]
async fn malformed_metadata_spoils_no_query() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let mut bad = row(event(0));
    bad.metadata = Some(r#"{"variant":"a""#.into());
    let mut good = row(event(1));
    good.metadata = Some(r#"{"variant":"b"}"#.into());
    SqliteStore::open(&path).await.unwrap().append(&[bad, good]).await.unwrap();
    let variants: Vec<Option<String>> =
        sqlx::query_scalar("SELECT json_extract(metadata, '$.variant') FROM litellm_logs ORDER BY request_id")
            .fetch_all(&mut reader(&path).await)
            .await
            .unwrap();
    assert_eq!(variants, [None, Some("b".to_owned())]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    std::fs::write(&path, [b'x'; 8192]).unwrap();
    let error = SqliteStore::open(&path).await.err().unwrap();
    assert!(matches!(error, StoreError::Open { .. } | StoreError::Migrate { .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), [b'x'; 8192]);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    drop(SqliteStore::open(&path).await.unwrap());
    let mut connection = reader(&path).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'x', 1, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let error = SqliteStore::open(&path).await.err().unwrap();
    assert!(matches!(error, StoreError::Migrate { .. }), "{error:?}");
}
