//! The spend log: one row per upstream attempt, written in batches away from the requests.

mod row;
mod writer;

pub use row::{Attempt, EventId, Posting, Role, SpendRow};
pub use writer::{Full, SpendSink, SpendSlot, SpendStatus, SpendWriter, Unwritten, WriterOptions};

/// Where batches of rows end up.
pub trait SpendStore: Send + 'static {
    /// Writes all `rows` in one transaction and returns how many were new; rows whose event is already there are skipped.
    ///
    /// # Errors
    /// Nothing of the batch was written; it may be tried again.
    fn append(&mut self, rows: &[SpendRow]) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// What can go wrong between the log and its store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened: not there, not readable, or not a database.
    #[error("cannot open the spend database {path}")]
    Open {
        /// Its file, or its host and name.
        path: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date, for example because a newer version wrote it.
    #[error("cannot migrate the spend database {path}")]
    Migrate {
        /// Its file, or its host and name.
        path: String,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// A batch was refused: locked, full, or damaged.
    #[error("cannot write spend rows")]
    Write(#[source] sqlx::Error),
    /// The log cannot be read.
    #[error("cannot read the spend log")]
    Read(#[source] sqlx::Error),
    /// An exchange of leases was not answered, or not in time.
    #[error("cannot exchange leases")]
    Exchange(#[source] sqlx::Error),
    /// Kept answers were not written or found.
    #[error("cannot use the store of responses")]
    Response(#[source] sqlx::Error),
    /// Resources of the admin API were not written or found.
    #[error("cannot use the store of resources")]
    Object(#[source] sqlx::Error),
    /// Redis refused, or its connection broke.
    #[error("cannot exchange leases of rates")]
    Redis(#[source] redis::RedisError),
    /// Redis did not answer in time, or has not lately and is left alone for a moment.
    #[error("Redis does not answer")]
    Stalled,
}
