//! A count over the last minute.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Moment;

/// Microseconds of a slot.
const SLOT: u64 = 10_000_000;
/// Slots of a minute, and the one that is just going out of it.
const SLOTS: usize = 7;
/// A slot's word: which ten seconds it counts, from 1 on, above its count.
const COUNT: u32 = 40;
const MOST: u64 = (1 << COUNT) - 1;

/// Sliding count. Of the oldest ten seconds counts the share that lies within the minute.
#[derive(Debug, Default)]
pub(super) struct Window([AtomicU64; SLOTS]);

impl Window {
    pub(super) fn add(&self, now: Moment, count: u64) {
        let (count, period) = (count.min(MOST), period(now));
        let Some(slot) = self.0.get(place(period)) else { return };
        let mut word = slot.load(Relaxed);
        loop {
            if word >> COUNT >= period {
                // Of the same ten seconds, or of later ones where this thread slept.
                slot.fetch_add(count, Relaxed);
                return;
            }
            match slot.compare_exchange_weak(word, period << COUNT | count, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(newer) => word = newer,
            }
        }
    }

    pub(super) fn sum(&self, now: Moment) -> u64 {
        let period = period(now);
        let oldest = period.saturating_sub(SLOTS as u64 - 1);
        let left = SLOT - now.0 % SLOT;
        self.0.iter().map(|slot| slot.load(Relaxed)).fold(0, |sum, word| {
            let count = word & MOST;
            let counted = match word >> COUNT {
                0 => 0,
                of if of > oldest => count,
                // At most 2^40 by 10^7: within 64 bits.
                of if of == oldest => count * left / SLOT,
                _ => 0,
            };
            sum.saturating_add(counted)
        })
    }
}

fn period(now: Moment) -> u64 {
    now.0 / SLOT + 1
}

#[expect(clippy::cast_possible_truncation, reason = "less than SLOTS")]
fn place(period: u64) -> usize {
    (period % SLOTS as u64) as usize
}
