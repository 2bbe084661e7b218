//! The lease protocol's store side: pure transitions, which every store runs inside one transaction and which the model
//! checker runs as they are.
//!
//! A lease is what one gateway may use of one account. It grows and shrinks by exchanges and is used up by bookings:
//!
//! ```text
//!  granted ── all that the holder was ever given ──────────────────────────────┐
//!  booked  ── what spend rows (or the exchange, for rates) have told of it ────┴▶ outstanding = granted - booked
//!  a grant needs   spent in the window + Σ outstanding of all leases + raise <= limit
//! ```
//! Messages are absolute ("let me have 500 in all", not "200 more"), and numbered: a repeated, late or lost one changes
//! nothing. No transition reads a clock to decide whether something is safe; time only says which window is open.

use uuid::Uuid;

use crate::{
    account::{AccountId, AccountSpec, Unit},
    window::{Slot, WindowSpec},
};

/// Names a lease for ever. Each holder numbers its own; a number is bound to one account and slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId {
    /// The run of the gateway that holds it.
    pub holder: Uuid,
    /// Counts up within the run.
    pub number: u64,
}

/// What a holder asks of one account.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Which lease; made on first mention.
    pub lease: LeaseId,
    /// What it is of.
    pub account: AccountId,
    /// The account's window, as configured.
    pub window: WindowSpec,
    /// What it counts.
    pub unit: Unit,
    /// The account's limit, as configured.
    pub limit: i64,
    /// The slot that the lease is bound to: [`WindowSpec::lease_slot`].
    pub slot: Slot,
    /// Counts up within the lease. An ask that is not newer than the last one changes nothing.
    pub sequence: u64,
    /// What the holder already counts as granted. A store that was restored from a backup learns of it here.
    pub held: i64,
    /// What the holder would like to have been granted in all. Below `held` it gives back; it never goes below what it used.
    pub target: i64,
    /// Least raise that is of use: less is not granted.
    pub least: i64,
    /// What the holder has used in all, where the exchange is what counts it (rates); `None` = spend rows tell.
    pub used: Option<i64>,
    /// The last word on this lease: `target` is what was used.
    pub last: bool,
}

/// A lease as the store keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// All that was ever granted, less what was given back.
    pub granted: i64,
    /// What was told to be used of it.
    pub booked: i64,
    /// The last ask that was heeded.
    pub sequence: u64,
    /// Booked as spent because the holder was not heard of; later bookings are taken from here first.
    pub unattributed: i64,
    /// The holder has said its last word on it: once all is booked it can be forgotten.
    pub finished: bool,
    /// Closed by somebody else than the holder: nothing is granted on it any more.
    pub closed: bool,
}

impl Lease {
    /// What may still be used without the store hearing of it.
    pub const fn outstanding(&self) -> i64 {
        if self.closed || self.granted <= self.booked { 0 } else { self.granted - self.booked }
    }
}

/// What else the store knows of the account at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Booked in all slots from [`WindowSpec::counted_from`] on.
    pub spent: i64,
    /// Outstanding on all other leases of the ask's slot.
    pub others: i64,
    /// Holders that have such leases, the asking one included.
    pub holders: i64,
}

/// What a holder is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// All that is granted on the lease now.
    pub granted: i64,
    /// Spent in the window, as booked.
    pub spent: i64,
    /// Outstanding on other leases: what may come back.
    pub others: i64,
    /// What nobody has: the limit less all that is spent or outstanding. Below zero after a limit was lowered.
    pub left: i64,
    /// The lease was closed by somebody else, or its slot is over: nothing is granted on it any more.
    pub closed: bool,
}

/// What an exchange changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exchanged {
    /// The lease afterwards.
    pub lease: Lease,
    /// To be added to the account's spend in the slot of now.
    pub book: i64,
    /// For the holder.
    pub reply: Reply,
}

/// Share of what is left that one exchange may take, so that a few holders share a remainder fairly.
const SHARE: i64 = 4;

/// Whether grants may be given. After a failover or a restore they wait until every holder has told what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grants {
    /// As usual.
    Open,
    /// Not yet.
    Suspended,
}

/// Answers one ask at the store's time `now` (microseconds since the epoch).
pub fn exchange(ask: &Ask, now: i64, grants: Grants, before: Lease, standing: Standing) -> Exchanged {
    let mut lease = before;
    let mut standing = standing;
    let mut book = 0;
    let news = ask.sequence > before.sequence && !before.closed;
    // Heard for the first time with its last word, which was said again after the lease was forgotten, or has overtaken all
    // others: nothing is granted, and that is remembered for the late ones.
    let is_over = ask.last && before.sequence == 0;
    if news {
        lease.sequence = ask.sequence;
        lease.finished = ask.last;
    }
    if news && !is_over {
        // What the holder counts on is granted, whatever this store remembers.
        lease.granted = lease.granted.max(ask.held);
        if let Some(used) = ask.used {
            book = (used - lease.booked).max(0);
            lease.booked = lease.booked.max(used);
            standing.spent += book;
        }
        // Use beyond what was granted is spent already: a raise is not to pay for it a second time.
        lease.granted = lease.granted.max(lease.booked);
        lease.granted = if ask.target < lease.granted {
            // Not below `held`'s use: a target is never below what was used, and what was used is not given back.
            ask.target.max(lease.booked)
        } else {
            let raise = raise(ask, now, grants, lease, standing);
            lease.granted + raise
        };
    }
    let ended = !ask.slot.holds(now);
    let reply = Reply {
        granted: lease.granted,
        spent: standing.spent,
        others: standing.others,
        left: left(ask, lease, standing),
        closed: before.closed || ended,
    };
    Exchanged { lease, book, reply }
}

fn raise(ask: &Ask, now: i64, grants: Grants, lease: Lease, standing: Standing) -> i64 {
    let wanted = ask.target - lease.granted;
    // The slot is the holder's idea of the time; only the store's own counts.
    if ask.last || grants == Grants::Suspended || !ask.slot.holds(now) {
        return 0;
    }
    let free = left(ask, lease, standing);
    // What is granted already without the holder knowing it is of use to it too.
    let least = ask.least.saturating_sub(lease.granted - ask.held).max(0);
    let fair = (free / SHARE.max(standing.holders + 1)).max(least);
    let raise = wanted.min(fair);
    if raise < least || raise > free { 0 } else { raise.max(0) }
}

fn left(ask: &Ask, lease: Lease, standing: Standing) -> i64 {
    ask.limit.saturating_sub(standing.spent).saturating_sub(standing.others).saturating_sub(lease.outstanding())
}

/// Books what a spend row tells of a lease, and returns what is to be added to the account's spend.
pub fn book(lease: &mut Lease, amount: i64) -> i64 {
    let covered = amount.clamp(0, lease.unattributed.max(0));
    lease.unattributed -= covered;
    lease.booked += amount;
    amount - covered
}

/// The holder is gone and its write-ahead files were read to their end: what was not used is free again.
pub fn close(lease: &mut Lease) {
    lease.granted = lease.granted.min(lease.booked);
    lease.closed = true;
}

/// The holder was not heard of for longer than a request may take: all that it may have used counts as spent.
/// Returns what is to be added to the account's spend.
pub fn expire(lease: &mut Lease) -> i64 {
    let lost = lease.outstanding();
    lease.closed = true;
    lease.unattributed += lost;
    lost
}

/// What is still booked as unattributed was not used: its write-ahead files were read after all, or an admin says so.
/// Returns what is to be taken from the account's spend.
pub const fn void(lease: &mut Lease) -> i64 {
    let unused = lease.unattributed;
    lease.unattributed = 0;
    unused
}

impl AccountSpec {
    /// The slot of a lease taken `now`.
    pub fn lease_slot(&self, now: i64) -> Slot {
        self.window.lease_slot(now)
    }
}
