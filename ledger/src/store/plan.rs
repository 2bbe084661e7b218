//! What a transaction is to change, decided from what was read under its locks: pure, the same for every database.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use turnpike_crds::budget::WindowType;
use uuid::Uuid;

use super::{
    Answers, BEAT,
    history::{Beginning, Days, Known, Quarters, begin},
};
use crate::{
    account::{AccountId, Siblings, Unit},
    exchange::{self, Ask, Grants, Lease, LeaseId, Standing},
    spend_log::SpendRow,
    window::WindowSpec,
};

/// A number of an account in one store. Locks are taken in its order.
pub(super) type Key = i64;

/// Beyond a holder's longest request, until it is given up. Microseconds.
pub(crate) const SILENCE: i64 = 60_000_000;

/// How long a lease that its holder has finished is kept, so that a repeated message of it still finds it. Microseconds.
pub(super) const REMEMBERED: i64 = 600_000_000;

/// The same of one whose holder was given up: it may only have been stopped, and come back. Microseconds.
pub(super) const GIVEN_UP: i64 = 86_400_000_000;

/// Accounts of no known window are forgotten after this long without a booking: longer than a year. Microseconds.
pub(super) const FORGOTTEN: i64 = 400 * 86_400_000_000;

/// The longest request of a holder that was not heard of yet.
pub(super) const UNHEARD: Duration = Duration::from_mins(10);

/// What becomes of a lease whose holder is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Booked by rows: what may have been used is booked, to be seen.
    Rows,
    /// Booked by exchanges: what may have been used is booked and goes with its window.
    Rate,
    /// Never booked.
    Parallel,
}

impl Kind {
    fn of(ask: &Ask) -> Self {
        match (ask.unit, ask.used) {
            (Unit::Parallel, _) => Self::Parallel,
            (_, Some(_)) => Self::Rate,
            (_, None) => Self::Rows,
        }
    }

    /// Its number in the store.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Rows => 0,
            Self::Rate => 1,
            Self::Parallel => 2,
        }
    }

    /// As read from a store.
    pub(super) const fn from_code(code: i16) -> Self {
        match code {
            1 => Self::Rate,
            2 => Self::Parallel,
            _ => Self::Rows,
        }
    }
}

/// An account as it was locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Latest time that the account's window is known to have reached: its clock never goes back behind it.
    pub(super) time: i64,
    /// First slot that counted then. Earlier ones are forgotten.
    pub(super) counted: i64,
    /// When nothing that was booked by then counts any more.
    pub(super) until: i64,
}

/// A lease as a store keeps it, with what is needed to end it without its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) id: LeaseId,
    pub(super) account: Key,
    pub(super) kind: Kind,
    /// Start of the slot that it is bound to.
    pub(super) slot: i64,
    /// Of a rolling window: microseconds of a slot; else 0: it is booked where it is bound.
    pub(super) width: i64,
    pub(super) lease: Lease,
    /// Where its unattributed amount is booked.
    pub(super) lost_slot: i64,
}

impl Kept {
    fn new(id: LeaseId, account: Key) -> Self {
        Self { id, account, kind: Kind::Rows, slot: 0, width: 0, lease: Lease::default(), lost_slot: 0 }
    }
}

/// What was read for one ask.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    pub(super) kept: Option<Kept>,
    /// All that the holder did is known: it gets nothing any more, though an ask of it may still be on its way.
    pub(super) ended: bool,
    pub(super) standing: Standing,
    /// Somebody has a lease of the account, or had one a short while ago.
    pub(super) in_use: bool,
    /// What is known of the same limit in other windows, where the account begins, or is in use again.
    pub(super) known: Known,
}

/// What a transaction writes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Whole, in place of what was there.
    pub(super) leases: BTreeMap<LeaseId, Kept>,
    /// Of leases that are new, so that each has a row and can be given up.
    pub(super) holders: Vec<Uuid>,
    /// To be added to what is booked, by account and slot.
    pub(super) spent: BTreeMap<(Key, i64), i64>,
    /// Raised, never lowered.
    pub(super) seen: BTreeMap<Key, Seen>,
    /// To be added to the history of accounts that begin with something.
    pub(super) quarters: Quarters,
    /// The same, of days.
    pub(super) days: Days,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty() && self.spent.is_empty() && self.seen.is_empty()
    }

    fn add(&mut self, account: Key, slot: i64, amount: i64) {
        if amount != 0 {
            *self.spent.entry((account, slot)).or_default() += amount;
        }
    }

    fn begin(&mut self, account: Key, beginning: &Beginning) {
        for (slot, amount) in &beginning.booked {
            self.add(account, *slot, *amount);
        }
        let (quarters, days) = beginning.stored(account);
        self.quarters.extend(quarters);
        self.days.extend(days);
    }

    fn keep(&mut self, kept: Kept, is_new: bool) {
        if is_new && !self.holders.contains(&kept.id.holder) {
            self.holders.push(kept.id.holder);
        }
        self.leases.insert(kept.id, kept);
    }
}

/// Whether a store that took its identity at `changed` may grant.
pub(super) fn grants(changed: i64, now: i64) -> Grants {
    let wait = i64::try_from(2 * BEAT.as_micros()).unwrap_or(i64::MAX);
    if now < changed.saturating_add(wait) { Grants::Suspended } else { Grants::Open }
}

/// An account's time: the store's clock, but never before what was seen.
pub(super) fn time(clock: i64, seen: Seen) -> i64 {
    clock.max(seen.time)
}

/// An ask with the account that it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) ask: &'a Ask,
    pub(super) account: Key,
    pub(super) seen: Seen,
}

impl Asked<'_> {
    /// Nobody has asked about the account yet: once somebody has, it has a time.
    fn is_new(&self) -> bool {
        self.seen.until == 0
    }

    /// Where to look for what the same limit has booked in other windows; `None` = there is no need.
    pub(super) fn siblings(&self, read: &Read) -> Option<Siblings<'_>> {
        let is_back = || read.kept.is_none() && !read.in_use && !self.ask.last;
        let is_told = self.ask.used.is_none() && self.ask.unit != Unit::Parallel;
        let may_differ = is_told && (self.is_new() || is_back());
        may_differ.then(|| self.ask.account.siblings(&self.ask.window)).flatten()
    }
}

/// Answers asks in their order, each with what was read for it. Later ones see what earlier ones of the batch change.
pub(super) fn exchange(asked: &[Asked<'_>], reads: Vec<Read>, clock: i64, grants: Grants) -> (Answers, Changes) {
    let mut changes = Changes::default();
    let mut answers = Answers { now: clock, replies: Vec::with_capacity(asked.len()) };
    // Since it was read: outstanding of an account's slot, and what was booked of an account.
    let mut outstanding: HashMap<(Key, i64), i64> = HashMap::new();
    let mut booked: HashMap<Key, i64> = HashMap::new();
    let mut begun: HashSet<Key> = HashSet::new();
    for (asked, read) in asked.iter().zip(reads) {
        let (ask, account) = (asked.ask, asked.account);
        let now = time(clock, asked.seen);
        answers.now = answers.now.max(now);
        let stored = changes.leases.get(&ask.lease).cloned().or(read.kept);
        let is_new = stored.is_none();
        let mut before = stored.as_ref().map(|kept| kept.lease).unwrap_or_default();
        before.closed |= read.ended;
        let place = (account, ask.slot.start);
        let mut standing = read.standing;
        standing.others += outstanding.get(&place).copied().unwrap_or_default();
        standing.spent += booked.get(&account).copied().unwrap_or_default();
        let slot = ask.window.slot(now).start;
        if begun.insert(account) {
            // Its limit had another window: what was spent in this one still counts.
            let beginning = begin(&read.known, &ask.window, now, (asked.is_new(), read.standing.spent));
            let spent: i64 = beginning.booked.values().sum();
            changes.begin(account, &beginning);
            *booked.entry(account).or_default() += spent;
            standing.spent += spent;
        }
        let exchanged = exchange::exchange(ask, now, grants, before, standing);
        answers.replies.push(exchanged.reply);
        changes.add(account, slot, exchanged.book);
        *booked.entry(account).or_default() += exchanged.book;
        *outstanding.entry(place).or_default() += exchanged.lease.outstanding() - before.outstanding();
        if exchanged.lease != before {
            let mut kept = stored.unwrap_or_else(|| Kept::new(ask.lease, account));
            kept.kind = Kind::of(ask);
            kept.slot = ask.slot.start;
            kept.width = width(&ask.window, now);
            kept.lease = exchanged.lease;
            changes.keep(kept, is_new);
        }
        let counted = ask.window.counted_from(now);
        // Of a Lifetime the slot is 0, always: noted once, by what it is until.
        if slot > asked.seen.time || asked.seen.until == 0 {
            let until = ask.window.resets_at(now).unwrap_or(i64::MAX);
            changes.seen.insert(account, Seen { time: slot, counted, until });
        }
    }
    (answers, changes)
}

/// Microseconds of a rolling window's slots, else 0.
fn width(window: &WindowSpec, now: i64) -> i64 {
    match window.window_type() {
        Some(WindowType::Rolling) => {
            let slot = window.slot(now);
            slot.end - slot.start
        }
        Some(WindowType::Calendar) | None => 0,
    }
}

/// Books the postings of rows that were new. `leases` holds what the store knows of those that they name.
pub(super) fn book<'r>(
    rows: impl IntoIterator<Item = &'r SpendRow>,
    accounts: &impl Fn(&AccountId) -> Option<Key>,
    leases: &BTreeMap<LeaseId, Kept>,
) -> Changes {
    let mut changes = Changes::default();
    for row in rows {
        for posting in row.postings.iter() {
            // Every account of the batch was looked up before.
            let Some(account) = accounts(&posting.account) else { continue };
            let Some(number) = posting.lease else {
                changes.add(account, posting.slot, posting.amount);
                continue;
            };
            let id = LeaseId { holder: row.event.incarnation, number };
            let stored = changes.leases.remove(&id).or_else(|| leases.get(&id).cloned());
            let is_new = stored.is_none();
            // A store that was restored from a backup may learn of the row before it learns of the lease.
            let mut kept = stored.unwrap_or_else(|| Kept::new(id, account));
            let extra = exchange::book(&mut kept.lease, posting.amount);
            let covered = posting.amount - extra;
            // What was covered moves from where it was booked as lost to where it belongs.
            changes.add(account, kept.lost_slot, -covered);
            changes.add(account, posting.slot, posting.amount);
            changes.keep(kept, is_new);
        }
    }
    changes.spent.retain(|_, amount| *amount != 0);
    changes
}

/// Why a lease ends without its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All that it was used for is known.
    Known,
    /// Nothing more is known.
    Lost,
}

/// Ends leases at the store's time.
pub(super) fn end(leases: impl IntoIterator<Item = Kept>, how: End, now: i64) -> Changes {
    let mut changes = Changes::default();
    for mut kept in leases {
        let before = kept.clone();
        match how {
            End::Known => {
                let unused = exchange::void(&mut kept.lease);
                changes.add(kept.account, kept.lost_slot, -unused);
                exchange::close(&mut kept.lease);
                kept.lease.finished = true;
            }
            End::Lost if kept.lease.closed => {}
            End::Lost => lose(&mut kept, now, &mut changes),
        }
        if kept != before {
            changes.keep(kept, false);
        }
    }
    changes
}

fn lose(kept: &mut Kept, now: i64, changes: &mut Changes) {
    if kept.kind == Kind::Parallel {
        exchange::close(&mut kept.lease);
        return;
    }
    let lost = exchange::expire(&mut kept.lease);
    kept.lost_slot = if kept.width > 0 { now.div_euclid(kept.width) * kept.width } else { kept.slot };
    changes.add(kept.account, kept.lost_slot, lost);
    if kept.kind == Kind::Rate {
        // It leaves with the window; no later row can tell what it was.
        kept.lease.unattributed = 0;
    }
}

/// Takes back what was booked as unattributed. Also returns how much that was.
pub(super) fn void(mut kept: Kept) -> (i64, Changes) {
    let mut changes = Changes::default();
    let amount = exchange::void(&mut kept.lease);
    changes.add(kept.account, kept.lost_slot, -amount);
    changes.keep(kept, false);
    (amount, changes)
}
