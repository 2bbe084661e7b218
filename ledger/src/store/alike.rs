//! Kept answers by what their requests mean, in PostgreSQL with its extension `vector`: shared by gateways, and more of them than
//! one process could compare.
//!
//! ```text
//!  find   partition + vector ─▶ few of the partition: each is compared │ many: the index of their length proposes ─▶ the likest
//!  put    a row for each answer, in place of what its request had; the first of a length makes the index of that length
//! ```
//! The server's planner chooses between the two. Nothing of it is in the migrations: they must not fail where there is no
//! extension.

use std::{
    collections::BTreeSet,
    str::FromStr as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// Connections at most.
const CONNECTIONS: usize = 4;
/// Those of them that write at most: who asks, waits.
const WRITING: usize = 2;
/// Longest that anything takes, a new connection included; the server gives up a statement before.
const LONGEST: Duration = Duration::from_secs(5);
/// Longest vectors that the extension makes an index of; more dimensions are compared one by one.
const INDEXED: usize = 2000;
/// Rows of one deletion: others write meanwhile.
const BATCH: i64 = 1000;

/// Each question has a plan of its own, as partitions differ in size by orders of magnitude. The index proposes more than one as
/// others may be of other partitions, and goes on proposing where the extension can.
const SETTINGS: &str = "SET statement_timeout = '2s'; SET lock_timeout = '1s'; SET client_min_messages = warning;
    SET idle_in_transaction_session_timeout = '2s'; SET client_connection_check_interval = '1s'; SET jit = off;
    SET plan_cache_mode = force_custom_plan; SET hnsw.ef_search = 200;
    SELECT set_config('hnsw.iterative_scan', 'strict_order', false) FROM pg_extension
        WHERE extname = 'vector' AND string_to_array(extversion, '.')::int[] >= '{0,8}'";

/// One at a time: of two that make the same table at once, one would fail.
const ALONE: &str = "SELECT pg_advisory_xact_lock(7310026)";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS kept_answer (
        partition bytea NOT NULL, key bytea NOT NULL, dimensions integer NOT NULL, embedding vector NOT NULL,
        value bytea NOT NULL, until bigint NOT NULL, PRIMARY KEY (partition, key));
    CREATE INDEX IF NOT EXISTS kept_answer_until ON kept_answer (until)";

const PUT: &str = "INSERT INTO kept_answer (partition, key, dimensions, embedding, value, until)
    VALUES ($1, $2, $3, $4::real[]::vector, $5, $6)
    ON CONFLICT (partition, key) DO UPDATE SET dimensions = excluded.dimensions, embedding = excluded.embedding,
        value = excluded.value, until = excluded.until";

const FORGET: &str = "DELETE FROM kept_answer WHERE (partition, key) IN
    (SELECT partition, key FROM kept_answer WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AlikeError {
    /// What the URL says may be a password; why it is wrong does not repeat it.
    #[error("the URL of the database is not one")]
    Url(#[source] sqlx::Error),
    /// Neither there nor to be had by this user.
    #[error(
        "the database has no extension `vector` and this user cannot create it; install pgvector 0.5 or later and run CREATE \
         EXTENSION vector there"
    )]
    Extension(#[source] sqlx::Error),
    /// It has no index for this.
    #[error("the extension `vector` of the database is older than 0.5; update it")]
    Old,
    /// It did not answer, not in time, or it refused.
    #[error("the database does not answer, or refuses")]
    Database(#[from] sqlx::Error),
}

/// A kept answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike {
    /// What its request shares with those that may have it.
    pub partition: [u8; 32],
    /// Of its request.
    pub key: [u8; 32],
    /// What the rest of its request means.
    pub vector: Vec<f32>,
    /// The answer, in whatever form.
    pub value: Vec<u8>,
    /// When it stops being one, milliseconds since the epoch.
    pub until: i64,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// As [`Alike::partition`].
    pub partition: [u8; 32],
    /// As [`Alike::vector`].
    pub vector: Vec<f32>,
    /// Least cosine of the angle between the two.
    pub threshold: f64,
    /// Milliseconds since the epoch.
    pub now: i64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Likest {
    /// As [`Alike::key`].
    pub key: [u8; 32],
    /// As [`Alike::value`].
    pub value: Vec<u8>,
    /// Cosine of the angle between the two.
    pub likeness: f64,
}

/// The table, by way of a few connections that are made when they are needed. All methods are for one runtime, whose
/// connections they are.
#[derive(Debug)]
pub struct AlikeStore {
    options: PgConnectOptions,
    places: Semaphore,
    writing: Semaphore,
    idle: Mutex<Vec<PgConnection>>,
    /// Lengths of vectors that have an index.
    indexed: Mutex<BTreeSet<usize>>,
}

/// Dropped, and so closed, unless what was done with it went well.
struct Held<'a> {
    connection: PgConnection,
    _place: SemaphorePermit<'a>,
}

impl AlikeStore {
    /// Without asking the server anything. `url` as libpq has it.
    ///
    /// # Errors
    /// The URL is not one.
    pub fn new(url: &str) -> Result<Self, AlikeError> {
        let options = PgConnectOptions::from_str(url).map_err(AlikeError::Url)?;
        Ok(Self {
            options: options.application_name("turnpike").disable_statement_logging(),
            places: Semaphore::new(CONNECTIONS),
            writing: Semaphore::new(WRITING),
            idle: Mutex::default(),
            indexed: Mutex::default(),
        })
    }

    /// Makes the extension and the table where they are not there.
    ///
    /// # Errors
    /// There is no extension, or the server does not answer.
    pub async fn prepare(&self) -> Result<(), AlikeError> {
        // Those from before the extension was there do not know it.
        lock(&self.idle).clear();
        lock(&self.indexed).clear();
        let mut held = self.hold().await?;
        match alone(&mut held.connection, "CREATE EXTENSION IF NOT EXISTS vector").await {
            Err(error) if is_lacking(&error) => return Err(AlikeError::Extension(error)),
            created => created?,
        }
        let can = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_am WHERE amname = 'hnsw')");
        if !in_time(can.fetch_one(&mut held.connection)).await? {
            return Err(AlikeError::Old);
        }
        // Not given back, as above.
        Ok(alone(&mut held.connection, TABLE).await?)
    }

    /// The likest answer, if it is like enough.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn find(&self, wanted: &Wanted) -> Result<Option<Likest>, AlikeError> {
        let length = wanted.vector.len();
        // Numbers alone stand in the text. Half a millionth more than the threshold allows: likeness is rounded to a millionth.
        let sql = format!(
            "SELECT key, value, 1 - distance FROM (
                SELECT key, value, embedding::vector({length}) <=> $1::real[]::vector({length}) AS distance FROM kept_answer
                WHERE dimensions = {length} AND partition = $2 AND until > $3 ORDER BY distance LIMIT 1) AS likest
            WHERE distance <= 1.0000005 - $4"
        );
        let mut held = self.hold().await?;
        let find = sqlx::query_as::<_, (Vec<u8>, Vec<u8>, f64)>(AssertSqlSafe(sql))
            .bind(&wanted.vector)
            .bind(&wanted.partition[..])
            .bind(wanted.now)
            .bind(wanted.threshold);
        let found = in_time(find.fetch_optional(&mut held.connection)).await?;
        self.done(held);
        let likest =
            found.and_then(|(key, value, likeness)| Some(Likest { key: key.try_into().ok()?, value, likeness }));
        Ok(likest.map(|likest| Likest { likeness: (likest.likeness * 1e6).round() / 1e6, ..likest }))
    }

    /// Keeps an answer; one to the same request is replaced.
    ///
    /// # Errors
    /// It may not be kept.
    pub async fn put(&self, alike: &Alike) -> Result<(), AlikeError> {
        let length = alike.vector.len();
        let _writing = place(&self.writing).await?;
        let mut held = self.hold().await?;
        if length <= INDEXED && !lock(&self.indexed).contains(&length) {
            let index = format!(
                "CREATE INDEX IF NOT EXISTS kept_answer_of_{length} ON kept_answer
                    USING hnsw ((embedding::vector({length})) vector_cosine_ops) WHERE dimensions = {length}"
            );
            alone(&mut held.connection, &index).await?;
            lock(&self.indexed).insert(length);
        }
        let put = sqlx::query(PUT)
            .bind(&alike.partition[..])
            .bind(&alike.key[..])
            .bind(i32::try_from(length).unwrap_or(i32::MAX))
            .bind(&alike.vector)
            .bind(&alike.value)
            .bind(alike.until);
        in_time(put.execute(&mut held.connection)).await?;
        self.done(held);
        Ok(())
    }

    /// Deletes what has expired, some at a time, and says how many there were.
    ///
    /// # Errors
    /// Some may be gone.
    pub async fn forget(&self, now: i64) -> Result<u64, AlikeError> {
        let _writing = place(&self.writing).await?;
        let mut held = self.hold().await?;
        let mut all = 0;
        loop {
            let some = sqlx::query(FORGET).bind(now).bind(BATCH);
            let gone = in_time(some.execute(&mut held.connection)).await?.rows_affected();
            all += gone;
            if gone < BATCH.unsigned_abs() {
                self.done(held);
                return Ok(all);
            }
        }
    }

    async fn hold(&self) -> Result<Held<'_>, sqlx::Error> {
        let place = place(&self.places).await?;
        let idle = lock(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => in_time(connect(&self.options)).await?,
        };
        Ok(Held { connection, _place: place })
    }

    fn done(&self, held: Held<'_>) {
        lock(&self.idle).push(held.connection);
    }
}

async fn place(of: &Semaphore) -> Result<SemaphorePermit<'_>, sqlx::Error> {
    of.acquire().await.map_err(|_| sqlx::Error::PoolClosed)
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
    Ok(connection)
}

/// Does `statements` in a transaction while nobody else does such.
async fn alone(connection: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    let sql = format!("BEGIN; {ALONE}; {statements}; COMMIT");
    in_time(sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection)).await.map(drop)
}

/// Whether the server has no such extension, or not for this user; all else may pass.
fn is_lacking(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(code.as_ref(), "0A000" | "58P01" | "42501"))
}

async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(LONGEST, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
