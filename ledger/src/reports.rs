//! What is asked of the spend log for people: requests, one request's attempts, and sums of a stretch of time.

/// Rows that a search looks at, the newest first: what is older is found by reports over the database, not by a page.
pub const SEARCHED: i64 = 20_000;

/// Which requests are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The name that was asked for, or `namespace/name` of who answered; empty = all.
    pub model: String,
    /// The id of the key; empty = all.
    pub key: String,
    /// The id of the request; empty = all.
    pub request: String,
    /// How they ended.
    pub ended: Ended,
    /// At most so many.
    pub most: u32,
}

/// How requests ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// In any way.
    #[default]
    Anyhow,
    /// With an answer.
    Well,
    /// With an error, or cut short.
    Badly,
}

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

/// One row as it was written. Money in nano-USD, times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Logged {
    /// Arrival of the request, since the epoch.
    pub started_at_us: i64,
    /// The gateway's id of the request.
    pub request_id: String,
    /// The key that sent it.
    pub key_id: String,
    /// Team of the key.
    pub team: Option<String>,
    /// User of the key.
    pub user: Option<String>,
    /// The request's `user`.
    pub end_user: Option<String>,
    /// The name in the request.
    pub requested_model: String,
    /// `namespace/name` of who was asked; `None` = nobody was.
    pub model: Option<String>,
    /// OpenTelemetry's name of the provider.
    pub provider: Option<String>,
    /// The provider's name of the model.
    pub upstream_model: Option<String>,
    /// What was called.
    pub operation: String,
    /// The answer was streamed.
    pub stream: bool,
    /// HTTP status.
    pub status: i64,
    /// `success`, `cancelled` or an error's code.
    pub outcome: String,
    /// All prompt tokens.
    pub prompt_tokens: i64,
    /// All completion tokens.
    pub completion_tokens: i64,
    /// Prompt tokens read from the provider's cache.
    pub cached_tokens: i64,
    /// Cost of this attempt; of a request in a list, that of all its attempts. `None` = no price is known.
    pub cost_nano: Option<i64>,
    /// Tokens were counted by the gateway.
    pub estimated: bool,
    /// Arrival to the first byte of the answer.
    pub first_byte_us: Option<i64>,
    /// Arrival to the end.
    pub latency_us: i64,
    /// Which attempt it is, from 1; 0 = none was made, an answer was kept.
    pub attempt: i64,
    /// How many the request had made when this one ended.
    pub attempts: i64,
    /// `retried`, `hedged`, `mirror`; `None` = the client got its outcome.
    pub role: Option<String>,
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
    /// Requests that ended.
    pub requests: i64,
    /// Those of them without an answer.
    pub failures: i64,
    /// Prompt and completion tokens.
    pub tokens: i64,
    /// nano-USD.
    pub cost_nano: i64,
}
