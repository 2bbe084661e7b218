//! The lease protocol's other side: what a gateway counts on, whatever messages are lost, late or repeated.
//!
//! The balance that requests take from lives beside it, as an atomic: `free = granted - taken`. It is lowered before
//! anything is given back and raised only by [`Holder::heard`], so that it never promises what the store may not know of.

use crate::exchange::Reply;

/// One lease, as its holder sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    sequence: u64,
    granted: i64,
}

/// The holder's part of an [`crate::exchange::Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wish {
    /// Counts up within the lease.
    pub sequence: u64,
    /// What the holder counts as granted.
    pub held: i64,
    /// What it would like to have been granted in all.
    pub target: i64,
    /// Least raise that is of use.
    pub least: i64,
    /// The last word on the lease.
    pub last: bool,
}

impl Holder {
    /// All that it counts as granted.
    pub const fn granted(&self) -> i64 {
        self.granted
    }

    /// Asks for `want` more, of which less than `least` is of no use. Zero only asks how things stand.
    pub const fn raise(&mut self, want: i64, least: i64) -> Wish {
        self.wish(want, least, false)
    }

    /// Gives back `amount`, which the caller has taken out of the free balance already.
    pub const fn give_back(&mut self, amount: i64) -> Wish {
        self.granted -= amount;
        self.wish(0, 0, false)
    }

    /// Says the last word: `unused` is all that was free, and nothing is held any more.
    pub const fn finish(&mut self, unused: i64) -> Wish {
        self.granted -= unused;
        self.wish(0, 0, true)
    }

    const fn wish(&mut self, want: i64, least: i64, last: bool) -> Wish {
        self.sequence += 1;
        let Self { sequence, granted } = *self;
        Wish { sequence, held: granted, target: granted + want, least, last }
    }

    /// Takes the answer to the ask of this number, and returns what is to be added to the free balance. Only the answer to
    /// the latest ask says something: what an earlier one granted may have been given back since.
    pub fn heard(&mut self, sequence: u64, reply: &Reply) -> i64 {
        if sequence != self.sequence {
            return 0;
        }
        let more = (reply.granted - self.granted).max(0);
        self.granted += more;
        more
    }
}
