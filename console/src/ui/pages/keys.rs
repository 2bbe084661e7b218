//! The page of keys. None of them is ever on it: only what they are called.

use askama::Template;

use super::{Badge, When, amounts::Bar, models::rates};
use crate::ui::{
    facts::{self, Keys},
    format,
};

#[derive(Template)]
#[template(path = "keys.html")]
pub(super) struct Page<'a> {
    now: String,
    has_log: bool,
    more: usize,
    keys: Vec<Key<'a>>,
}

struct Key<'a> {
    of: &'a facts::Key,
    state: Badge,
    expires: Option<When>,
    limits: Vec<String>,
    bars: Vec<Bar<'a>>,
    spent: String,
    requests: String,
}

impl<'a> Page<'a> {
    pub(super) fn new(facts: &'a Keys) -> Self {
        let keys = facts.keys.iter().map(|key| Key {
            of: key,
            state: state(key, facts.now),
            expires: key.expires_at.map(|at| When::new(at, facts.now)),
            limits: rates(key.limits),
            bars: key.budget.iter().map(|amount| Bar::new(amount, facts.now)).collect(),
            spent: format::usd(key.spent),
            requests: format::count(key.requests),
        });
        Self { now: format::moment(facts.now), has_log: facts.has_log, more: facts.more, keys: keys.collect() }
    }
}

fn state(key: &facts::Key, now: i64) -> Badge {
    let is_over = key.budget.iter().any(|amount| amount.spent >= amount.limit);
    match () {
        () if key.suspended => Badge::new("off", "Suspended"),
        () if key.expires_at.is_some_and(|at| at <= now) => Badge::new("off", "Expired"),
        () if key.live == 0 => Badge::new("off", "No key"),
        () if is_over => Badge::new("bad", "Over budget"),
        () if key.live > 1 => Badge::new("good", "Active, two keys"),
        () => Badge::new("good", "Active"),
    }
}
