//! How limits stand and who used what, for those who tell people about it: reads only, any number of accounts in one statement.

use std::collections::BTreeMap;

use jiff::civil::Date;
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::PostgresStore;
use crate::{account::AccountId, spend_log::StoreError};

/// Pots of a limit that are told by name.
const NAMED: i64 = 10;

/// Pots of a limit that are told by name because they are full, at most.
const MOST_NAMED: i64 = 1000;

/// An account of a limit, and which part of its time counts now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountAt {
    /// The account. Where a limit has many pots, the one of the empty subject: its name is what all of them begin with.
    pub account: AccountId,
    /// Start of the first slot that counts.
    pub counted: i64,
    /// Start of the slot that its leases are bound to.
    pub slot: i64,
    /// The limit of each pot.
    pub limit: i64,
}

/// One pot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pot {
    /// Whose it is; empty where a limit has only one.
    pub subject: String,
    /// Booked in the window.
    pub spent: i64,
    /// Outstanding on leases.
    pub reserved: i64,
}

/// All pots of a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pots {
    /// Booked in the window, in all of them.
    pub spent: i64,
    /// Outstanding on leases, of all of them.
    pub reserved: i64,
    /// Part of what is spent that lost gateways may have used, and may not have.
    pub unattributed: i64,
    /// Pots that were used in the window, or are leased.
    pub count: i64,
    /// The fullest first: ten, and all that have reached the limit, up to a thousand.
    pub named: Vec<Pot>,
}

/// What a key has used since the first of some days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Rows: attempts, and requests that ended before one.
    pub requests: i64,
    /// Tokens of prompts, cached ones included.
    pub prompt_tokens: i64,
    /// Tokens of answers.
    pub completion_tokens: i64,
    /// Tokens of prompts that providers had cached.
    pub cached_tokens: i64,
    /// What is known of its cost, nano-USD.
    pub cost_nano: i64,
}

/// What a key has used, by stretches of days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// The last UTC day with a row, days since the epoch.
    pub last_day: i64,
    /// By the latest of the asked days that a row is not before: its index. A sum since day `i` is that of all from `i` on.
    pub since: BTreeMap<usize, Used>,
}

impl KeyUse {
    /// All since the day that stood at this index.
    pub fn since(&self, index: usize) -> Used {
        self.since.range(index..).fold(Used::default(), |sum, (_, used)| Used {
            requests: sum.requests + used.requests,
            prompt_tokens: sum.prompt_tokens + used.prompt_tokens,
            completion_tokens: sum.completion_tokens + used.completion_tokens,
            cached_tokens: sum.cached_tokens + used.cached_tokens,
            cost_nano: sum.cost_nano + used.cost_nano,
        })
    }
}

impl PostgresStore {
    /// The database's clock, microseconds since the epoch.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn clock(&mut self) -> Result<i64, StoreError> {
        self.with(async |session| session.clock().await).await.map_err(StoreError::Exchange)
    }

    /// How limits with one pot stand, in the order of `accounts`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn standings(&mut self, accounts: &[AccountAt]) -> Result<Vec<Pots>, StoreError> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let read = async |session: &mut super::session::Session| standings(&mut session.connection, accounts).await;
        self.with(read).await.map_err(StoreError::Exchange)
    }

    /// How limits with a pot for each subject stand, in the order of `accounts`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn pots(&mut self, accounts: &[AccountAt]) -> Result<Vec<Pots>, StoreError> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let read = async |session: &mut super::session::Session| pots(&mut session.connection, accounts).await;
        self.with(read).await.map_err(StoreError::Exchange)
    }

    /// What each key has used since the first of `days`, which ascend.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn usage(&mut self, days: &[Date]) -> Result<BTreeMap<String, KeyUse>, StoreError> {
        if days.is_empty() {
            return Ok(BTreeMap::new());
        }
        let read = async |session: &mut super::session::Session| usage(&mut session.connection, days).await;
        self.with(read).await.map_err(StoreError::Exchange)
    }
}

/// Sums of an account `k` at `n`; columns spent, reserved, unattributed.
macro_rules! sums {
    () => {
        "CROSS JOIN LATERAL (SELECT coalesce(sum(s.amount), 0)::bigint AS spent
            FROM ledger_spent s WHERE s.account = k.key AND s.slot >= n.counted) AS booked
         CROSS JOIN LATERAL (SELECT coalesce(sum(greatest(l.granted - l.booked, 0)), 0)::bigint AS reserved
            FROM ledger_lease l WHERE l.account = k.key AND l.slot = n.slot AND NOT l.closed) AS leased
         CROSS JOIN LATERAL (SELECT coalesce(sum(l.unattributed), 0)::bigint AS unattributed
            FROM ledger_lease l WHERE l.account = k.key AND l.unattributed > 0 AND l.lost_slot >= n.counted) AS lost"
    };
}

async fn standings(connection: &mut PgConnection, accounts: &[AccountAt]) -> Result<Vec<Pots>, sqlx::Error> {
    let rows = sqlx::query(concat!(
        "SELECT n.position, spent, reserved, unattributed
         FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS n (id, counted, slot, position)
         JOIN ledger_account k ON k.id = n.id ",
        sums!()
    ))
    .bind(accounts.iter().map(|at| at.account.as_str()).collect::<Vec<_>>())
    .bind(accounts.iter().map(|at| at.counted).collect::<Vec<_>>())
    .bind(accounts.iter().map(|at| at.slot).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let mut all = vec![Pots::default(); accounts.len()];
    for row in &rows {
        let (spent, reserved) = (row.try_get(1)?, row.try_get(2)?);
        let pots = Pots {
            spent,
            reserved,
            unattributed: row.try_get(3)?,
            count: 1,
            named: vec![Pot { subject: String::new(), spent, reserved }],
        };
        set(&mut all, row, pots)?;
    }
    Ok(all)
}

async fn pots(connection: &mut PgConnection, accounts: &[AccountAt]) -> Result<Vec<Pots>, sqlx::Error> {
    let (prefixes, suffixes): (Vec<&str>, Vec<&str>) = accounts.iter().map(|at| around(&at.account)).unzip();
    let rows = sqlx::query(concat!(
        "WITH pots AS (
            SELECT n.position, n.cap, spent, reserved, unattributed,
                substr(k.id, length(n.prefix) + 1, length(k.id) - length(n.prefix) - length(n.suffix)) AS subject
            FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
                WITH ORDINALITY AS n (prefix, suffix, counted, slot, cap, position)
            JOIN ledger_account k ON k.id ~>=~ n.prefix AND k.id ~<~ (left(n.prefix, -1) || '0')
                AND CASE n.suffix WHEN '' THEN strpos(k.id, '/reset=') = 0 ELSE right(k.id, length(n.suffix)) = n.suffix END ",
        sums!(),
        " WHERE spent <> 0 OR reserved <> 0
        ), ranked AS (
            SELECT *, row_number() OVER (PARTITION BY position ORDER BY spent DESC, subject) AS rank,
                (sum(spent) OVER one)::bigint AS all_spent, (sum(reserved) OVER one)::bigint AS all_reserved,
                (sum(unattributed) OVER one)::bigint AS all_unattributed, count(*) OVER one AS number
            FROM pots WINDOW one AS (PARTITION BY position)
        )
        SELECT position, subject, spent, reserved, all_spent, all_reserved, all_unattributed, number FROM ranked
        WHERE rank <= $6 OR (spent >= cap AND rank <= $7) ORDER BY position, rank"
    ))
    .bind(prefixes)
    .bind(suffixes)
    .bind(accounts.iter().map(|at| at.counted).collect::<Vec<_>>())
    .bind(accounts.iter().map(|at| at.slot).collect::<Vec<_>>())
    .bind(accounts.iter().map(|at| at.limit).collect::<Vec<_>>())
    .bind(NAMED)
    .bind(MOST_NAMED)
    .fetch_all(connection)
    .await?;
    let mut all = vec![Pots::default(); accounts.len()];
    for row in &rows {
        let pot = Pot { subject: row.try_get(1)?, spent: row.try_get(2)?, reserved: row.try_get(3)? };
        let mut pots = Pots {
            spent: row.try_get(4)?,
            reserved: row.try_get(5)?,
            unattributed: row.try_get(6)?,
            count: row.try_get(7)?,
            named: all.get(index(row)?).map(|pots| pots.named.clone()).unwrap_or_default(),
        };
        pots.named.push(pot);
        set(&mut all, row, pots)?;
    }
    Ok(all)
}

/// What the ids of all pots begin and end with. Ids of one limit begin with the same text up to a slash.
fn around(account: &AccountId) -> (&str, &str) {
    let id = account.as_str();
    id.find("//reset=").map_or((id, ""), |at| id.split_at(at + 1))
}

/// Where the row's account stands among those that were asked about; the first column counts from 1.
fn index(row: &PgRow) -> Result<usize, sqlx::Error> {
    let position: i64 = row.try_get(0)?;
    usize::try_from(position - 1).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn set(all: &mut [Pots], row: &PgRow, pots: Pots) -> Result<(), sqlx::Error> {
    if let Some(place) = all.get_mut(index(row)?) {
        *place = pots;
    }
    Ok(())
}

async fn usage(connection: &mut PgConnection, days: &[Date]) -> Result<BTreeMap<String, KeyUse>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT name, width_bucket(day, $1::text[]::date[]) AS bucket, max(day - date '1970-01-01')::bigint,
            sum(requests)::bigint, sum(prompt_tokens)::bigint, sum(completion_tokens)::bigint, sum(cached_tokens)::bigint,
            sum(cost_nano)::bigint
         FROM spend_daily WHERE kind = 'key' AND day >= ($1::text[]::date[])[1] GROUP BY name, bucket",
    )
    .bind(days.iter().map(Date::to_string).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let mut keys: BTreeMap<String, KeyUse> = BTreeMap::new();
    for row in &rows {
        let bucket: i32 = row.try_get(1)?;
        let used = Used {
            requests: row.try_get(3)?,
            prompt_tokens: row.try_get(4)?,
            completion_tokens: row.try_get(5)?,
            cached_tokens: row.try_get(6)?,
            cost_nano: row.try_get(7)?,
        };
        let key = keys.entry(row.try_get(0)?).or_default();
        key.last_day = key.last_day.max(row.try_get(2)?);
        key.since.insert(usize::try_from(bucket - 1).unwrap_or_default(), used);
    }
    Ok(keys)
}
