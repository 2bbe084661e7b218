//! What the model's world consists of: gateways, messages on their way, and one account in a store.

use turnpike_ledger::{
    exchange::{Lease, Reply},
    holder::{Holder, Wish},
};

/// How often each thing may yet happen, over all gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Budget {
    /// Asks for more.
    pub(super) raises: u8,
    /// Asks that give back.
    pub(super) returns: u8,
    /// Attempts at an upstream.
    pub(super) reserves: u8,
    /// Gateways that lose their memory.
    pub(super) crashes: u8,
    /// Gateways that lose their memory and their disk.
    pub(super) burnt: u8,
    /// Times that a living gateway is given up because it was not heard of.
    pub(super) expiries: u8,
    /// Rows and last words that are sent again because the answer was lost.
    pub(super) repeats: u8,
    /// Ends of a window.
    pub(super) ticks: u8,
    /// Clocks of gateways that run ahead of the store's, by up to a window. That they are behind takes none of these.
    pub(super) skews: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Life {
    /// It serves.
    Runs,
    /// It crashed; its write-ahead file is there.
    Crashed,
    /// It crashed and its disk is gone.
    Burnt,
    /// Somebody read its write-ahead file to the end and closed its leases.
    Recovered,
}

/// A gateway's side of a lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Side {
    pub(super) number: u64,
    pub(super) slot: usize,
    pub(super) holder: Holder,
    pub(super) free: i64,
    /// What attempts under way hold, sorted.
    pub(super) held: Vec<i64>,
    /// The store said that nothing is granted on it any more.
    pub(super) closed: bool,
    /// The last word, from when it was said.
    pub(super) last: Option<Wish>,
    /// The answer to the latest ask, on its way: granted, closed.
    pub(super) answer: Option<(i64, bool)>,
}

/// A spend row that the store has not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) slot: usize,
    pub(super) amount: i64,
    /// It is in the store; the gateway does not know.
    pub(super) there: bool,
}

/// The store's side of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Kept {
    pub(super) number: u64,
    pub(super) slot: usize,
    pub(super) lease: Lease,
}

/// One gateway with all that concerns it alone, also in the store: gateways can be sorted, which halves the work and more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Gateway {
    pub(super) life: Life,
    /// The slot that it believes to be the current one.
    pub(super) clock: usize,
    pub(super) next: u64,
    pub(super) sides: Vec<Side>,
    pub(super) rows: Vec<Row>,
    /// Asks on their way, for which lease and slot.
    pub(super) asks: Vec<(u64, usize, Wish)>,
    pub(super) kept: Vec<Kept>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) gateways: Vec<Gateway>,
    /// The slot that it is.
    pub(super) now: usize,
    /// The account in the store, by slot.
    pub(super) spent: [i64; 2],
    /// What was let through, by slot: used, or held by an attempt that may yet use it.
    pub(super) real: [i64; 2],
    /// How much of that nobody can tell the store any more.
    pub(super) lost: [i64; 2],
    pub(super) left: Budget,
}

impl State {
    pub(super) fn new(gateways: usize, left: Budget) -> Self {
        let gateway = Gateway {
            life: Life::Runs,
            clock: 0,
            next: 0,
            sides: Vec::new(),
            rows: Vec::new(),
            asks: Vec::new(),
            kept: Vec::new(),
        };
        Self { gateways: vec![gateway; gateways], now: 0, spent: [0; 2], real: [0; 2], lost: [0; 2], left }
    }

    pub(super) fn outstanding(&self, slot: usize) -> i64 {
        self.leases(slot).map(Lease::outstanding).sum()
    }

    pub(super) fn unattributed(&self, slot: usize) -> i64 {
        self.leases(slot).map(|lease| lease.unattributed).sum()
    }

    pub(super) fn leases(&self, slot: usize) -> impl Iterator<Item = &Lease> {
        let kept = self.gateways.iter().flat_map(|gateway| &gateway.kept);
        kept.filter(move |kept| kept.slot == slot).map(|kept| &kept.lease)
    }

    /// Makes equal what is equal: forgets what can do nothing any more, and sorts.
    pub(super) fn tidy(&mut self) {
        for gateway in &mut self.gateways {
            gateway.tidy();
        }
        self.gateways.sort_unstable();
    }
}

impl Gateway {
    fn tidy(&mut self) {
        let kept = &self.kept;
        // An ask that is not newer than the last one heeded changes nothing: `State::deliver` asserts it.
        self.asks.retain(|(number, _, wish)| {
            kept.iter().all(|kept| kept.number != *number || kept.lease.sequence < wish.sequence && !kept.lease.closed)
        });
        self.asks.sort_unstable();
        self.rows.sort_unstable();
        for side in &mut self.sides {
            side.held.sort_unstable();
        }
        let recovered = self.life == Life::Recovered;
        // What a store forgets, as soon as it may.
        self.kept.retain(|Kept { lease, .. }| {
            let over = (lease.finished && !lease.closed || recovered) && lease.outstanding() == 0;
            !over || lease.unattributed > 0
        });
    }
}

pub(super) const fn reply(answer: (i64, bool)) -> Reply {
    Reply { granted: answer.0, spent: 0, others: 0, left: 0, closed: answer.1 }
}
