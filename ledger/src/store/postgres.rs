//! The ledger in PostgreSQL: the store of many gateways.
//!
//! ```text
//!  exchange   BEGIN + lock accounts + clock │ read leases and sums │ write │ COMMIT             4 round trips, any number of asks
//!  append     BEGIN │ COPY into staging │ insert what is new │ lock │ read │ write │ daily sums │ COMMIT
//! ```
//! All locks are taken in one order: rows, quarters of hours, accounts, leases, holders, daily sums; each kind by its key.

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use uuid::Uuid;

use self::session::Session;
use super::{Answers, Balance, LeaseStore, Unattributed, responses::keeps_responses, retention::Retention};
use crate::{
    account::AccountId,
    exchange::{Ask, LeaseId},
    spend_log::{SpendRow, SpendStore, StoreError},
};

mod append;
mod copy;
mod history;
mod lease;
mod ledger;
mod partitions;
mod recall;
mod session;
mod standing;

pub use self::standing::{AccountAt, KeyUse, Pot, Pots, Used};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Longest that a new connection may take, its handshakes and first statements included.
const CONNECT: Duration = Duration::from_secs(5);

/// A database with the ledger's tables. It owns one connection, made on first use by the runtime that uses it, and makes a new
/// one after any error or when a caller gave up in the midst of something.
pub struct PostgresStore {
    options: PgConnectOptions,
    link: Link,
    is_migrated: bool,
    retention: Retention,
}

enum Link {
    Down,
    /// On its way, whether or not somebody waits: a caller with little time finds it the next time.
    Coming(JoinHandle<Result<Session, sqlx::Error>>),
    Up(Box<Session>),
}

impl PostgresStore {
    /// Without asking the server anything: whoever uses it first brings the schema up to date. `url` as libpq has it:
    /// `postgres://user@host/name`.
    ///
    /// # Errors
    /// The URL is not one.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            // What the URL says may be a password; why it is wrong does not repeat it.
            .map_err(|source| StoreError::Open { path: "(its URL)".to_owned(), source })?
            .application_name("turnpike")
            .disable_statement_logging();
        Ok(Self { options, link: Link::Down, is_migrated: false, retention: Retention::default() })
    }

    /// Brings the schema up to date, waiting while another process does.
    ///
    /// # Errors
    /// The URL is not one, the server does not answer or refuses, or its schema was damaged.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let mut store = Self::new(url)?;
        let path = place(&store.options);
        match migrate(&store.options).await {
            Ok(()) => store.is_migrated = true,
            Err(sqlx::Error::Migrate(source)) => return Err(StoreError::Migrate { path, source: *source }),
            Err(source) => return Err(StoreError::Open { path, source }),
        }
        Ok(store)
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
    /// Nothing was changed, or the answer was lost.
    pub async fn void(&mut self, lease: LeaseId) -> Result<i64, StoreError> {
        self.with(async |session| session.void(lease).await).await.map_err(StoreError::Write)
    }

    /// Keeps rows for this many days before today, UTC by the database's clock, `None` = for ever: what appends drops older
    /// partitions now and then. Sums per day are kept.
    #[must_use]
    pub fn keeping(self, days: Option<u32>) -> Self {
        Self { retention: Retention::days(days), ..self }
    }

    /// Counts up whenever the server behind the URL was another one: after a failover or a restore.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn epoch(&mut self) -> Result<i64, StoreError> {
        self.with(async |session| session.epoch().await).await.map_err(StoreError::Exchange)
    }

    /// Does something with the connection. It is kept when that went well, or when the server refused it; not when the caller
    /// gave up in the midst of it: the transaction then ends with its connection.
    async fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut session = self.session().await?;
        let done = work(&mut session).await;
        let usable = match &done {
            Ok(_) => true,
            Err(error) => is_passing(error) && session.recover().await,
        };
        if usable {
            self.link = Link::Up(session);
        }
        done
    }

    async fn session(&mut self) -> Result<Box<Session>, sqlx::Error> {
        match std::mem::replace(&mut self.link, Link::Down) {
            Link::Up(session) => return Ok(session),
            Link::Coming(coming) => self.link = Link::Coming(coming),
            Link::Down => {
                let (options, is_migrated) = (self.options.clone(), self.is_migrated);
                self.link = Link::Coming(tokio::spawn(async move {
                    if !is_migrated {
                        migrate(&options).await?;
                    }
                    in_time(Session::open(&options)).await
                }));
            }
        }
        let Link::Coming(coming) = &mut self.link else { return Err(sqlx::Error::WorkerCrashed) };
        let session = coming.await;
        self.link = Link::Down;
        let session = session.map_err(|_| sqlx::Error::WorkerCrashed)??;
        self.is_migrated = true;
        Ok(Box::new(session))
    }
}

/// Whether the server refused this transaction but may well take the next: a lock that was not had in time, a statement that
/// took too long, a deadlock. Not what says that the server is the wrong one, as after a failover.
fn is_passing(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(code.as_ref(), "55P03" | "57014" | "40P01" | "40001"))
}

async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(CONNECT, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Over a connection of its own, without the limits of others: it may wait for another process that does the same.
async fn migrate(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = in_time(PgConnection::connect_with(options)).await?;
    require_utf8(&mut connection).await?;
    let mut migrations = Migrator { migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
    // A pod of the version before must still start while pods are being replaced; migrations only add.
    migrations.set_ignore_missing(true);
    // Not `run`, whose future cannot be moved to another thread.
    migrations.run_direct(None, &mut connection, false).await.map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
    // Of no consequence: all is committed.
    drop(connection.close().await);
    Ok(())
}

/// Texts of clients come in any script.
async fn require_utf8(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(connection).await?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(sqlx::Error::Configuration(format!("its encoding is {encoding}, and must be UTF8").into()))
}

/// Where the database is, without its password.
fn place(options: &PgConnectOptions) -> String {
    let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    let tls = match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => "",
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => " over TLS",
    };
    format!("{} at {host}:{}{tls}", options.get_database().unwrap_or("postgres"), options.get_port())
}

impl SpendStore for PostgresStore {
    async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, StoreError> {
        let new = self.with(async |session| session.append(rows).await).await.map_err(StoreError::Write)?;
        if let Some(days) = self.retention.due() {
            let forgotten = self.with(async |session| session.keep_days(days).await).await;
            self.retention.done(forgotten);
        }
        Ok(new)
    }
}

keeps_responses!(PostgresStore);

impl LeaseStore for PostgresStore {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        self.with(async |session| session.exchange(asks).await).await.map_err(StoreError::Exchange)
    }

    async fn beat(&mut self, holder: Uuid, longest: Duration) -> Result<i64, StoreError> {
        self.with(async |session| session.beat(holder, longest).await).await.map_err(StoreError::Exchange)
    }

    async fn probe(&mut self) -> Result<Option<i64>, StoreError> {
        self.with(async |session| session.living().await).await.map(Some).map_err(StoreError::Exchange)
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

    async fn recall(&mut self, holder: Uuid, accounts: &[AccountId]) -> Result<(), StoreError> {
        self.with(async |session| session.recall(holder, accounts).await).await.map_err(StoreError::Exchange)
    }

    fn recalls(&mut self, holder: Uuid) -> mpsc::Receiver<AccountId> {
        recall::listen(self.options.clone(), holder)
    }
}
