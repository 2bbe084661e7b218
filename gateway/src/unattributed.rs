//! `turnpike-gateway unattributed`: what lost gateways may have used and may not have, and how an admin takes it back.

use std::{
    fmt::{self, Display},
    path::Path,
};

use anyhow::Context;
use jiff::Timestamp;
use turnpike_crds::money::NanoUsd;
use turnpike_ledger::store::{PostgresStore, SqliteStore, Unattributed};
use uuid::Uuid;

use crate::stores::DATABASE;

/// The database of either kind.
enum Store {
    Postgres(Box<PostgresStore>),
    Sqlite(Box<SqliteStore>),
}

impl Store {
    async fn open(data: &Path, database: Option<&str>) -> anyhow::Result<Self> {
        if let Some(url) = database {
            return Ok(Self::Postgres(Box::new(PostgresStore::open(url).await?)));
        }
        let path = data.join(DATABASE);
        // Opening would make one.
        anyhow::ensure!(
            path.exists(),
            "there is no spend database {}; name its folder with --data, or a PostgreSQL with --database-url",
            path.display()
        );
        Ok(Self::Sqlite(Box::new(SqliteStore::open(&path).await?)))
    }

    async fn unattributed(&mut self) -> anyhow::Result<Vec<Unattributed>> {
        Ok(match self {
            Self::Postgres(store) => store.unattributed().await?,
            Self::Sqlite(store) => store.unattributed().await?,
        })
    }

    async fn void(&mut self, one: &Unattributed) -> anyhow::Result<i64> {
        Ok(match self {
            Self::Postgres(store) => store.void(one.lease).await?,
            Self::Sqlite(store) => store.void(one.lease).await?,
        })
    }
}

/// One line of what is told.
struct Line<'a>(&'a Unattributed, i64);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(one, amount) = self;
        // kind/namespace/name/unit/window/...
        let unit = one.account.as_str().split('/').nth(3).unwrap_or_default();
        let changed = Timestamp::from_microsecond(one.changed).unwrap_or_default();
        write!(f, "{}  {changed:.0}  ", one.lease.holder)?;
        if unit == "usd" {
            write!(f, "{} USD", NanoUsd(*amount))?;
        } else {
            write!(f, "{amount} {unit}")?;
        }
        write!(f, "  {}", one.account)
    }
}

/// Prints what is unattributed, or takes back what one run may have used.
///
/// # Errors
/// There is no such database, or nothing is unattributed of that run.
pub async fn run(data: &Path, database: Option<&str>, void: Option<Uuid>) -> anyhow::Result<()> {
    let mut store = Store::open(data, database).await.context("cannot open the spend database")?;
    let all = store.unattributed().await?;
    let Some(run) = void else {
        for one in &all {
            println!("{}", Line(one, one.amount));
        }
        return Ok(());
    };
    let mut voided = 0;
    for one in all.iter().filter(|one| one.lease.holder == run) {
        println!("{}", Line(one, store.void(one).await?));
        voided += 1;
    }
    anyhow::ensure!(voided > 0, "nothing is unattributed of run {run}; without --void all that is is listed");
    Ok(())
}
