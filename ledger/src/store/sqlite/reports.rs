//! Reports over the spend log. Readers hold up no writer: the file is in WAL mode.

use super::SqliteStore;
use crate::{
    reports::{DailySum, Ended, Filter, LogFilter, LogSum, Logged, SEARCHED, SumBy},
    spend_log::StoreError,
};

/// Most rows of one answer, the newest ones: as many as `LiteLLM` gives.
const MOST: i64 = 10_000;

/// Columns of [`Logged`] but the cost.
macro_rules! columns {
    () => {
        "spend_row.started_at_us, spend_row.request_id, key_id, team, user, spend_row.end_user, requested_model, model, \
         provider, upstream_model, operation, stream, status, outcome, spend_row.prompt_tokens, \
         spend_row.completion_tokens, spend_row.cached_tokens, estimated, spend_row.first_byte_us, spend_row.latency_us, \
         spend_row.attempt, spend_row.attempts, spend_row.role, tags, metadata"
    };
}

/// What all attempts of a row's request cost.
macro_rules! whole_cost {
    () => {
        "CASE WHEN attempts <= 1 THEN spend_row.cost_nano ELSE (
            SELECT sum(cost_nano) FROM spend_row AS other
            WHERE other.started_at_us = spend_row.started_at_us AND other.request_id = spend_row.request_id
        ) END AS cost_nano"
    };
}

/// Not the view `spend`, which would be sorted as a whole: rows are found by time, and only so many are looked at.
const NEWEST: &str = concat!(
    "SELECT ",
    columns!(),
    ", ",
    whole_cost!(),
    " FROM (SELECT id AS newest FROM spend_row ORDER BY started_at_us DESC LIMIT ?1)
     JOIN spend_row ON spend_row.id = newest
     LEFT JOIN spend_context AS context ON context.id = spend_row.context
     WHERE role IS NULL AND (?2 = '' OR requested_model = ?2 OR model = ?2) AND (?3 = '' OR key_id = ?3)
        AND (?4 = '' OR spend_row.request_id = ?4) AND (?5 < 0 OR (outcome = 'success') = ?5)
     ORDER BY spend_row.started_at_us DESC, spend_row.id DESC LIMIT ?6"
);

/// The same of a stretch of time.
const ROWS: &str = concat!(
    "SELECT ",
    columns!(),
    ", ",
    whole_cost!(),
    " FROM spend_row LEFT JOIN spend_context AS context ON context.id = spend_row.context
     WHERE role IS NULL AND started_at_us >= ?1 AND started_at_us < ?2 AND (?3 = '' OR key_id = ?3)
        AND (?4 = '' OR user = ?4) AND (?5 = '' OR spend_row.request_id = ?5)
     ORDER BY spend_row.started_at_us DESC LIMIT ?6"
);

const ATTEMPTS: &str = concat!(
    "SELECT ",
    columns!(),
    ", spend_row.cost_nano
     FROM spend_row LEFT JOIN spend_context AS context ON context.id = spend_row.context
     WHERE spend_row.started_at_us = ?1 AND spend_row.request_id = ?2
     ORDER BY spend_row.attempt, spend_row.id LIMIT 100"
);

const SUMS: &str = "SELECT started_at_us / 86400000000 AS day, key_id, user, requested_model AS model,
        coalesce(sum(cost_nano), 0) AS cost_nano
    FROM spend_row JOIN spend_context AS context ON context.id = spend_row.context
    WHERE started_at_us >= ?1 AND started_at_us < ?2 AND (?3 = '' OR key_id = ?3)
        AND (?4 = '' OR user = ?4) AND (?5 = '' OR request_id = ?5)
    GROUP BY day, key_id, user, requested_model ORDER BY day";

const DAYS: &str = "SELECT day, name, model, requests, failures,
        prompt_tokens + completion_tokens AS tokens, cost_nano
    FROM spend_daily WHERE kind = ?1 AND day >= ?2 ORDER BY day";

impl SqliteStore {
    /// The newest requests, as their answers say, among the last [`SEARCHED`] rows.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn newest(&mut self, filter: &Filter) -> Result<Vec<Logged>, StoreError> {
        let Filter { model, key, request, ended, most } = filter.clone();
        let ended = match ended {
            Ended::Anyhow => -1_i64,
            Ended::Badly => 0,
            Ended::Well => 1,
        };
        let found = self.with(async |session| {
            let newest = sqlx::query_as(NEWEST).bind(SEARCHED).bind(model).bind(key).bind(request);
            newest.bind(ended).bind(most).fetch_all(&mut session.connection).await
        });
        found.await.map_err(StoreError::Read)
    }

    /// All attempts of one request, in their order; `started_at_us` as its row says.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn attempts(&mut self, started_at_us: i64, request: &str) -> Result<Vec<Logged>, StoreError> {
        let request = request.to_owned();
        let found = self.with(async |session| {
            let attempts = sqlx::query_as(ATTEMPTS).bind(started_at_us).bind(request);
            attempts.fetch_all(&mut session.connection).await
        });
        found.await.map_err(StoreError::Read)
    }

    /// Requests of a stretch of time, the newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn logged(&mut self, filter: &LogFilter) -> Result<Vec<Logged>, StoreError> {
        let LogFilter { from, to, key_id, user, request_id } = filter.clone();
        let found = self.with(async |session| {
            let rows = sqlx::query_as(ROWS).bind(from).bind(to).bind(key_id).bind(user).bind(request_id).bind(MOST);
            rows.fetch_all(&mut session.connection).await
        });
        found.await.map_err(StoreError::Read)
    }

    /// What rows add up to, the oldest day first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn log_sums(&mut self, filter: &LogFilter) -> Result<Vec<LogSum>, StoreError> {
        let LogFilter { from, to, key_id, user, request_id } = filter.clone();
        let found = self.with(async |session| {
            let sums = sqlx::query_as(SUMS).bind(from).bind(to).bind(key_id).bind(user).bind(request_id);
            sums.fetch_all(&mut session.connection).await
        });
        found.await.map_err(StoreError::Read)
    }

    /// Sums of days, from this one on (days since the epoch, UTC).
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn daily_sums(&mut self, by: SumBy, since: i64) -> Result<Vec<DailySum>, StoreError> {
        let kind = match by {
            SumBy::Key => "key",
            SumBy::Team => "team",
        };
        let found = self
            .with(async |session| sqlx::query_as(DAYS).bind(kind).bind(since).fetch_all(&mut session.connection).await);
        found.await.map_err(StoreError::Read)
    }
}
