//! The lease protocol in PostgreSQL: each act is one transaction.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _, postgres::PgRow};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    history,
    ledger::{self, texts},
    session::Session,
};
use crate::{
    account::{AccountId, Siblings},
    exchange::{Ask, LeaseId},
    store::{
        Answers, BEAT, Balance, Unattributed,
        history::days,
        plan::{self, Asked, End, FORGOTTEN, GIVEN_UP, Kept, Key, REMEMBERED, Read, SILENCE},
        text,
    },
};

/// Between looks for idle accounts: that reads all of them.
const TIDY: Duration = Duration::from_mins(20);

/// Transactions that one look makes days of quarters in: who asks does not wait for long.
const ROUNDS: usize = 10;

/// A holder that was heard of within this time lives: three beats.
const LIVING: Duration = BEAT.saturating_mul(3);

/// Names the lock of who reaps: one at a time does.
const REAPER: i64 = 0x7475_726e_7265_6170;

impl Session {
    /// Answers all asks.
    pub(super) async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, sqlx::Error> {
        let ids: Vec<&AccountId> = asks.iter().map(|ask| &ask.account).collect();
        let accounts = self.keys(&ids).await?;
        let begun = self.begin(&sorted(accounts.iter().copied())).await?;
        let asked: Vec<Asked<'_>> = asks
            .iter()
            .zip(accounts)
            .map(|(ask, account)| Asked { ask, account, seen: begun.seen.get(&account).copied().unwrap_or_default() })
            .collect();
        let counted: Vec<i64> =
            asked.iter().map(|asked| asked.ask.window.counted_from(plan::time(begun.clock, asked.seen))).collect();
        let mut reads = ledger::read(&mut self.connection, &asked, &counted).await?;
        let (wanting, siblings): (Vec<&mut Read>, Vec<Siblings<'_>>) =
            asked.iter().zip(&mut reads).filter_map(|(asked, read)| asked.siblings(read).map(|of| (read, of))).unzip();
        for (read, known) in wanting.into_iter().zip(history::siblings(&mut self.connection, &siblings).await?) {
            read.known = known;
        }
        let grants = plan::grants(begun.changed, begun.clock);
        let (answers, changes) = plan::exchange(&asked, reads, begun.clock, grants);
        ledger::write(&mut self.connection, &changes, begun.clock).await?;
        self.commit().await?;
        Ok(answers)
    }

    /// Notes that the holder lives.
    pub(super) async fn beat(&mut self, holder: Uuid, longest: Duration) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(
            "INSERT INTO ledger_holder (holder, heard, longest)
             VALUES ($1::text::uuid, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, $2)
             ON CONFLICT (holder) DO UPDATE SET heard = excluded.heard, longest = excluded.longest RETURNING heard",
        )
        .bind(holder.to_string())
        .bind(i64::try_from(longest.as_micros()).unwrap_or(i64::MAX))
        .fetch_one(&mut self.connection)
        .await
    }

    /// Holders that were heard of lately.
    pub(super) async fn living(&mut self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT count(*) FROM ledger_holder
             WHERE NOT ended AND heard > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $1",
        )
        .bind(i64::try_from(LIVING.as_micros()).unwrap_or(i64::MAX))
        .fetch_one(&mut self.connection)
        .await
    }

    /// Closes all leases of a holder of which all is known.
    pub(super) async fn close(&mut self, holder: Uuid) -> Result<(), sqlx::Error> {
        // First, and to be seen at once: from here on it gets no new one. What it got at this very moment is closed by the
        // next who reaps.
        sqlx::query(
            "INSERT INTO ledger_holder (holder, heard, longest, ended)
             VALUES ($1::text::uuid, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0, true)
             ON CONFLICT (holder) DO UPDATE SET heard = excluded.heard, ended = true",
        )
        .bind(holder.to_string())
        .execute(&mut self.connection)
        .await?;
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        self.end(&[holder], End::Known).await?;
        self.commit().await
    }

    /// Ends all leases of holders, within a transaction.
    async fn end(&mut self, holders: &[Uuid], how: End) -> Result<(), sqlx::Error> {
        if holders.is_empty() {
            return Ok(());
        }
        let leases = ledger::leases_of_holders(&mut self.connection, holders).await?;
        let begun = self.lock(&sorted(leases.values().map(|kept| kept.account))).await?;
        // Again, now that nobody else changes them.
        let leases = ledger::leases_of_holders(&mut self.connection, holders).await?;
        let changes = plan::end(leases.into_values(), how, begun.clock);
        ledger::write(&mut self.connection, &changes, begun.clock).await
    }

    /// Gives up holders that were not heard of, and forgets what is done.
    pub(super) async fn reap(&mut self) -> Result<u64, sqlx::Error> {
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(REAPER)
            .fetch_one(&mut self.connection)
            .await?;
        if !mine {
            self.commit().await?;
            return Ok(0);
        }
        let now = self.clock().await?;
        let silent = self.holders("NOT h.ended AND heard + longest + $1 < $2", now).await?;
        self.end(&silent, End::Lost).await?;
        sqlx::query("DELETE FROM ledger_holder WHERE holder = ANY($1::text[]::uuid[])")
            .bind(texts(&silent))
            .execute(&mut self.connection)
            .await?;
        let open = "h.ended AND heard + $1 < $2
            AND EXISTS (SELECT 1 FROM ledger_lease l WHERE l.holder = h.holder AND NOT l.closed)";
        let open = self.holders(open, now).await?;
        self.end(&open, End::Known).await?;
        self.forget(now).await?;
        self.commit().await?;
        if Instant::now() >= self.tidy {
            self.tidy = Instant::now() + TIDY;
            self.forget_accounts(now).await?;
            history::forget(&mut self.connection, now).await?;
            if !self.make_days(now).await? {
                self.tidy = Instant::now();
            }
        }
        Ok(silent.len() as u64)
    }

    /// Those that meet a condition of silence ($1) and the time ($2).
    async fn holders(&mut self, condition: &str, now: i64) -> Result<Vec<Uuid>, sqlx::Error> {
        let sql = format!("SELECT holder::text FROM ledger_holder h WHERE {condition}");
        let found: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(SILENCE).bind(now).fetch_all(&mut self.connection).await?;
        Ok(found.iter().filter_map(|text| Uuid::parse_str(text).ok()).collect())
    }

    /// Forgets what is done: a finished lease when no message of it can come any more, one of a lost holder when it will hardly
    /// come back.
    async fn forget(&mut self, now: i64) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM ledger_holder WHERE ended AND heard < $1")
            .bind(now - GIVEN_UP)
            .execute(&mut self.connection)
            .await?;
        sqlx::query(
            "DELETE FROM ledger_lease l WHERE unattributed = 0
             AND (finished AND (closed OR granted <= booked) AND changed < $1 OR closed AND changed < $2
                OR granted <= booked AND changed < $2
                    AND NOT EXISTS (SELECT 1 FROM ledger_holder h WHERE h.holder = l.holder))",
        )
        .bind(now - REMEMBERED)
        .bind(now - GIVEN_UP)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Makes days of quarters that are over for long, some at a time. False = there are more.
    async fn make_days(&mut self, now: i64) -> Result<bool, sqlx::Error> {
        for _ in 0..ROUNDS {
            sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
            let old = history::take_old(&mut self.connection, now).await?;
            history::add_days(&mut self.connection, &days(&old)).await?;
            self.commit().await?;
            if old.len() < history::SOME {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forgets accounts that nothing of counts any more, some at a time and none that is in use.
    async fn forget_accounts(&mut self, now: i64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "WITH idle AS (
                SELECT key FROM ledger_account a WHERE (until > 0 AND until < $1 OR until = 0 AND NOT EXISTS (
                    SELECT 1 FROM ledger_spent s WHERE s.account = a.key AND (s.slot = 0 OR s.slot > $2)))
                AND NOT EXISTS (SELECT 1 FROM ledger_lease l WHERE l.account = a.key)
                AND NOT EXISTS (SELECT 1 FROM ledger_quarter q WHERE q.account = a.key)
                AND NOT EXISTS (SELECT 1 FROM ledger_part p WHERE p.account = a.key)
                LIMIT 500 FOR UPDATE SKIP LOCKED
            ), spent AS (
                DELETE FROM ledger_spent s USING idle WHERE s.account = idle.key
            )
            DELETE FROM ledger_account a USING idle WHERE a.key = idle.key",
        )
        .bind(now - GIVEN_UP)
        .bind(now - FORGOTTEN)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// What is booked as unattributed.
    pub(super) async fn unattributed(&mut self) -> Result<Vec<Unattributed>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT l.holder::text, l.number, a.id, l.unattributed, l.changed
             FROM ledger_lease l JOIN ledger_account a ON a.key = l.account
             WHERE l.unattributed > 0 ORDER BY l.changed, l.holder, l.number",
        )
        .fetch_all(&mut self.connection)
        .await?;
        let read = |row: &PgRow| {
            let holder = Uuid::parse_str(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
            let lease = LeaseId { holder, number: row.try_get::<i64, _>(1)?.cast_unsigned() };
            let account = AccountId::from_stored(row.try_get(2)?);
            Ok(Unattributed { lease, account, amount: row.try_get(3)?, changed: row.try_get(4)? })
        };
        rows.iter().map(read).collect()
    }

    /// Takes back what was booked as unattributed.
    pub(super) async fn void(&mut self, lease: LeaseId) -> Result<i64, sqlx::Error> {
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        let mut amount = 0;
        if let Some(kept) = self.lease(lease).await? {
            let begun = self.lock(&[kept.account]).await?;
            // Again, now that nobody else changes it.
            if let Some(kept) = self.lease(lease).await? {
                let changes;
                (amount, changes) = plan::void(kept);
                ledger::write(&mut self.connection, &changes, begun.clock).await?;
            }
        }
        self.commit().await?;
        Ok(amount)
    }

    async fn lease(&mut self, lease: LeaseId) -> Result<Option<Kept>, sqlx::Error> {
        Ok(ledger::leases(&mut self.connection, &[lease]).await?.remove(&lease))
    }

    /// How accounts stand.
    pub(super) async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT
                (SELECT coalesce(sum(s.amount), 0)::bigint FROM ledger_spent s
                 WHERE s.account = a.key AND s.slot >= n.counted),
                (SELECT coalesce(sum(greatest(l.granted - l.booked, 0)), 0)::bigint FROM ledger_lease l
                 WHERE l.account = a.key AND l.slot = n.slot AND NOT l.closed)
             FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS n (id, counted, slot, position)
             LEFT JOIN ledger_account a ON a.id = n.id ORDER BY n.position",
        )
        .bind(accounts.iter().map(|(id, _, _)| text::id(id.as_str())).collect::<Vec<_>>())
        .bind(accounts.iter().map(|(_, counted, _)| *counted).collect::<Vec<_>>())
        .bind(accounts.iter().map(|(_, _, slot)| *slot).collect::<Vec<_>>())
        .fetch_all(&mut self.connection)
        .await?;
        rows.iter().map(|row| Ok(Balance { spent: row.try_get(0)?, reserved: row.try_get(1)? })).collect()
    }
}

fn sorted(accounts: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut accounts: Vec<Key> = accounts.collect();
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}
