//! The ledger in one `SQLite` file: the store of a gateway without a cluster.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use uuid::Uuid;

use self::session::Session;
use super::{Answers, Balance, LeaseStore, Unattributed, responses::keeps_responses, retention::Retention};
use crate::{
    account::AccountId,
    exchange::{Ask, LeaseId},
    spend_log::{SpendRow, SpendStore, StoreError},
    wal::Sync,
};

mod context;
mod history;
mod insert;
mod lease;
mod ledger;
mod objects;
mod reports;
mod session;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long one write waits for another connection that holds the file's lock. Beyond it the batch is tried again.
const BUSY: Duration = Duration::from_secs(1);

/// What a connection keeps of the file, KiB (`SQLite` counts these as negative): a batch of rows and the pages on the way to
/// them, with room. Four times as much, `SQLite`'s own choice, would only fill up with pages that are full.
const PAGES: &str = "-512";

/// A `SQLite` file with the ledger's tables. It owns one connection and opens a new one after any error; several of them may
/// be open on one file, as the spend writer's and the leases' are.
pub struct SqliteStore {
    path: PathBuf,
    session: Option<Session>,
    retention: Retention,
    synchronous: SqliteSynchronous,
}

impl SqliteStore {
    /// Opens or creates the file and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be opened, is not a database, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        // In WAL mode a crash of the process loses nothing; a loss of power loses at most the last commits, never the file.
        let synchronous = SqliteSynchronous::Normal;
        let failed = |source| StoreError::Open { path: path.display().to_string(), source };
        let mut connection = connect(path, synchronous).await.map_err(failed)?;
        // Not `run`, whose future cannot be moved to another thread.
        MIGRATIONS
            .run_direct(None, &mut connection, false)
            .await
            .map_err(|source| StoreError::Migrate { path: path.display().to_string(), source })?;
        let session = Some(Session::new(connection));
        Ok(Self { path: path.to_owned(), session, retention: Retention::default(), synchronous })
    }

    /// Another one on the same file, with the same settings, that connects when it is first used.
    #[must_use]
    pub fn another(&self) -> Self {
        let Self { path, session: _, retention, synchronous } = self;
        Self { path: path.clone(), session: None, retention: retention.again(), synchronous: *synchronous }
    }

    /// What is booked as unattributed, the oldest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn unattributed(&mut self) -> Result<Vec<Unattributed>, StoreError> {
        self.with(async |session| session.unattributed().await).await.map_err(StoreError::Exchange)
    }

    /// Takes back what was booked of a lease as unattributed, and returns how much that was.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn void(&mut self, lease: LeaseId) -> Result<i64, StoreError> {
        self.with(async |session| session.void(lease).await).await.map_err(StoreError::Write)
    }

    /// Keeps rows for this many days before today, UTC, `None` = for ever: what appends deletes older ones now and then. Sums per
    /// day are kept.
    #[must_use]
    pub fn keeping(self, days: Option<u32>) -> Self {
        Self { retention: Retention::days(days), ..self }
    }

    /// Makes commits survive what the records of write-ahead files survive: those are deleted after the commit.
    #[must_use]
    pub fn surviving(self, sync: Sync) -> Self {
        match sync {
            Sync::Never => self,
            // The next use opens the file anew.
            Sync::Group => Self { session: None, synchronous: SqliteSynchronous::Full, ..self },
        }
    }

    /// Does something with the connection, which is kept only when that went well: what it remembers may have been rolled
    /// back, or the caller may have given up in the midst of it.
    async fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::new(connect(&self.path, self.synchronous).await?),
        };
        let done = work(&mut session).await?;
        self.session = Some(session);
        Ok(done)
    }
}

impl SpendStore for SqliteStore {
    async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, StoreError> {
        let new = self.with(async |session| session.append(rows).await).await.map_err(StoreError::Write)?;
        if let Some(days) = self.retention.due() {
            let forgotten = self.with(async |session| session.keep_days(days).await).await;
            self.retention.done(forgotten);
        }
        Ok(new)
    }
}

keeps_responses!(SqliteStore);

impl LeaseStore for SqliteStore {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        self.with(async |session| session.exchange(asks).await).await.map_err(StoreError::Exchange)
    }

    async fn beat(&mut self, holder: Uuid, longest: Duration) -> Result<i64, StoreError> {
        self.with(async |session| session.beat(holder, longest).await).await.map_err(StoreError::Exchange)
    }

    async fn close(&mut self, holder: Uuid) -> Result<(), StoreError> {
        self.with(async |session| session.close(holder).await).await.map_err(StoreError::Exchange)
    }

    async fn reap(&mut self) -> Result<u64, StoreError> {
        self.with(async |session| session.reap().await).await.map_err(StoreError::Exchange)
    }

    async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, StoreError> {
        self.with(async |session| session.balances(accounts).await).await.map_err(StoreError::Exchange)
    }
}

async fn connect(path: &Path, synchronous: SqliteSynchronous) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(BUSY)
        .pragma("cache_size", PAGES)
        .disable_statement_logging()
        .connect()
        .await
}
