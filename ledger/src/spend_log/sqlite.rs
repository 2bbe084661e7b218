//! Spend rows in one `SQLite` file: the store of a gateway without a cluster.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::de::IgnoredAny;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Sqlite, SqliteConnection, Transaction,
    migrate::Migrator,
    query::Query,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{SpendRow, SpendStore, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// In the order of [`bind`].
const COLUMNS: [&str; 28] = [
    "incarnation",
    "sequence",
    "started_at_us",
    "request_id",
    "key_id",
    "team",
    "user",
    "end_user",
    "requested_model",
    "model",
    "provider",
    "upstream_model",
    "operation",
    "stream",
    "status",
    "outcome",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_nano",
    "estimated",
    "first_byte_us",
    "latency_us",
    "upstream_us",
    "tags",
    "metadata",
];

/// Rows of one statement: enough that the cost per statement vanishes, few enough for `SQLite`'s limit on parameters.
const CHUNK: usize = 32;

/// How long one write waits for another process that holds the file's lock. Beyond it the batch is tried again.
const BUSY: Duration = Duration::from_secs(1);

/// A `SQLite` file with the spend table. One writer: it owns its connection and opens a new one after any error.
pub struct SqliteStore {
    path: PathBuf,
    connection: Option<SqliteConnection>,
    many: Arc<str>,
    one: Arc<str>,
}

impl SqliteStore {
    /// Opens or creates the file and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be opened, is not a database, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = connect(path).await?;
        MIGRATIONS
            .run(&mut connection)
            .await
            .map_err(|source| StoreError::Migrate { path: path.display().to_string(), source })?;
        Ok(Self {
            path: path.to_owned(),
            connection: Some(connection),
            many: insert(CHUNK).into(),
            one: insert(1).into(),
        })
    }

    async fn transaction(&mut self, rows: &[SpendRow]) -> Result<u64, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.path).await?,
        };
        let new = self.insert_all(&mut connection, rows).await.map_err(StoreError::Write)?;
        self.connection = Some(connection);
        Ok(new)
    }

    async fn insert_all(&self, connection: &mut SqliteConnection, rows: &[SpendRow]) -> Result<u64, sqlx::Error> {
        // IMMEDIATE: a deferred transaction that must upgrade its lock fails at once instead of waiting.
        let mut transaction: Transaction<'_, Sqlite> = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut new = 0;
        let (chunks, rest) = rows.as_chunks::<CHUNK>();
        let batches = chunks.iter().map(|chunk| (&self.many, chunk.as_slice()));
        for (sql, rows) in batches.chain(rest.chunks(1).map(|row| (&self.one, row))) {
            let query = rows.iter().fold(sqlx::query(AssertSqlSafe(Arc::clone(sql))), bind);
            new += query.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        Ok(new)
    }
}

impl SpendStore for SqliteStore {
    async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, StoreError> {
        self.transaction(rows).await
    }
}

async fn connect(path: &Path) -> Result<SqliteConnection, StoreError> {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode a crash of the process loses nothing; a loss of power loses at most the last commits, never the file.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|source| StoreError::Open { path: path.display().to_string(), source })
}

fn insert(rows: usize) -> String {
    let values = format!("({})", vec!["?"; COLUMNS.len()].join(","));
    format!(
        "INSERT INTO spend ({}) VALUES {} ON CONFLICT (incarnation, sequence) DO NOTHING",
        COLUMNS.join(","),
        vec![values; rows].join(",")
    )
}

fn bind<'q>(query: Query<'q, Sqlite, SqliteArguments>, row: &SpendRow) -> Query<'q, Sqlite, SqliteArguments> {
    query
        .bind(row.event.incarnation.as_bytes().to_vec())
        .bind(signed(row.event.sequence))
        .bind(row.started_at_us)
        .bind(Arc::clone(&row.request_id))
        .bind(Arc::clone(&row.key_id))
        .bind(row.team.clone())
        .bind(row.user.clone())
        .bind(row.end_user.clone())
        .bind(Arc::clone(&row.requested_model))
        .bind(row.model.clone())
        .bind(row.provider)
        .bind(row.upstream_model.clone())
        .bind(row.operation)
        .bind(row.stream)
        .bind(i64::from(row.status))
        .bind(row.outcome)
        .bind(signed(row.prompt_tokens))
        .bind(signed(row.completion_tokens))
        .bind(signed(row.cached_tokens))
        .bind(signed(row.cache_write_tokens))
        .bind(signed(row.reasoning_tokens))
        .bind(row.cost_nano)
        .bind(row.estimated)
        .bind(row.first_byte_us)
        .bind(row.latency_us)
        .bind(row.upstream_us)
        .bind(row.tags.clone())
        .bind(row.metadata.clone().filter(|text| well_formed(text)))
}

/// `SQLite` counts in i64; no count of ours comes near its end.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// One malformed text would fail every `json_extract` over the table.
fn well_formed(json: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(json).is_ok()
}
