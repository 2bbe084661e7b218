//! Requests, one by one and summed up.

/// What the page of requests is asked for. Empty = all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// A public name or an object.
    pub model: String,
    /// A key's id.
    pub key: String,
    /// `success`, `failure` or empty.
    pub status: String,
    /// A request's id.
    pub request: String,
}

/// The page of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// When this was true.
    pub now: i64,
    /// What was asked for.
    pub search: Search,
    /// The newest first.
    pub rows: Vec<Row>,
    /// How many rows of the log were looked at, at most.
    pub searched: i64,
}

/// A request, or one attempt of it. Times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Arrival, microseconds since the epoch.
    pub started_at_us: i64,
    /// The gateway's id.
    pub id: String,
    /// The key's id.
    pub key: String,
    /// The key's team.
    pub team: Option<String>,
    /// The key's user.
    pub user: Option<String>,
    /// The request's `user`.
    pub end_user: Option<String>,
    /// The name in the request.
    pub requested: String,
    /// `namespace/name` of who was asked.
    pub model: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// The provider's name of the model.
    pub upstream_model: Option<String>,
    /// What was called.
    pub operation: String,
    /// Streamed.
    pub stream: bool,
    /// HTTP status.
    pub status: i64,
    /// `success`, or why not.
    pub outcome: String,
    /// Prompt tokens.
    pub prompt_tokens: i64,
    /// Completion tokens.
    pub completion_tokens: i64,
    /// Prompt tokens from the provider's cache.
    pub cached_tokens: i64,
    /// nano-USD; `None` = not known.
    pub cost: Option<i64>,
    /// Tokens were counted by the gateway.
    pub estimated: bool,
    /// Until the first byte.
    pub first_byte_us: Option<i64>,
    /// Until the end.
    pub latency_us: i64,
    /// Which attempt; 0 = an answer was kept.
    pub attempt: i64,
    /// Of how many.
    pub attempts: i64,
    /// What became of it; `None` = the client got its outcome.
    pub role: Option<String>,
}

/// The first page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// When this was true.
    pub now: i64,
    /// Requests under way.
    pub in_flight: usize,
    /// Requests that wait for a limit.
    pub waiting: usize,
    /// Attempts at backends in the last minute.
    pub last_minute: u64,
    /// Backends that are asked, and all of them.
    pub backends: (usize, usize),
    /// Faults of the manifests.
    pub problems: usize,
    /// The last days, the oldest first; none = the log is not read here.
    pub days: Vec<Day>,
    /// By model, today.
    pub models: Vec<(String, Sums)>,
}

/// One day, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Days since the epoch.
    pub day: i64,
    /// What was used.
    pub sums: Sums,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Requests that ended.
    pub requests: i64,
    /// Those of them without an answer.
    pub failures: i64,
    /// Prompt and completion.
    pub tokens: i64,
    /// nano-USD.
    pub cost: i64,
}
