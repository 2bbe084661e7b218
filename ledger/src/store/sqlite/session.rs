//! One connection, and what it has already written that later rows refer to.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use sqlx::{Arguments, Connection, SqliteConnection, error::BoxDynError, sqlite::SqliteArguments};
use uuid::Uuid;

use super::{
    context::{self, Context, Contexts},
    history,
    insert::Insert,
    ledger,
};
use crate::{
    spend_log::SpendRow,
    store::{
        history::quarters,
        plan,
        rollup::{self, Line, Sums},
        text,
    },
};

/// Bits of `spend_row.id` for the sequence: 18 years of 30,000 rows a second, and half a million starts.
const SEQUENCE_BITS: u32 = 44;

/// Columns of `spend_row`, in the order of [`Fact::bind`].
const COLUMNS: [&str; 19] = [
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
    "attempt",
    "attempts",
    "role",
];

/// To be dropped after any error: the connection may be broken, and what it remembers may have been rolled back.
pub(super) struct Session {
    pub(super) connection: SqliteConnection,
    known: Known,
    contexts: Insert,
    rows: Insert,
    daily: Insert,
}

#[derive(Default)]
struct Known {
    incarnations: HashMap<Uuid, i64>,
    /// The one of them that was asked for last: nearly always that of the next row, too.
    incarnation: Option<(Uuid, i64)>,
    contexts: Contexts,
}

impl Session {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self {
            connection,
            known: Known::default(),
            contexts: Insert::new("spend_context", &context::COLUMNS, ""),
            rows: Insert::new("spend_row", &COLUMNS, "ON CONFLICT (id) DO NOTHING"),
            daily: Insert::new("spend_daily", &DAILY, ADD_DAILY),
        }
    }

    /// Writes all rows and what they mean to accounts in one transaction, and returns how many were new.
    pub(super) async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, sqlx::Error> {
        // IMMEDIATE: a deferred transaction that must upgrade its lock fails at once instead of waiting.
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let (mut facts, fresh) = self.known.resolve(&mut transaction, rows).await?;
        // A request that took long comes late, so that a batch is not in order; neighbours in the table cost less together.
        facts.sort_unstable_by_key(|fact| fact.id);
        self.contexts.run(&mut transaction, &fresh, |context, values| context.bind(values)).await?;
        let mut trial = transaction.begin().await?;
        let new = self.rows.run(&mut trial, &facts, Fact::bind).await?;
        if new == facts.len() as u64 {
            trial.commit().await?;
        } else {
            // Rows that were written before are rare, and only these need to be told apart.
            trial.rollback().await?;
            facts = unwritten(&mut transaction, facts).await?;
            self.rows.run(&mut transaction, &facts, Fact::bind).await?;
        }
        let new = || facts.iter().map(|fact| fact.row);
        let (accounts, leases) = ledger::named_by(&mut transaction, new()).await?;
        let changes = plan::book(new(), &|id| accounts.get(id).copied(), &leases);
        let quarters = quarters(new(), &|id| accounts.get(id).copied());
        history::add_quarters(&mut transaction, &quarters).await?;
        ledger::write(&mut transaction, &changes).await?;
        let sums: Vec<(Line, Sums)> = rollup::sums(new()).into_iter().collect();
        self.daily.run(&mut transaction, &sums, bind_daily).await?;
        transaction.commit().await?;
        Ok(facts.len() as u64)
    }

    /// Deletes rows of all but so many days, a part at a time: the file is locked meanwhile.
    pub(super) async fn keep_days(&mut self, days: u32) -> Result<(), sqlx::Error> {
        const DAY: i64 = 86_400_000_000;
        let before = (ledger::clock().div_euclid(DAY) - i64::from(days)) * DAY;
        let some = "DELETE FROM spend_row WHERE id IN (SELECT id FROM spend_row WHERE started_at_us < ? LIMIT 1000)";
        while sqlx::query(some).bind(before).execute(&mut self.connection).await?.rows_affected() > 0 {}
        Ok(())
    }
}

/// Columns of `spend_daily`, in the order of [`bind_daily`].
const DAILY: [&str; 10] = [
    "day",
    "kind",
    "name",
    "model",
    "requests",
    "failures",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cost_nano",
];

const ADD_DAILY: &str = "ON CONFLICT (day, kind, name, model) DO UPDATE SET requests = requests + excluded.requests, \
    failures = failures + excluded.failures, prompt_tokens = prompt_tokens + excluded.prompt_tokens, \
    completion_tokens = completion_tokens + excluded.completion_tokens, \
    cached_tokens = cached_tokens + excluded.cached_tokens, cost_nano = cost_nano + excluded.cost_nano";

fn bind_daily((line, sums): &(Line, Sums), values: &mut SqliteArguments) -> Result<(), BoxDynError> {
    values.add(line.day)?;
    values.add(line.kind)?;
    values.add(line.name.clone())?;
    values.add(line.model.clone())?;
    values.add(sums.requests)?;
    values.add(sums.failures)?;
    values.add(sums.prompt_tokens)?;
    values.add(sums.completion_tokens)?;
    values.add(sums.cached_tokens)?;
    values.add(sums.cost_nano)
}

/// Those that are not in the table, each once. `facts` are in the order of their ids.
async fn unwritten<'r>(
    connection: &mut SqliteConnection,
    mut facts: Vec<Fact<'r>>,
) -> Result<Vec<Fact<'r>>, sqlx::Error> {
    facts.dedup_by_key(|fact| fact.id);
    let mut unwritten = Vec::with_capacity(facts.len());
    for fact in facts {
        let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM spend_row WHERE id = ?)")
            .bind(fact.id)
            .fetch_one(&mut *connection)
            .await?;
        if !there {
            unwritten.push(fact);
        }
    }
    Ok(unwritten)
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
        let incarnation = match self.incarnation {
            Some((last, id)) if last == uuid => id,
            _ => {
                let id = match self.incarnations.get(&uuid) {
                    Some(id) => *id,
                    None => *self.incarnations.entry(uuid).insert_entry(incarnation(connection, uuid).await?).get(),
                };
                self.incarnation.insert((uuid, id)).1
            }
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
        values.add(row.metadata.as_deref().and_then(text::json).map(Cow::into_owned))?;
        values.add(row.attempt.number)?;
        values.add(row.attempt.of)?;
        values.add(row.attempt.role.as_str())
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
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
