//! Batches of spend rows: copied, inserted where they are new, and booked by what was new.

use std::collections::{BTreeMap, HashSet};

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{copy, history, ledger, session::Session};
use crate::{
    account::AccountId,
    exchange::LeaseId,
    spend_log::SpendRow,
    store::{
        history::quarters,
        plan::{self, Key},
        rollup::{self, Line, Sums},
    },
};

/// Without the constraints of the table, so that copying checks nothing.
const STAGING: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS spend_staging (LIKE spend_row) ON COMMIT DELETE ROWS";

impl Session {
    /// Writes all rows and what they mean to accounts in one transaction, and returns how many were new.
    pub(super) async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, sqlx::Error> {
        if !self.staging {
            sqlx::raw_sql(STAGING).execute(&mut self.connection).await?;
            self.staging = true;
        }
        self.make_partitions(rows).await;
        // Before the transaction: what it makes is seen by all at once.
        let mut accounts: Vec<&AccountId> =
            rows.iter().flat_map(|row| row.postings.iter()).map(|p| &p.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        self.keys(&accounts).await?;
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        let new = self.insert(rows).await?;
        // Before the accounts are locked, which is what exchanges wait for.
        let quarters = quarters(new.iter().copied(), &|id| self.keys.get(id).copied());
        history::add_quarters(&mut self.connection, &quarters).await?;
        self.book(&new).await?;
        self.add_daily(&rollup::sums(new.iter().copied())).await?;
        self.commit().await?;
        Ok(new.len() as u64)
    }

    /// Inserts rows and returns those that were not there.
    async fn insert<'r>(&mut self, rows: &'r [SpendRow]) -> Result<Vec<&'r SpendRow>, sqlx::Error> {
        let columns = copy::COLUMNS;
        let mut copy = self.connection.copy_in_raw(&format!("COPY spend_staging ({columns}) FROM STDIN")).await?;
        copy.send(copy::encode(rows).into_bytes()).await?;
        copy.finish().await?;
        // In one order, so that two who write the same rows wait for each other in one direction only.
        let insert = format!(
            "INSERT INTO spend_row ({columns}) SELECT {columns} FROM spend_staging ORDER BY day, incarnation, sequence
             ON CONFLICT (day, incarnation, sequence) DO NOTHING RETURNING incarnation::text, sequence"
        );
        let new: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(insert)).fetch_all(&mut self.connection).await?;
        let mut new: HashSet<(Uuid, u64)> = new
            .into_iter()
            .filter_map(|(incarnation, sequence)| Some((Uuid::parse_str(&incarnation).ok()?, sequence.cast_unsigned())))
            .collect();
        // Of a row that is in the batch twice the first counts.
        Ok(rows.iter().filter(|row| new.remove(&(row.event.incarnation, row.event.sequence))).collect())
    }

    async fn book(&mut self, rows: &[&SpendRow]) -> Result<(), sqlx::Error> {
        let postings = rows.iter().flat_map(|row| row.postings.iter());
        let mut accounts: Vec<Key> = postings.filter_map(|posting| self.keys.get(&posting.account).copied()).collect();
        if accounts.is_empty() {
            return Ok(());
        }
        accounts.sort_unstable();
        accounts.dedup();
        let begun = self.lock(&accounts).await?;
        let mut ids: Vec<LeaseId> = Vec::new();
        for row in rows {
            let numbers = row.postings.iter().filter_map(|posting| posting.lease);
            ids.extend(numbers.map(|number| LeaseId { holder: row.event.incarnation, number }));
        }
        ids.sort_unstable();
        ids.dedup();
        let leases = ledger::leases(&mut self.connection, &ids).await?;
        let changes = plan::book(rows.iter().copied(), &|id| self.keys.get(id).copied(), &leases);
        ledger::write(&mut self.connection, &changes, begun.clock).await
    }

    async fn add_daily(&mut self, sums: &BTreeMap<Line, Sums>) -> Result<(), sqlx::Error> {
        if sums.is_empty() {
            return Ok(());
        }
        let lines = || sums.keys();
        let column = |of: fn(&Sums) -> i64| sums.values().map(of).collect::<Vec<i64>>();
        sqlx::query(
            "INSERT INTO spend_daily AS d SELECT * FROM unnest($1::text[]::date[], $2::text[], $3::text[], $4::text[],
                $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
             ON CONFLICT (day, kind, name, model) DO UPDATE SET requests = d.requests + excluded.requests,
                failures = d.failures + excluded.failures, prompt_tokens = d.prompt_tokens + excluded.prompt_tokens,
                completion_tokens = d.completion_tokens + excluded.completion_tokens,
                cached_tokens = d.cached_tokens + excluded.cached_tokens, cost_nano = d.cost_nano + excluded.cost_nano",
        )
        .bind(lines().map(|line| copy::date(line.day).to_string()).collect::<Vec<_>>())
        .bind(lines().map(|line| line.kind).collect::<Vec<_>>())
        .bind(lines().map(|line| line.name.as_str()).collect::<Vec<_>>())
        .bind(lines().map(|line| line.model.as_str()).collect::<Vec<_>>())
        .bind(column(|sums| sums.requests))
        .bind(column(|sums| sums.failures))
        .bind(column(|sums| sums.prompt_tokens))
        .bind(column(|sums| sums.completion_tokens))
        .bind(column(|sums| sums.cached_tokens))
        .bind(column(|sums| sums.cost_nano))
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }
}
