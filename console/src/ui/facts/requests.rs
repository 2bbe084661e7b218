//! Requests, one by one and summed up.

use turnpike_ledger::reports::Logged;

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
    pub rows: Vec<Logged>,
    /// How many rows of the log were looked at, at most.
    pub searched: i64,
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
