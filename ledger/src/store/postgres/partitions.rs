//! A partition of the spend log for each day, made ahead and dropped as a whole.

use std::{str::FromStr as _, time::Duration};

use jiff::{Span, civil::Date};
use sqlx::AssertSqlSafe;
use tokio::time::Instant;

use super::{copy, session::Session};
use crate::{spend_log::SpendRow, store::rollup};

/// Names the lock of who makes and drops partitions: one at a time does.
const KEEPER: i64 = 0x7475_726e_7061_7274;

/// Days ahead of the newest row that have a partition already.
const AHEAD: i64 = 3;

/// Most partitions made at once, so that a gateway whose clock is wrong does not make hundreds.
const MOST: i64 = 8;

/// Between tries, where one failed.
const RETRY: Duration = Duration::from_mins(1);

/// How far partitions are made.
#[derive(Default)]
pub(super) struct Through {
    /// The last day that is known to have one, in days since the epoch.
    day: Option<i64>,
    /// Not to be tried before, because it failed.
    again: Option<Instant>,
}

impl Session {
    /// Makes partitions for the days of rows and a few more. Where that fails, rows go to the default partition: a batch must
    /// not wait for it.
    pub(super) async fn make_partitions(&mut self, rows: &[SpendRow]) {
        let Some(newest) = rows.iter().map(rollup::day).max() else { return };
        let through = &self.partitions;
        if through.day.is_some_and(|day| newest < day) || through.again.is_some_and(|again| Instant::now() < again) {
            return;
        }
        let oldest = rows.iter().map(rollup::day).min().unwrap_or(newest).max(newest - MOST + AHEAD);
        for day in oldest..=newest + AHEAD {
            if let Err(error) = self.make_partition(copy::date(day)).await {
                tracing::warn!(%error, "no partition was made for a day; its rows go to the default one for now");
                // Whatever was begun is undone; a connection that broke says so at the next statement.
                drop(sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await);
                self.partitions.again = Some(Instant::now() + RETRY);
                return;
            }
        }
        self.partitions.day = Some(newest + AHEAD);
    }

    async fn make_partition(&mut self, day: Date) -> Result<(), sqlx::Error> {
        let name = name(day);
        let next = day.checked_add(Span::new().days(1)).unwrap_or(day);
        let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&name)
            .fetch_one(&mut self.connection)
            .await?;
        if there {
            return Ok(());
        }
        // Attached, not made in place: that would need the whole table for itself. Under the lock of who does so, looked
        // at once more, as somebody else may have been faster: in the catalog itself, as what `to_regclass` goes by may be
        // from before the wait for the lock. Rows that came before it move to it.
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = '500ms'; SELECT pg_advisory_xact_lock({KEEPER});
            DO $$ BEGIN
                IF NOT EXISTS (SELECT 1 FROM pg_class t JOIN pg_class s USING (relnamespace)
                    WHERE t.relname = '{name}' AND s.oid = 'spend_row'::regclass) THEN
                    CREATE TABLE {name} (LIKE spend_row INCLUDING DEFAULTS INCLUDING INDEXES);
                    LOCK TABLE spend_row_default;
                    WITH moved AS (DELETE FROM spend_row_default WHERE day = '{day}' RETURNING *)
                        INSERT INTO {name} SELECT * FROM moved;
                    ALTER TABLE spend_row ATTACH PARTITION {name} FOR VALUES FROM ('{day}') TO ('{next}');
                END IF;
            END $$; COMMIT"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await.map(drop)
    }

    /// Drops partitions of all but so many days, and deletes such rows from the default one. By the database's clock: one of
    /// many gateways may be wrong about the time.
    pub(super) async fn keep_days(&mut self, days: u32) -> Result<(), sqlx::Error> {
        let before: String =
            sqlx::query_scalar("SELECT ((clock_timestamp() AT TIME ZONE 'UTC')::date - $1::integer)::text")
                .bind(i32::try_from(days).unwrap_or(i32::MAX))
                .fetch_one(&mut self.connection)
                .await?;
        // A time before there were dates: nothing is that old.
        let Ok(before) = Date::from_str(&before) else { return Ok(()) };
        self.forget_rows(before).await
    }

    async fn forget_rows(&mut self, before: Date) -> Result<(), sqlx::Error> {
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT relid::text FROM pg_partition_tree('spend_row') WHERE isleaf AND relid::text <> 'spend_row_default'",
        )
        .fetch_all(&mut self.connection)
        .await?;
        for name in names.iter().filter(|name| day_of(name).is_some_and(|day| day < before)) {
            // While it waits for a reader of the table, all who write wait behind it: not for long.
            let sql = format!(
                "BEGIN; SET LOCAL lock_timeout = '500ms'; SELECT pg_advisory_xact_lock({KEEPER});
                DO $$ BEGIN
                    IF to_regclass('{name}') IS NOT NULL THEN
                        DROP TABLE {name};
                    END IF;
                END $$; COMMIT"
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await?;
        }
        sqlx::query("DELETE FROM spend_row_default WHERE day < $1::text::date")
            .bind(before.to_string())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

fn name(day: Date) -> String {
    format!("spend_row_{:04}{:02}{:02}", day.year(), day.month(), day.day())
}

fn day_of(name: &str) -> Option<Date> {
    let digits = name.rsplit('.').next()?.strip_prefix("spend_row_")?;
    if digits.len() != 8 {
        return None;
    }
    let (year, rest) = digits.split_at_checked(4)?;
    let (month, day) = rest.split_at_checked(2)?;
    Date::from_str(&format!("{year}-{month}-{day}")).ok()
}
