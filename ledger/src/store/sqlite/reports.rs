//! Reports over the spend log. Readers hold up no writer: the file is in WAL mode.

use super::SqliteStore;
use crate::{
    reports::{DailySum, LogFilter, LogSum, LoggedRequest, SumBy},
    spend_log::StoreError,
};

/// Most rows of one answer, the newest ones: as many as `LiteLLM` gives.
const MOST: i64 = 10_000;

/// Not the view `spend`, which would be sorted as a whole: rows are found by time.
const ROWS: &str =
    "SELECT spend_row.started_at_us, latency_us, spend_row.request_id, operation, key_id, team, user, end_user,
        requested_model, model, upstream_model, provider, outcome, prompt_tokens, completion_tokens,
        CASE WHEN attempts <= 1 THEN cost_nano ELSE (
            SELECT sum(cost_nano) FROM spend_row AS other
            WHERE other.started_at_us = spend_row.started_at_us AND other.request_id = spend_row.request_id
        ) END AS cost_nano, attempts, tags, metadata
    FROM spend_row JOIN spend_context AS context ON context.id = spend_row.context
    WHERE role IS NULL AND started_at_us >= ?1 AND started_at_us < ?2 AND (?3 = '' OR key_id = ?3)
        AND (?4 = '' OR user = ?4) AND (?5 = '' OR spend_row.request_id = ?5)
    ORDER BY spend_row.started_at_us DESC LIMIT ?6";

const SUMS: &str = "SELECT started_at_us / 86400000000 AS day, key_id, user, requested_model AS model,
        coalesce(sum(cost_nano), 0) AS cost_nano
    FROM spend_row JOIN spend_context AS context ON context.id = spend_row.context
    WHERE started_at_us >= ?1 AND started_at_us < ?2 AND (?3 = '' OR key_id = ?3)
        AND (?4 = '' OR user = ?4) AND (?5 = '' OR request_id = ?5)
    GROUP BY day, key_id, user, requested_model ORDER BY day";

const DAYS: &str = "SELECT day, name, model, cost_nano FROM spend_daily WHERE kind = ?1 AND day >= ?2 ORDER BY day";

impl SqliteStore {
    /// Requests, the newest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn logged(&mut self, filter: &LogFilter) -> Result<Vec<LoggedRequest>, StoreError> {
        let LogFilter { from, to, key_id, user, request_id } = filter.clone();
        let found = self.with(async |session| {
            let rows = sqlx::query_as(ROWS).bind(from).bind(to).bind(key_id).bind(user).bind(request_id).bind(MOST);
            rows.fetch_all(&mut session.connection).await
        });
        found.await.map_err(StoreError::Object)
    }

    /// What rows add up to, the oldest day first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn log_sums(&mut self, filter: &LogFilter) -> Result<Vec<LogSum>, StoreError> {
        let LogFilter { from, to, key_id, user, request_id } = filter.clone();
        let found = self.with(async |session| {
            let sums = sqlx::query_as(SUMS).bind(from).bind(to).bind(key_id).bind(user).bind(request_id);
            sums.fetch_all(&mut session.connection).await
        });
        found.await.map_err(StoreError::Object)
    }

    /// Sums of days, from this one on (days since the epoch, UTC).
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn daily_sums(&mut self, by: SumBy, since: i64) -> Result<Vec<DailySum>, StoreError> {
        let kind = match by {
            SumBy::Key => "key",
            SumBy::Team => "team",
        };
        let found = self
            .with(async |session| sqlx::query_as(DAYS).bind(kind).bind(since).fetch_all(&mut session.connection).await);
        found.await.map_err(StoreError::Object)
    }
}
