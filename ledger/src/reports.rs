//! What is asked of the spend log for reports: rows and sums of a stretch of time.

/// Which rows are meant. Times are microseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// The first instant.
    pub from: i64,
    /// The first instant after it.
    pub to: i64,
    /// The key's id; empty = all.
    pub key_id: String,
    /// The key's user; empty = all.
    pub user: String,
    /// The request's id; empty = all.
    pub request_id: String,
}

/// One request, as its client was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct LoggedRequest {
    /// Arrival, microseconds since the epoch.
    pub started_at_us: i64,
    /// Arrival to the end, microseconds.
    pub latency_us: i64,
    /// The gateway's id of it.
    pub request_id: String,
    /// What was called.
    pub operation: String,
    /// The key's id.
    pub key_id: String,
    /// Team of the key.
    pub team: Option<String>,
    /// User of the key.
    pub user: Option<String>,
    /// The request's `user`.
    pub end_user: Option<String>,
    /// The name in the request.
    pub requested_model: String,
    /// `namespace/name` of who answered.
    pub model: Option<String>,
    /// The provider's name of it.
    pub upstream_model: Option<String>,
    /// OpenTelemetry's name of the provider.
    pub provider: Option<String>,
    /// `success`, `cancelled` or an error's code.
    pub outcome: String,
    /// All prompt tokens.
    pub prompt_tokens: i64,
    /// All completion tokens.
    pub completion_tokens: i64,
    /// nano-USD of all its attempts; `None` = no price is known.
    pub cost_nano: Option<i64>,
    /// 0 = the answer was kept, none was made.
    pub attempts: i64,
    /// JSON list.
    pub tags: Option<String>,
    /// JSON, as the client sent it.
    pub metadata: Option<String>,
}

/// What one key used of one model for one user on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct LogSum {
    /// Days since the epoch, UTC.
    pub day: i64,
    /// The key's id.
    pub key_id: String,
    /// The key's user.
    pub user: Option<String>,
    /// The name in the request.
    pub model: String,
    /// nano-USD.
    pub cost_nano: i64,
}

/// By what [`DailySum`]s are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumBy {
    /// Each key.
    Key,
    /// Each team.
    Team,
}

/// What one key or team used of one model on one day; kept when the rows of the day are not any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct DailySum {
    /// Days since the epoch, UTC.
    pub day: i64,
    /// The key's id, or the team.
    pub name: String,
    /// `namespace/name` of the model; empty = none was chosen.
    pub model: String,
    /// nano-USD.
    pub cost_nano: i64,
}
