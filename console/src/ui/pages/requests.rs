//! The page of requests, and that of one.

use askama::Template;
use turnpike_ledger::reports::Logged;

use super::Badge;
use crate::ui::{
    facts::{Requests, Search},
    format,
};

#[derive(Template)]
#[template(path = "requests.html")]
pub(super) struct Page<'a> {
    search: &'a Search,
    rows: Vec<Row<'a>>,
    searched: String,
}

#[derive(Template)]
#[template(path = "request.html")]
pub(super) struct One<'a> {
    id: &'a str,
    first: &'a Logged,
    attempts: Vec<Row<'a>>,
    cost: String,
}

struct Row<'a> {
    of: &'a Logged,
    machine: String,
    full: String,
    time: String,
    state: Badge,
    tokens_in: String,
    tokens_out: String,
    cached: String,
    cost: String,
    first_byte: String,
    latency: String,
    /// What the attempt was to its request.
    part: &'a str,
}

impl<'a> Page<'a> {
    pub(super) fn new(facts: &'a Requests) -> Self {
        Self {
            search: &facts.search,
            rows: facts.rows.iter().map(|row| Row::new(row, facts.now)).collect(),
            searched: format::count(facts.searched),
        }
    }
}

impl<'a> One<'a> {
    /// `attempts` must not be empty; the first says who sent the request.
    pub(super) fn new(id: &'a str, attempts: &'a [Logged]) -> Self {
        static NOBODY: std::sync::LazyLock<Logged> = std::sync::LazyLock::new(Logged::default);
        let known: Vec<i64> = attempts.iter().filter_map(|row| row.cost_nano).collect();
        Self {
            id,
            first: attempts.first().unwrap_or(&NOBODY),
            attempts: attempts.iter().map(|row| Row::new(row, 0)).collect(),
            cost: format::cost((!known.is_empty()).then(|| known.iter().sum())),
        }
    }
}

impl<'a> Row<'a> {
    /// Of another day than `now`, the day is told too.
    fn new(row: &'a Logged, now: i64) -> Self {
        let seconds = row.started_at_us.div_euclid(1_000_000);
        let full = format::moment(seconds);
        let is_today = seconds.div_euclid(86_400) == now.div_euclid(86_400);
        let time = full.split_once(' ').map_or("", |(_, time)| time);
        let time =
            if is_today { time.to_owned() } else { format!("{} {time}", format::day(seconds.div_euclid(86_400))) };
        let tone = match (row.outcome.as_str(), row.status) {
            ("success", _) => "good",
            ("cancelled", _) | (_, 400..500) => "warn",
            _ => "bad",
        };
        let text =
            if row.outcome == "success" { row.status.to_string() } else { format!("{} {}", row.status, row.outcome) };
        Self {
            of: row,
            machine: format::machine(seconds),
            time,
            full,
            state: Badge::new(tone, text),
            tokens_in: format::count(row.prompt_tokens),
            tokens_out: format::count(row.completion_tokens),
            cached: format::count(row.cached_tokens),
            cost: format::cost(row.cost_nano),
            first_byte: row.first_byte_us.map_or_else(|| "—".to_owned(), format::micros),
            latency: format::micros(row.latency_us),
            part: match (row.attempt, row.role.as_deref()) {
                (0, _) => "a kept answer",
                (_, None) => "answered the client",
                (_, Some("retried")) => "failed; another followed",
                (_, Some("hedged")) => "another was faster",
                (_, Some("mirror")) => "a copy that nobody saw",
                (_, Some(other)) => other,
            },
        }
    }
}
