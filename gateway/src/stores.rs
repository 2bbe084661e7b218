//! Where spend rows go and leases come from: one database, opened once for each of the tasks that use it.

use std::{
    collections::BTreeSet,
    mem,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{task::JoinHandle, time::sleep};
use turnpike_ledger::{
    engine::{Leases, Ledger, Running},
    responses::ResponseStore,
    spend_log::{SpendSink, SpendStore, SpendWriter, WriterOptions},
    store::{LeaseStore, MemoryStore, PostgresStore, RateStore, RedisStore, SqliteStore},
    wal::{self, Abandoned, Sync, Wal, WalError, WalOptions},
};
use uuid::Uuid;

use crate::{
    args::WalSync,
    console::Reader,
    responses::{self, Responses},
};

/// The spend database within the data folder.
pub(crate) const DATABASE: &str = "turnpike.db";
/// The folder of write-ahead files within the data folder.
const WAL: &str = "wal";
/// Rows of one batch, of those that an ended run left.
const BATCH: usize = 1024;
/// Pause before what an ended run left is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the end waits for spend rows to be written, after the grace time of requests.
const FLUSH: Duration = Duration::from_secs(10);
/// How long the end waits until the store knows what is not used.
const GIVE_BACK: Duration = Duration::from_secs(2);

/// Where the books are kept.
pub struct Places<'a> {
    /// The data folder: write-ahead files, and the database where there is no other.
    pub data: &'a Path,
    /// PostgreSQL.
    pub database: Option<&'a str>,
    /// Redis, for rates.
    pub redis: Option<&'a str>,
    /// What records of spend survive.
    pub sync: Sync,
    /// Days that spend rows are kept; `None` = for ever.
    pub retention: Option<u32>,
    /// Days that answers of `/v1/responses` are kept; `None` = none are.
    pub responses: Option<u32>,
    /// How long a request may take.
    pub longest: Duration,
}

/// What requests use of the stores.
pub struct Books {
    /// Takes spend rows.
    pub spend: SpendSink,
    /// Holds what requests may use.
    pub ledger: Ledger,
    /// Records attempts before they are sent.
    pub wal: Arc<Wal>,
    /// Keeps answers of `/v1/responses`.
    pub responses: Option<Responses>,
    /// Where the admin API keeps what it makes; `None` = the database is not a file of this gateway.
    pub objects: Option<SqliteStore>,
    /// Ended runs whose write-ahead files are of an unknown format.
    pub unreadable: Arc<AtomicU64>,
    /// The same database, for people.
    pub reader: Reader,
}

/// The tasks behind it.
pub struct Keepers {
    writer: SpendWriter,
    leases: Running,
    wal: Arc<Wal>,
    responses: Option<Responses>,
    /// Brings home what an earlier run left.
    recovery: JoinHandle<()>,
}

/// The same database, opened once for each of its users.
struct Opened<S> {
    rows: S,
    money: S,
    left: S,
    answers: Option<S>,
    reader: Reader,
}

/// Opens the database: PostgreSQL where there is a URL, else a file in the data folder. A PostgreSQL that is down is waited for
/// by those who need it, not here.
///
/// # Errors
/// A URL is not one, the file cannot be opened, or the data folder cannot be written.
pub async fn open(places: Places<'_>) -> anyhow::Result<(Books, Keepers)> {
    let redis = places.redis.map(RedisStore::open).transpose().context("--redis-url")?;
    if let Some(url) = places.database {
        let new = || anyhow::Ok(PostgresStore::new(url).context("--database-url")?.keeping(places.retention));
        let answers = places.responses.map(|_| new()).transpose()?;
        let reader = Reader::Postgres(new()?);
        let opened = Opened { rows: new()?, money: new()?, left: new()?, answers, reader };
        return start(opened, RateStore::new(redis, Some(new()?)), &places);
    }
    let path = places.data.join(DATABASE);
    let failed = || format!("the spend database {} cannot be opened", path.display());
    let rows = SqliteStore::open(&path).await.with_context(failed)?.keeping(places.retention).surviving(places.sync);
    let answers = places.responses.map(|_| rows.another());
    let reader = Reader::Sqlite(rows.another());
    let opened = Opened { money: rows.another(), left: rows.another(), answers, reader, rows };
    let objects = Some(opened.rows.another());
    // The only gateway on its file: nobody else needs to know of its rates.
    let (books, keepers) = start(opened, RateStore::new(redis, None::<MemoryStore>), &places)?;
    Ok((Books { objects, ..books }, keepers))
}

fn start<S: SpendStore + LeaseStore + ResponseStore>(
    opened: Opened<S>,
    rates: impl LeaseStore,
    places: &Places<'_>,
) -> anyhow::Result<(Books, Keepers)> {
    let folder = places.data.join(WAL);
    let dead = wal::abandoned(&folder)?;
    let options = WalOptions { sync: places.sync, ..WalOptions::default() };
    let (spend, writer) = SpendWriter::start(opened.rows, WriterOptions::default())?;
    let wal = Arc::new(Wal::create(&folder, spend.incarnation(), options)?);
    let confirmed = Arc::clone(&wal);
    spend.on_written(move |rows| confirmed.confirm(rows));
    let leases = Leases { money: opened.money, rates, holder: spend.incarnation(), longest: places.longest };
    let (ledger, leases) = Ledger::start(leases)?;
    let unreadable = Arc::new(AtomicU64::new(0));
    let recovery = tokio::spawn(recover(opened.left, folder, dead, Arc::clone(&unreadable)));
    let responses = opened.answers.zip(places.responses).map(|(store, days)| responses::start(store, days));
    let keepers = Keepers { writer, leases, wal: Arc::clone(&wal), responses: responses.clone(), recovery };
    Ok((Books { spend, ledger, wal, responses, objects: None, unreadable, reader: opened.reader }, keepers))
}

/// Books what ended runs have left, and frees what they did not use, for as long as the gateway runs: one that still ended when
/// this one began may leave its files later. Nobody waits for it. One that cannot be booked holds up no other.
async fn recover<S: SpendStore + LeaseStore>(
    mut store: S,
    folder: PathBuf,
    dead: Vec<Abandoned>,
    unreadable: Arc<AtomicU64>,
) {
    let mut seen: BTreeSet<Uuid> = dead.iter().map(Abandoned::incarnation).collect();
    let mut waiting: Vec<(Abandoned, Told)> = dead.into_iter().map(|dead| (dead, Told::Nothing)).collect();
    loop {
        for (dead, told) in mem::take(&mut waiting) {
            let run = dead.incarnation();
            match take_over(&mut store, &dead).await {
                Ok(()) => {
                    if let Err(error) = dead.delete() {
                        tracing::warn!(%run, %error, "the write-ahead files of an earlier run cannot be deleted");
                    }
                }
                Err(error) if matches!(error.downcast_ref(), Some(WalError::Format { .. })) => {
                    unreadable.fetch_add(1, Ordering::Relaxed);
                    // They stay for whoever knows the format. Its leases are given up like those of a lost disk.
                    tracing::error!(%run, %error, "what an earlier run spent cannot be read by this version; its files stay");
                }
                Err(error) => {
                    if told == Told::Nothing {
                        let error = format!("{error:#}");
                        tracing::warn!(%run, error, "what an earlier run spent cannot be booked yet");
                    }
                    waiting.push((dead, Told::Failure));
                }
            }
        }
        sleep(AGAIN).await;
        match wal::abandoned(&folder) {
            Ok(found) => {
                let new = found.into_iter().filter(|dead| seen.insert(dead.incarnation()));
                waiting.extend(new.map(|dead| (dead, Told::Nothing)));
            }
            Err(error) => tracing::debug!(%error, "the write-ahead files of others cannot be looked for"),
        }
    }
}

/// What the log has of a run that cannot be booked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Failure,
}

async fn take_over<S: SpendStore + LeaseStore>(store: &mut S, dead: &Abandoned) -> anyhow::Result<()> {
    let left = dead.read()?;
    let mut new = 0;
    for rows in left.rows.chunks(BATCH) {
        new += store.append(rows).await?;
    }
    if left.whole {
        store.close(dead.incarnation()).await?;
    }
    tracing::info!(run = %dead.incarnation(), rows = new, crashed = left.crashed, "booked what an earlier run left");
    Ok(())
}

impl Keepers {
    /// Writes the last rows, then gives back what no request used.
    ///
    /// # Errors
    /// Rows are left.
    pub async fn close(self) -> anyhow::Result<()> {
        self.recovery.abort();
        if let Some(responses) = &self.responses {
            responses.flush(FLUSH).await;
        }
        let flushed = self.writer.flush(FLUSH).await;
        self.leases.stop(GIVE_BACK).await;
        if let Err(error) = self.wal.finish() {
            tracing::warn!(%error, "the write-ahead files cannot be deleted");
        }
        flushed.context("spend rows could not be written before the end")
    }
}

impl From<WalSync> for Sync {
    fn from(sync: WalSync) -> Self {
        match sync {
            WalSync::Never => Self::Never,
            WalSync::Group => Self::Group,
        }
    }
}
