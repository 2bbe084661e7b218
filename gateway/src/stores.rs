//! Where spend rows go and leases come from: one database, opened once for each of the tasks that use it.

use std::{path::Path, time::Duration};

use anyhow::Context;
use turnpike_ledger::{
    engine::{Leases, Ledger, Running},
    spend_log::{SpendSink, SpendStore, SpendWriter, WriterOptions},
    store::{LeaseStore, MemoryStore, PostgresStore, SqliteStore},
};

/// The spend database within the data folder.
const DATABASE: &str = "turnpike.db";
/// How long the end waits for spend rows to be written, after the grace time of requests.
const FLUSH: Duration = Duration::from_secs(10);
/// How long the end waits until the store knows what is not used.
const GIVE_BACK: Duration = Duration::from_secs(2);

/// What requests use of the stores.
pub struct Books {
    /// Takes spend rows.
    pub spend: SpendSink,
    /// Holds what requests may use.
    pub ledger: Ledger,
}

/// The tasks behind it.
pub struct Keepers {
    writer: SpendWriter,
    leases: Running,
}

/// Opens the database: PostgreSQL where there is a URL, else a file in the data folder. `longest` is how long a request may
/// take.
///
/// # Errors
/// It cannot be opened, and waiting will not help.
pub async fn open(data: &Path, url: Option<&str>, longest: Duration) -> anyhow::Result<(Books, Keepers)> {
    if let Some(url) = url {
        let open = || async { PostgresStore::open(url).await.context("--database-url") };
        return start(open().await?, open().await?, open().await?, longest);
    }
    let path = data.join(DATABASE);
    let open = || async {
        let failed = || format!("the spend database {} cannot be opened", path.display());
        SqliteStore::open(&path).await.with_context(failed)
    };
    // The only gateway on its file: nobody else needs to know of its rates.
    start(open().await?, open().await?, MemoryStore::default(), longest)
}

fn start(
    rows: impl SpendStore,
    money: impl LeaseStore,
    rates: impl LeaseStore,
    longest: Duration,
) -> anyhow::Result<(Books, Keepers)> {
    let (spend, writer) = SpendWriter::start(rows, WriterOptions::default())?;
    let leases = Leases { money, rates, holder: spend.incarnation(), longest };
    let (ledger, leases) = Ledger::start(leases)?;
    Ok((Books { spend, ledger }, Keepers { writer, leases }))
}

impl Keepers {
    /// Writes the last rows, then gives back what no request used.
    ///
    /// # Errors
    /// Rows are left.
    pub async fn close(self) -> anyhow::Result<()> {
        let flushed = self.writer.flush(FLUSH).await;
        self.leases.stop(GIVE_BACK).await;
        flushed.context("spend rows could not be written before the end")
    }
}
