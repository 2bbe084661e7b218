//! One connection, and what it has already written that later rows refer to.

use std::{collections::HashMap, sync::Arc};

use serde::de::IgnoredAny;
use sqlx::{Arguments, Connection, SqliteConnection, error::BoxDynError, sqlite::SqliteArguments};
use uuid::Uuid;

use super::{
    context::{self, Context, Contexts},
    insert::Insert,
};
use crate::spend_log::SpendRow;

/// Bits of `spend_row.id` for the sequence: 18 years of 30,000 rows a second, and half a million starts.
const SEQUENCE_BITS: u32 = 44;

/// Columns of `spend_row`, in the order of [`Fact::bind`].
const COLUMNS: [&str; 16] = [
    "id",
    "context",
    "started_at_us",
    "request_id",
    "end_user",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_nano",
    "first_byte_us",
    "latency_us",
    "upstream_us",
    "tags",
    "metadata",
];

/// To be dropped after any error: the connection may be broken, and what it remembers may have been rolled back.
pub(super) struct Session {
    connection: SqliteConnection,
    known: Known,
    contexts: Insert,
    rows: Insert,
}

#[derive(Default)]
struct Known {
    incarnations: HashMap<Uuid, i64>,
    contexts: Contexts,
}

impl Session {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self {
            connection,
            known: Known::default(),
            contexts: Insert::new("spend_context", &context::COLUMNS, ""),
            rows: Insert::new("spend_row", &COLUMNS, "ON CONFLICT (id) DO NOTHING"),
        }
    }

    /// Writes all rows in one transaction and returns how many were new.
    pub(super) async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, sqlx::Error> {
        // IMMEDIATE: a deferred transaction that must upgrade its lock fails at once instead of waiting.
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let (mut facts, fresh) = self.known.resolve(&mut transaction, rows).await?;
        // A request that took long comes late, so that a batch is not in order; neighbours in the table cost less together.
        facts.sort_unstable_by_key(|fact| fact.id);
        self.contexts.run(&mut transaction, &fresh, |context, values| context.bind(values)).await?;
        let new = self.rows.run(&mut transaction, &facts, Fact::bind).await?;
        transaction.commit().await?;
        Ok(new)
    }
}

impl Known {
    /// The rows with what they refer to, and the contexts among that which must be written.
    async fn resolve<'r>(
        &mut self,
        connection: &mut SqliteConnection,
        rows: &'r [SpendRow],
    ) -> Result<(Vec<Fact<'r>>, Vec<Arc<Context>>), sqlx::Error> {
        let mut facts = Vec::with_capacity(rows.len());
        let mut fresh = Vec::new();
        let mut last = None;
        for row in rows {
            let id = self.id(connection, row).await?;
            let context = if let Some(context) = self.contexts.of(row) {
                context
            } else {
                let next = 1 + match last {
                    Some(last) => last,
                    // Within the transaction nobody else writes.
                    None => last_context(connection).await?,
                };
                fresh.push(self.contexts.add(next, row));
                *last.insert(next)
            };
            facts.push(Fact { id, context, row });
        }
        Ok((facts, fresh))
    }

    async fn id(&mut self, connection: &mut SqliteConnection, row: &SpendRow) -> Result<i64, sqlx::Error> {
        let uuid = row.event.incarnation;
        let incarnation = match self.incarnations.get(&uuid) {
            Some(id) => *id,
            None => *self.incarnations.entry(uuid).insert_entry(incarnation(connection, uuid).await?).get(),
        };
        Ok(incarnation << SEQUENCE_BITS | signed(row.event.sequence))
    }
}

/// A row of `spend_row`.
struct Fact<'r> {
    id: i64,
    context: i64,
    row: &'r SpendRow,
}

impl Fact<'_> {
    fn bind(&self, values: &mut SqliteArguments) -> Result<(), BoxDynError> {
        let row = self.row;
        values.add(self.id)?;
        values.add(self.context)?;
        values.add(row.started_at_us)?;
        values.add(Arc::clone(&row.request_id))?;
        values.add(row.end_user.clone())?;
        values.add(signed(row.prompt_tokens))?;
        values.add(signed(row.completion_tokens))?;
        values.add(signed(row.cached_tokens))?;
        values.add(signed(row.cache_write_tokens))?;
        values.add(signed(row.reasoning_tokens))?;
        values.add(row.cost_nano)?;
        values.add(row.first_byte_us)?;
        values.add(row.latency_us)?;
        values.add(row.upstream_us)?;
        values.add(row.tags.clone())?;
        values.add(row.metadata.as_ref().filter(|text| well_formed(text)).map(Arc::clone))
    }
}

async fn incarnation(connection: &mut SqliteConnection, uuid: Uuid) -> Result<i64, sqlx::Error> {
    let bytes = uuid.as_bytes().to_vec();
    sqlx::query("INSERT INTO spend_incarnation (uuid) VALUES (?) ON CONFLICT (uuid) DO NOTHING")
        .bind(bytes.clone())
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("SELECT id FROM spend_incarnation WHERE uuid = ?").bind(bytes).fetch_one(connection).await
}

async fn last_context(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM spend_context").fetch_one(connection).await
}

/// `SQLite` counts in i64; no count of ours comes near its end.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// One malformed text would fail every `json_extract` over the table.
fn well_formed(json: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(json).is_ok()
}
