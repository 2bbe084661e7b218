//! Sums per day for dashboards, so that a page of a year does not read every row of it.

use std::collections::BTreeMap;

use super::text;
use crate::spend_log::{Role, SpendRow};

const DAY: i64 = 86_400_000_000;

/// Days since the epoch, UTC, of the request's arrival.
pub(super) const fn day(row: &SpendRow) -> i64 {
    row.started_at_us.div_euclid(DAY)
}

/// A row of `spend_daily`: by what, and which one of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    /// Days since the epoch.
    pub(super) day: i64,
    /// `key`, `team`, `user`, `end_user`, `tag`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// `namespace/name` of the model; empty = none was chosen.
    pub(super) model: String,
}

/// What is added to a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) requests: i64,
    pub(super) failures: i64,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) cached_tokens: i64,
    pub(super) cost_nano: i64,
}

impl Sums {
    fn add(&mut self, row: &SpendRow) {
        // A request is counted by the attempt that answered it.
        if row.attempt.role == Role::Answer {
            self.requests += 1;
            self.failures += i64::from(row.outcome != "success");
        }
        self.prompt_tokens = self.prompt_tokens.saturating_add_unsigned(row.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add_unsigned(row.completion_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add_unsigned(row.cached_tokens);
        self.cost_nano = self.cost_nano.saturating_add(row.cost_nano.unwrap_or_default());
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.cost_nano = self.cost_nano.saturating_add(other.cost_nano);
    }
}

/// What rows have in common that belong to the same lines.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alike<'r> {
    day: i64,
    key: &'r str,
    model: &'r str,
    team: Option<&'r str>,
    user: Option<&'r str>,
    end_user: Option<&'r str>,
    tags: Option<&'r str>,
}

impl<'r> Alike<'r> {
    fn of(row: &'r SpendRow) -> Self {
        Self {
            day: day(row),
            key: &row.key_id,
            model: row.model.as_deref().unwrap_or_default(),
            team: row.team.as_deref(),
            user: row.user.as_deref(),
            end_user: row.end_user.as_deref(),
            tags: row.tags.as_deref(),
        }
    }
}

/// Adds rows up, in an order that every writer uses.
pub(super) fn sums<'r>(rows: impl IntoIterator<Item = &'r SpendRow>) -> BTreeMap<Line, Sums> {
    // First those that are alike, with nothing copied: a batch has many rows of few keys and models.
    let mut alike: BTreeMap<Alike<'r>, Sums> = BTreeMap::new();
    for row in rows {
        alike.entry(Alike::of(row)).or_default().add(row);
    }
    let mut lines: BTreeMap<Line, Sums> = BTreeMap::new();
    for (of, sums) in alike {
        let mut add = |kind, name: &str| {
            let name = text::indexed(name).into_owned();
            let model = text::indexed(of.model).into_owned();
            lines.entry(Line { day: of.day, kind, name, model }).or_default().merge(&sums);
        };
        add("key", of.key);
        for (kind, name) in [("team", of.team), ("user", of.user), ("end_user", of.end_user)] {
            if let Some(name) = name {
                add(kind, name);
            }
        }
        for tag in of.tags.map(tags).unwrap_or_default() {
            add("tag", &tag);
        }
    }
    lines
}

fn tags(json: &str) -> Vec<String> {
    let mut tags: Vec<String> = serde_json::from_str(json).unwrap_or_default();
    tags.sort_unstable();
    tags.dedup();
    tags
}
