//! Rows to write and a way to read them back.

use std::{path::Path, sync::Arc};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use turnpike_ledger::spend_log::{EventId, SpendRow};
use uuid::Uuid;

pub(crate) fn event(sequence: u64) -> EventId {
    EventId { incarnation: Uuid::from_u128(7), sequence }
}

/// A successful call that cost 0.0015 USD.
pub(crate) fn row(event: EventId) -> SpendRow {
    SpendRow {
        event,
        started_at_us: 1_763_719_200_123_456,
        request_id: Arc::from(format!("req-{}", event.sequence)),
        key_id: Arc::from("vk_a"),
        team: Some(Arc::from("search")),
        user: Some(Arc::from("ada")),
        end_user: None,
        requested_model: Arc::from("smart"),
        model: Some(Arc::from("llm/gpt")),
        provider: Some("openai"),
        upstream_model: Some(Arc::from("gpt-5")),
        operation: "chat",
        stream: false,
        status: 200,
        outcome: "success",
        prompt_tokens: 1000,
        completion_tokens: 200,
        cached_tokens: 100,
        cache_write_tokens: 0,
        reasoning_tokens: 50,
        cost_nano: Some(1_500_000),
        estimated: false,
        first_byte_us: Some(40_000),
        latency_us: 250_000,
        upstream_us: Some(240_000),
        postings: [].into(),
        tags: None,
        metadata: None,
    }
}

pub(crate) async fn reader(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

pub(crate) async fn count(path: &Path) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM spend").fetch_one(&mut reader(path).await).await.unwrap()
}
