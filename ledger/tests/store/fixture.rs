//! A new, empty store of either kind, and what is asked of it.

use std::{path::PathBuf, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use turnpike_crds::budget::{Window, WindowType};
use turnpike_ledger::{
    account::{AccountId, Unit},
    exchange::{Ask, LeaseId, Reply},
    spend_log::{EventId, Posting, SpendRow, SpendStore, StoreError},
    store::{Answers, Balance, LeaseStore, PostgresStore, SqliteStore, Unattributed},
    window::{Slot, WindowSpec},
};
use uuid::Uuid;

#[path = "../fixtures/spend_row.rs"]
mod spend_row;

use self::spend_row::spend_row;

/// Where a store is.
pub(crate) enum Fixture {
    Sqlite(TempDir),
    Postgres(String),
}

/// An open one.
pub(crate) enum Store {
    Sqlite(Box<SqliteStore>),
    Postgres(Box<PostgresStore>),
}

macro_rules! either {
    ($store:expr, $inner:ident => $do:expr) => {
        match $store {
            Store::Sqlite($inner) => $do,
            Store::Postgres($inner) => $do,
        }
    };
}

impl Fixture {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(TempDir::new().unwrap())
    }

    pub(crate) async fn postgres() -> Self {
        Self::Postgres(turnpike_testkit::postgres::database().await)
    }

    pub(crate) fn file(folder: &TempDir) -> PathBuf {
        folder.path().join("ledger.db")
    }

    /// One connection more.
    pub(crate) async fn open(&self) -> Store {
        match self {
            Self::Sqlite(folder) => Store::Sqlite(Box::new(SqliteStore::open(&Self::file(folder)).await.unwrap())),
            Self::Postgres(url) => Store::Postgres(Box::new(PostgresStore::open(url).await.unwrap())),
        }
    }

    /// Changes the database behind the store's back.
    pub(crate) async fn sql(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(folder) => {
                let mut connection = SqliteConnection::connect(Self::file(folder).to_str().unwrap()).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    /// Numbers that a query answers.
    pub(crate) async fn numbers(&self, sql: &str) -> Vec<i64> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(folder) => {
                let mut connection = SqliteConnection::connect(Self::file(folder).to_str().unwrap()).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
            }
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
            }
        }
    }

    /// Lets all holders have been silent for so much longer.
    pub(crate) async fn silence(&self, seconds: i64) {
        self.sql(&format!("UPDATE ledger_holder SET heard = heard - {}", seconds * 1_000_000)).await;
    }
}

impl Store {
    pub(crate) async fn void(&mut self, lease: LeaseId) -> Result<i64, StoreError> {
        either!(self, store => store.void(lease).await)
    }

    pub(crate) async fn unattributed(&mut self) -> Vec<Unattributed> {
        either!(self, store => store.unattributed().await.unwrap())
    }

    pub(crate) fn keeping(self, days: u32) -> Self {
        match self {
            Self::Sqlite(store) => Self::Sqlite(Box::new(store.keeping(Some(days)))),
            Self::Postgres(store) => Self::Postgres(Box::new(store.keeping(Some(days)))),
        }
    }

    /// The answer to one ask.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Reply {
        self.exchange(std::slice::from_ref(ask)).await.unwrap().replies.into_iter().next().unwrap()
    }

    pub(crate) async fn balance(&mut self, of: &Ask) -> Balance {
        let now = Timestamp::now().as_microsecond();
        let account = (of.account.clone(), of.window.counted_from(now), of.slot.start);
        self.balances(&[account]).await.unwrap().into_iter().next().unwrap()
    }
}

impl SpendStore for Store {
    async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, StoreError> {
        either!(self, store => store.append(rows).await)
    }
}

impl LeaseStore for Store {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        either!(self, store => store.exchange(asks).await)
    }

    async fn beat(&mut self, holder: Uuid, longest: Duration) -> Result<i64, StoreError> {
        either!(self, store => store.beat(holder, longest).await)
    }

    async fn close(&mut self, holder: Uuid) -> Result<(), StoreError> {
        either!(self, store => store.close(holder).await)
    }

    async fn reap(&mut self) -> Result<u64, StoreError> {
        either!(self, store => store.reap().await)
    }

    async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, StoreError> {
        either!(self, store => store.balances(accounts).await)
    }
}

pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

pub(crate) fn lifetime() -> WindowSpec {
    WindowSpec::lifetime()
}

pub(crate) fn calendar(window: Window) -> WindowSpec {
    WindowSpec::new(window, Some(WindowType::Calendar), TimeZone::UTC)
}

pub(crate) fn rolling(window: Window) -> WindowSpec {
    WindowSpec::new(window, Some(WindowType::Rolling), TimeZone::UTC)
}

/// A first ask of 100 of a limit of 1000, for spend that rows tell of.
pub(crate) fn ask(holder: Uuid, number: u64, window: WindowSpec) -> Ask {
    let slot = window.lease_slot(now());
    Ask {
        lease: LeaseId { holder, number },
        account: AccountId::from_stored("Budget/ns/b/usd/test/"),
        window,
        unit: Unit::NanoUsd,
        limit: 1000,
        slot,
        sequence: 1,
        held: 0,
        target: 100,
        least: 1,
        used: None,
        last: false,
    }
}

/// The next ask of the same lease, by a holder that counts on `held`.
pub(crate) fn then(ask: &Ask, held: i64, target: i64) -> Ask {
    Ask { sequence: ask.sequence + 1, held, target, ..ask.clone() }
}

/// A row that used `amount` of a lease, now.
pub(crate) fn row(of: &Ask, sequence: u64, amount: i64) -> SpendRow {
    row_in(of, sequence, amount, of.window.slot(now()))
}

/// The same, booked in another slot.
pub(crate) fn row_in(of: &Ask, sequence: u64, amount: i64, slot: Slot) -> SpendRow {
    let posting = Posting { account: of.account.clone(), lease: Some(of.lease.number), slot: slot.start, amount };
    SpendRow { postings: [posting].into(), ..plain(of.lease.holder, sequence) }
}

/// A row that no account counts.
pub(crate) fn plain(incarnation: Uuid, sequence: u64) -> SpendRow {
    SpendRow {
        started_at_us: now(),
        tags: Some(r#"["env:prod"]"#.into()),
        metadata: Some(r#"{"variant":"a"}"#.into()),
        ..spend_row(EventId { incarnation, sequence })
    }
}
