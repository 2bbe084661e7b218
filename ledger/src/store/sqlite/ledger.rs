//! Accounts and leases in `SQLite`: reading what a plan needs, and writing what it changes.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sqlx::{FromRow, SqliteConnection};
use uuid::Uuid;

use super::{history, session::signed};
use crate::{
    account::AccountId,
    exchange::{Ask, Lease, LeaseId, Standing},
    spend_log::SpendRow,
    store::{
        history::Known,
        plan::{Changes, Kept, Key, Kind, Read, Seen, UNHEARD},
        text,
    },
};

/// The account of an id, which is made on first mention. Asked anew in each transaction: another connection may have forgotten
/// the account in between, and its key may be another's by then.
pub(super) async fn account(connection: &mut SqliteConnection, id: &AccountId) -> Result<(Key, Seen), sqlx::Error> {
    let known = sqlx::query_as("SELECT key, seen, counted, until FROM ledger_account WHERE id = ?")
        .bind(text::id(id.as_str()).into_owned())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some((key, time, counted, until)) = known {
        return Ok((key, Seen { time, counted, until }));
    }
    let key = sqlx::query_scalar("INSERT INTO ledger_account (id) VALUES (?) RETURNING key")
        .bind(text::id(id.as_str()).into_owned())
        .fetch_one(connection)
        .await?;
    Ok((key, Seen::default()))
}

/// Microseconds since the epoch.
pub(super) fn clock() -> i64 {
    Timestamp::now().as_microsecond()
}

pub(super) fn bytes(holder: Uuid) -> Vec<u8> {
    holder.as_bytes().to_vec()
}

/// A row of `ledger_lease`.
#[derive(FromRow)]
struct Row {
    holder: Vec<u8>,
    number: i64,
    account: Key,
    kind: i16,
    slot: i64,
    width: i64,
    granted: i64,
    booked: i64,
    sequence: i64,
    unattributed: i64,
    lost_slot: i64,
    finished: bool,
    closed: bool,
}

impl From<Row> for Kept {
    fn from(row: Row) -> Self {
        Self {
            id: LeaseId {
                holder: Uuid::from_slice(&row.holder).unwrap_or_default(),
                number: row.number.cast_unsigned(),
            },
            account: row.account,
            kind: Kind::from_code(row.kind),
            slot: row.slot,
            width: row.width,
            lease: Lease {
                granted: row.granted,
                booked: row.booked,
                sequence: row.sequence.cast_unsigned(),
                unattributed: row.unattributed,
                finished: row.finished,
                closed: row.closed,
            },
            lost_slot: row.lost_slot,
        }
    }
}

pub(super) async fn lease(connection: &mut SqliteConnection, id: LeaseId) -> Result<Option<Kept>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM ledger_lease WHERE holder = ? AND number = ?")
        .bind(bytes(id.holder))
        .bind(signed(id.number))
        .fetch_optional(connection)
        .await?;
    Ok(row.map(Kept::from))
}

pub(super) async fn leases_of_holder(
    connection: &mut SqliteConnection,
    holder: Uuid,
) -> Result<Vec<Kept>, sqlx::Error> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM ledger_lease WHERE holder = ?").bind(bytes(holder)).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Kept::from).collect())
}

/// The accounts and the leases that rows name.
pub(super) async fn named_by<'r>(
    connection: &mut SqliteConnection,
    rows: impl Iterator<Item = &'r SpendRow>,
) -> Result<(HashMap<&'r AccountId, Key>, BTreeMap<LeaseId, Kept>), sqlx::Error> {
    let (mut accounts, mut leases) = (HashMap::new(), BTreeMap::new());
    for row in rows {
        for posting in row.postings.iter() {
            if !accounts.contains_key(&posting.account) {
                accounts.insert(&posting.account, account(connection, &posting.account).await?.0);
            }
            let Some(number) = posting.lease else { continue };
            let id = LeaseId { holder: row.event.incarnation, number };
            if !leases.contains_key(&id)
                && let Some(kept) = lease(connection, id).await?
            {
                leases.insert(id, kept);
            }
        }
    }
    Ok((accounts, leases))
}

/// What one ask is decided by.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    ask: &Ask,
    account: Key,
    counted: i64,
) -> Result<Read, sqlx::Error> {
    let kept = lease(connection, ask.lease).await?;
    let spent: i64 =
        sqlx::query_scalar("SELECT coalesce(sum(amount), 0) FROM ledger_spent WHERE account = ? AND slot >= ?")
            .bind(account)
            .bind(counted)
            .fetch_one(&mut *connection)
            .await?;
    let (others, holders, in_use): (i64, i64, bool) = sqlx::query_as(
        "SELECT coalesce(sum(max(granted - booked, 0)) FILTER (WHERE holder <> ?3 OR number <> ?4), 0),
                count(DISTINCT holder) FILTER (WHERE holder <> ?3 AND NOT finished),
                EXISTS (SELECT 1 FROM ledger_lease WHERE account = ?1 AND NOT closed)
         FROM ledger_lease WHERE account = ?1 AND slot = ?2 AND NOT closed",
    )
    .bind(account)
    .bind(ask.slot.start)
    .bind(bytes(ask.lease.holder))
    .bind(signed(ask.lease.number))
    .fetch_one(&mut *connection)
    .await?;
    let ended = ended(connection, ask.lease.holder).await?;
    let standing = Standing { spent, others, holders: holders + 1 };
    Ok(Read { kept, ended, standing, in_use, known: Known::default() })
}

async fn ended(connection: &mut SqliteConnection, holder: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM ledger_holder WHERE holder = ? AND ended)")
        .bind(bytes(holder))
        .fetch_one(connection)
        .await
}

/// Writes what a plan changes.
pub(super) async fn write(connection: &mut SqliteConnection, changes: &Changes) -> Result<(), sqlx::Error> {
    let now = clock();
    history::add_quarters(connection, &changes.quarters).await?;
    history::add_days(connection, &changes.days).await?;
    for kept in changes.leases.values() {
        put(connection, kept, now).await?;
    }
    for holder in &changes.holders {
        sqlx::query("INSERT INTO ledger_holder VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING")
            .bind(bytes(*holder))
            .bind(now)
            .bind(i64::try_from(UNHEARD.as_micros()).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
    }
    for ((account, slot), amount) in &changes.spent {
        sqlx::query(
            "INSERT INTO ledger_spent VALUES (?, ?, ?)
             ON CONFLICT (account, slot) DO UPDATE SET amount = amount + excluded.amount",
        )
        .bind(account)
        .bind(slot)
        .bind(amount)
        .execute(&mut *connection)
        .await?;
    }
    for (account, seen) in &changes.seen {
        sqlx::query("UPDATE ledger_account SET seen = ?, counted = ?, until = ? WHERE key = ?")
            .bind(seen.time)
            .bind(seen.counted)
            .bind(seen.until)
            .bind(account)
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM ledger_spent WHERE account = ? AND slot <> 0 AND slot < ?")
            .bind(account)
            .bind(seen.counted)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn put(connection: &mut SqliteConnection, kept: &Kept, now: i64) -> Result<(), sqlx::Error> {
    let lease = &kept.lease;
    sqlx::query("INSERT OR REPLACE INTO ledger_lease VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(bytes(kept.id.holder))
        .bind(signed(kept.id.number))
        .bind(kept.account)
        .bind(kept.kind.code())
        .bind(kept.slot)
        .bind(kept.width)
        .bind(lease.granted)
        .bind(lease.booked)
        .bind(signed(lease.sequence))
        .bind(lease.unattributed)
        .bind(kept.lost_slot)
        .bind(lease.finished)
        .bind(lease.closed)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}
