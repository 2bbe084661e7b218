//! What was spent when, and what a limit in another window begins with: pure, the same for every database.
//!
//! ```text
//!  rows ─▶ quarters of an hour ─ after two days ─▶ days of the account's zone ─ after 400 days ─▶ forgotten
//!          └────────────────────────────┬───────────────────────────────────┘
//!                         a new window of the limit begins with those that reach into it
//! ```

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::{Timestamp, tz::TimeZone};
use turnpike_crds::{budget::Window, window};

use super::{plan::Key, text};
use crate::{
    account::{AccountId, Siblings},
    spend_log::SpendRow,
    window::WindowSpec,
};

/// Time zones differ by whole quarters of an hour. Microseconds.
pub(super) const QUARTER: i64 = 900_000_000;

/// No two of them are further apart, nor the ends of their windows: 26 hours, and one for clocks that change. Microseconds.
pub(super) const ZONES: i64 = 27 * 3_600_000_000;

/// Quarters are kept for so long: a day can begin at any of them. Less than gateways of the version before keep theirs, which
/// know of no days. Microseconds.
pub(super) const RECENT: i64 = 48 * 3_600_000_000;

/// The slot of what is booked where nothing counts any more.
pub(super) const PAST: i64 = -1;

/// Amounts by account, slot and start of a quarter of an hour.
pub(super) type Quarters = BTreeMap<(Key, i64, i64), i64>;

/// Amounts by account, slot, start and end.
pub(super) type Days = BTreeMap<(Key, i64, i64, i64), i64>;

/// What rows that were new tell of amounts, by when their requests ended. They were held before: what ended before a window
/// began is not of that one.
pub(super) fn quarters<'r>(
    rows: impl IntoIterator<Item = &'r SpendRow>,
    accounts: &impl Fn(&AccountId) -> Option<Key>,
) -> Quarters {
    let mut quarters = Quarters::new();
    for row in rows {
        let quarter = quarter(row.started_at_us.saturating_add(row.latency_us));
        for posting in row.postings.iter().filter(|posting| posting.amount != 0 && posting.account.is_amount()) {
            let Some(account) = accounts(&posting.account) else { continue };
            *quarters.entry((account, posting.slot, quarter)).or_default() += posting.amount;
        }
    }
    quarters
}

const fn quarter(time: i64) -> i64 {
    time.div_euclid(QUARTER) * QUARTER
}

/// A quarter of an hour that is to become a part of a day.
#[derive(Clone, Debug)]
pub(super) struct Old {
    pub(super) account: Key,
    /// As it is stored.
    pub(super) id: String,
    /// First slot of the account that counts.
    pub(super) counted: i64,
    pub(super) slot: i64,
    pub(super) quarter: i64,
    pub(super) amount: i64,
}

/// Adds quarters up by days of their accounts' zones.
pub(super) fn days(old: &[Old]) -> Days {
    let mut days = Days::new();
    let mut zones: BTreeMap<Key, TimeZone> = BTreeMap::new();
    for old in old {
        let zone = zones.entry(old.account).or_insert_with(|| AccountId::from_stored(&old.id).zone());
        let (start, end) = day(zone, old.quarter).unwrap_or((old.quarter, old.quarter + QUARTER));
        let slot = if old.slot < old.counted { PAST } else { old.slot };
        *days.entry((old.account, slot, start, end)).or_default() += old.amount;
    }
    days
}

fn day(zone: &TimeZone, time: i64) -> Option<(i64, i64)> {
    let day = window::around(Window::Day, zone, Timestamp::from_microsecond(time).ok()?)?;
    Some((day.start.as_microsecond(), day.end.as_microsecond()))
}

/// An amount of a stretch of time, and the slot that it is booked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) slot: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) amount: i64,
}

/// What is known of an account.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// Its window.
    pub(super) window: WindowSpec,
    /// All that is booked in slots that count, by slot.
    pub(super) booked: BTreeMap<i64, i64>,
    /// What rows told of it, and of slots before.
    pub(super) told: Vec<Part>,
    /// What lost gateways may have used of it; its end is when they were given up.
    pub(super) lost: Vec<Part>,
    /// What gateways hold.
    pub(super) held: i64,
}

/// What a row of a store's answer about siblings is of.
pub(super) mod kind {
    /// Booked in a slot that counts.
    pub(crate) const BOOKED: i32 = 0;
    /// Told by rows, of a stretch of time.
    pub(crate) const TOLD: i32 = 1;
    /// What a lost gateway may have used; it ends when that was booked.
    pub(crate) const LOST: i32 = 2;
    /// Held by a gateway.
    pub(crate) const HELD: i32 = 3;
}

/// What is known of an account and of those that count the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    own: Option<History>,
    siblings: Vec<History>,
}

/// The accounts that a store is asked about: how their ids are stored, with what their windows are called.
#[derive(Debug)]
pub(super) struct Sought {
    own: String,
    all: BTreeMap<String, String>,
}

impl Sought {
    /// Those in windows that these ids are examples of, and the account itself; none, where it has no siblings.
    pub(super) fn new(siblings: &Siblings<'_>, found: &[String]) -> Self {
        let stored = |(id, window): (AccountId, String)| (text::id(id.as_str()).into_owned(), window);
        let mut all: BTreeMap<String, String> = siblings.in_windows_of(found).into_iter().map(stored).collect();
        let (own, window) = stored(siblings.own());
        if !all.is_empty() {
            all.insert(own.clone(), window);
        }
        Self { own, all }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.all.keys()
    }

    /// What a store told of them.
    pub(super) fn known(&self, told: &Told) -> Known {
        let mut known = Known::default();
        for (id, window) in &self.all {
            let Some((rows, window)) = told.0.get(id).zip(WindowSpec::named(window)) else { continue };
            let history = History::new(window, rows);
            if *id == self.own {
                known.own = Some(history);
            } else {
                known.siblings.push(history);
            }
        }
        known
    }
}

/// What a store tells of accounts, by how their ids are stored.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<String, Vec<(i32, Part)>>);

impl Told {
    /// Of rows of id, kind, slot, start, end and amount.
    pub(super) fn new(rows: Vec<(String, i32, i64, i64, i64, i64)>) -> Self {
        let mut told = Self::default();
        for (id, kind, slot, start, end, amount) in rows {
            told.0.entry(id).or_default().push((kind, Part { slot, start, end, amount }));
        }
        told
    }
}

impl History {
    fn new(window: WindowSpec, rows: &[(i32, Part)]) -> Self {
        let mut history = Self { window, booked: BTreeMap::new(), told: Vec::new(), lost: Vec::new(), held: 0 };
        for (kind, part) in rows {
            match *kind {
                kind::BOOKED => *history.booked.entry(part.slot).or_default() += part.amount,
                kind::TOLD => history.told.push(*part),
                kind::LOST => history.lost.push(*part),
                kind::HELD => history.held += part.amount,
                _ => {}
            }
        }
        history
    }

    /// What rows told since `from`: parts that reach beyond it.
    fn told_since(&self, from: i64) -> i64 {
        self.told.iter().filter(|part| part.end > from).map(|part| part.amount).sum()
    }

    fn lost_since(&self, from: i64) -> i64 {
        self.lost.iter().filter(|part| part.end > from).map(|part| part.amount).sum()
    }

    /// What no row tells and may have been spent since `from`. `all`: also what is not known to have been spent before.
    fn untold_since(&self, from: i64, all: bool) -> i64 {
        let open = self.booked.iter().filter(|(slot, _)| all && self.window.slot(**slot).end > from);
        let rest: i64 = open.map(|(slot, booked)| self.rest(*slot, *booked, from)).sum();
        self.lost_since(from) + rest + self.held
    }

    /// What rows told since another account of the pot was in use last, and since `from`. Two that are in use beside each other know
    /// the same, however their days lie.
    fn beyond(&self, own: &Self, from: i64) -> Vec<Part> {
        let Some(last) = own.told.iter().max_by_key(|part| (part.end, part.start)) else { return Vec::new() };
        let is_last = |part: &Part| (part.start, part.end) == (last.start, last.end);
        let had: i64 = own.told.iter().filter(|part| is_last(part)).map(|part| part.amount).sum();
        let more: i64 = self.told.iter().filter(|part| is_last(part)).map(|part| part.amount).sum();
        let rest = Part { amount: (more - had).max(0), ..*last };
        let later = self.told.iter().filter(|part| part.start >= last.end).copied();
        later.chain([rest]).filter(|part| part.end > from).collect()
    }

    fn untold_beyond(&self, own: &Self, from: i64) -> i64 {
        self.held + (self.lost_since(from) - own.lost_since(from)).max(0)
    }

    /// What is booked in a slot, and was before it was kept when.
    fn rest(&self, slot: i64, booked: i64, from: i64) -> i64 {
        let of =
            |parts: &[Part]| -> i64 { parts.iter().filter(|part| part.slot == slot).map(|part| part.amount).sum() };
        // All that came after a part is known, but for those that were kept of the beginning of a window by themselves.
        let since = |part: &Part| part.slot == slot && part.start > slot + ZONES && part.start <= from;
        if self.told.iter().any(since) { 0 } else { (booked - of(&self.told) - of(&self.lost)).max(0) }
    }
}

/// What an account begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Beginning {
    /// What counts against its limit, by slot.
    pub(super) booked: BTreeMap<i64, i64>,
    /// Its history: what counts, and what a longer window would begin with.
    pub(super) parts: Vec<Part>,
}

/// What an account of this window begins with at this time. `is_new`: it was not in use before; `spent`: what it has booked.
pub(super) fn begin(known: &Known, window: &WindowSpec, now: i64, (is_new, spent): (bool, i64)) -> Beginning {
    let from = window.counted_from(now);
    let at = quarter(now);
    let untold = |amount| Part { slot: PAST, start: at, end: at + QUARTER, amount };
    let own = known.own.as_ref().filter(|own| !is_new && !own.told.is_empty());
    let parts = if let Some(own) = own {
        let since = known.siblings.iter().map(|sibling| (sibling.beyond(own, from), sibling));
        let whole = |(parts, untold): &(Vec<Part>, i64)| parts.iter().map(|part| part.amount).sum::<i64>() + untold;
        let most = since.map(|(parts, of)| (parts, of.untold_beyond(own, from))).max_by_key(whole);
        most.map(|(parts, amount)| parts.into_iter().chain([untold(amount)]).collect())
    } else {
        let since = |of: &History| of.told_since(from) + of.untold_since(from, is_new);
        let begun = |of: &History| of.told.iter().map(|part| part.start).min().unwrap_or(i64::MAX);
        let most = known.siblings.iter().max_by_key(|of| (since(of), Reverse(begun(of))));
        most.map(|of| without(of.told.iter().copied().chain([untold(of.untold_since(from, is_new))]), spent, from))
    };
    place(parts.unwrap_or_default(), window, from, now)
}

/// Parts less what was booked of them already: of those that reach beyond `from`, the oldest first.
fn without(parts: impl Iterator<Item = Part>, spent: i64, from: i64) -> Vec<Part> {
    let mut parts: Vec<Part> = parts.collect();
    parts.sort_unstable_by_key(|part| part.end);
    let mut spent = spent.max(0);
    for part in parts.iter_mut().filter(|part| part.end > from) {
        let had = spent.min(part.amount.max(0));
        spent -= had;
        part.amount -= had;
    }
    parts
}

/// Books parts where they count. Rather too late than too early: what a rolling window begins with comes back as if it was spent at
/// the end of each part.
fn place(parts: Vec<Part>, window: &WindowSpec, from: i64, now: i64) -> Beginning {
    let mut beginning = Beginning::default();
    for mut part in parts.into_iter().filter(|part| part.amount != 0) {
        part.slot = PAST;
        if part.end > from {
            part.slot = window.slot(now.min(part.end - 1)).start;
            *beginning.booked.entry(part.slot).or_default() += part.amount;
        }
        beginning.parts.push(part);
    }
    beginning
}

impl Beginning {
    /// Its history as it is stored: quarters, and days.
    pub(super) fn stored(&self, account: Key) -> (Quarters, Days) {
        let (mut quarters, mut days) = (Quarters::new(), Days::new());
        for part in &self.parts {
            let amount = if part.end - part.start == QUARTER {
                quarters.entry((account, part.slot, part.start)).or_default()
            } else {
                days.entry((account, part.slot, part.start, part.end)).or_default()
            };
            *amount += part.amount;
        }
        (quarters, days)
    }
}
