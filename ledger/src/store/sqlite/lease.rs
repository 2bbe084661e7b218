//! The lease protocol in `SQLite`: each act is one transaction.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use super::{
    history,
    ledger::{self, bytes, clock},
    session::Session,
};
use crate::{
    account::AccountId,
    exchange::{Ask, Grants, LeaseId},
    store::{
        Answers, Balance, Unattributed,
        plan::{self, Asked, End, FORGOTTEN, GIVEN_UP, REMEMBERED, SILENCE},
        text,
    },
};

impl Session {
    /// Answers all asks.
    pub(super) async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        // After the lock: the wait for it may have been long.
        let clock = clock();
        let mut asked = Vec::with_capacity(asks.len());
        let mut reads = Vec::with_capacity(asks.len());
        for ask in asks {
            let (account, seen) = ledger::account(&mut transaction, &ask.account).await?;
            let counted = ask.window.counted_from(plan::time(clock, seen));
            let mut read = ledger::read(&mut transaction, ask, account, counted).await?;
            let one = Asked { ask, account, seen };
            if let Some(siblings) = one.siblings(&read) {
                read.known = history::siblings(&mut transaction, &siblings).await?;
            }
            reads.push(read);
            asked.push(one);
        }
        // A file has no failover; whoever restores one starts its only gateway anew, which then holds nothing.
        let (answers, changes) = plan::exchange(&asked, reads, clock, Grants::Open);
        ledger::write(&mut transaction, &changes).await?;
        transaction.commit().await?;
        Ok(answers)
    }

    /// Notes that the holder lives.
    pub(super) async fn beat(&mut self, holder: Uuid, longest: Duration) -> Result<i64, sqlx::Error> {
        let now = clock();
        sqlx::query(
            "INSERT INTO ledger_holder VALUES (?, ?, ?, 0)
             ON CONFLICT (holder) DO UPDATE SET heard = excluded.heard, longest = excluded.longest WHERE NOT ended",
        )
        .bind(bytes(holder))
        .bind(now)
        .bind(i64::try_from(longest.as_micros()).unwrap_or(i64::MAX))
        .execute(&mut self.connection)
        .await?;
        Ok(now)
    }

    /// Closes all leases of a holder of which all is known.
    pub(super) async fn close(&mut self, holder: Uuid) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT OR REPLACE INTO ledger_holder VALUES (?, ?, 0, 1)")
            .bind(bytes(holder))
            .bind(clock())
            .execute(&mut *transaction)
            .await?;
        end(&mut transaction, &[holder], End::Known).await?;
        transaction.commit().await
    }

    /// Gives up holders that were not heard of, and forgets what is done.
    pub(super) async fn reap(&mut self) -> Result<u64, sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let now = clock();
        let silent: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT holder FROM ledger_holder WHERE NOT ended AND heard + longest + ? < ?")
                .bind(SILENCE)
                .bind(now)
                .fetch_all(&mut *transaction)
                .await?;
        let silent: Vec<Uuid> = silent.iter().filter_map(|bytes| Uuid::from_slice(bytes).ok()).collect();
        end(&mut transaction, &silent, End::Lost).await?;
        for holder in &silent {
            sqlx::query("DELETE FROM ledger_holder WHERE holder = ?")
                .bind(bytes(*holder))
                .execute(&mut *transaction)
                .await?;
        }
        forget(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(silent.len() as u64)
    }

    /// What is booked as unattributed.
    pub(super) async fn unattributed(&mut self) -> Result<Vec<Unattributed>, sqlx::Error> {
        let rows: Vec<(Vec<u8>, i64, String, i64, i64)> = sqlx::query_as(
            "SELECT l.holder, l.number, a.id, l.unattributed, l.changed
             FROM ledger_lease l JOIN ledger_account a ON a.key = l.account
             WHERE l.unattributed > 0 ORDER BY l.changed, l.holder, l.number",
        )
        .fetch_all(&mut self.connection)
        .await?;
        let read = |(holder, number, account, amount, changed): (Vec<u8>, i64, String, i64, i64)| {
            let holder = Uuid::from_slice(&holder).unwrap_or_default();
            let lease = LeaseId { holder, number: number.cast_unsigned() };
            Unattributed { lease, account: AccountId::from_stored(&account), amount, changed }
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Takes back what was booked as unattributed.
    pub(super) async fn void(&mut self, lease: LeaseId) -> Result<i64, sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let Some(kept) = ledger::lease(&mut transaction, lease).await? else { return Ok(0) };
        let (amount, changes) = plan::void(kept);
        ledger::write(&mut transaction, &changes).await?;
        transaction.commit().await?;
        Ok(amount)
    }

    /// How accounts stand.
    pub(super) async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        let mut balances = Vec::with_capacity(accounts.len());
        for (id, counted, slot) in accounts {
            let (spent, reserved) = sqlx::query_as(
                "SELECT (SELECT coalesce(sum(amount), 0) FROM ledger_spent WHERE account = key AND slot >= ?2),
                        (SELECT coalesce(sum(max(granted - booked, 0)), 0) FROM ledger_lease
                         WHERE account = key AND slot = ?3 AND NOT closed)
                 FROM ledger_account WHERE id = ?1",
            )
            .bind(text::id(id.as_str()).into_owned())
            .bind(counted)
            .bind(slot)
            .fetch_optional(&mut *transaction)
            .await?
            .unwrap_or_default();
            balances.push(Balance { spent, reserved });
        }
        transaction.commit().await?;
        Ok(balances)
    }
}

async fn end(connection: &mut SqliteConnection, holders: &[Uuid], how: End) -> Result<(), sqlx::Error> {
    for holder in holders {
        let leases = ledger::leases_of_holder(connection, *holder).await?;
        ledger::write(connection, &plan::end(leases, how, clock())).await?;
    }
    Ok(())
}

/// Forgets what is done: a finished lease when no message of it can come any more, one of a lost holder when it will hardly
/// come back, and accounts that nothing of counts.
async fn forget(connection: &mut SqliteConnection, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM ledger_holder WHERE ended AND heard < ?")
        .bind(now - GIVEN_UP)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "DELETE FROM ledger_lease WHERE unattributed = 0 AND (finished AND (closed OR granted <= booked) AND changed < ?1
         OR closed AND changed < ?2
         OR granted <= booked AND changed < ?2 AND holder NOT IN (SELECT holder FROM ledger_holder))",
    )
    .bind(now - REMEMBERED)
    .bind(now - GIVEN_UP)
    .execute(&mut *connection)
    .await?;
    // Some at a time: the file is locked meanwhile.
    let idle: Vec<i64> = sqlx::query_scalar(
        "SELECT key FROM ledger_account WHERE (until > 0 AND until < ?1 OR until = 0 AND NOT EXISTS (
            SELECT 1 FROM ledger_spent WHERE account = key AND (slot = 0 OR slot > ?2)))
         AND NOT EXISTS (SELECT 1 FROM ledger_lease WHERE account = key)
         AND NOT EXISTS (SELECT 1 FROM ledger_quarter WHERE account = key)
         AND NOT EXISTS (SELECT 1 FROM ledger_part WHERE account = key) LIMIT 500",
    )
    .bind(now - GIVEN_UP)
    .bind(now - FORGOTTEN)
    .fetch_all(&mut *connection)
    .await?;
    for account in idle {
        sqlx::query("DELETE FROM ledger_spent WHERE account = ?").bind(account).execute(&mut *connection).await?;
        sqlx::query("DELETE FROM ledger_account WHERE key = ?").bind(account).execute(&mut *connection).await?;
    }
    history::tidy(connection, now).await
}
