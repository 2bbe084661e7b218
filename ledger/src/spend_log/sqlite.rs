//! Spend rows in one `SQLite` file: the store of a gateway without a cluster.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use self::session::Session;
use super::{SpendRow, SpendStore, StoreError};

mod context;
mod insert;
mod session;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long one write waits for another process that holds the file's lock. Beyond it the batch is tried again.
const BUSY: Duration = Duration::from_secs(1);

/// A `SQLite` file with the spend tables. One writer: it owns its connection and opens a new one after any error.
pub struct SqliteStore {
    path: PathBuf,
    session: Option<Session>,
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
        Ok(Self { path: path.to_owned(), session: Some(Session::new(connection)) })
    }
}

impl SpendStore for SqliteStore {
    async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, StoreError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::new(connect(&self.path).await?),
        };
        let new = session.append(rows).await.map_err(StoreError::Write)?;
        // Not after an error: what the session remembers may have been rolled back.
        self.session = Some(session);
        Ok(new)
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
