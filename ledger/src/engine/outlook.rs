//! How much of an account a gateway keeps at hand, and what it asks the store for. Pure.

use super::pot::Known;

/// A remainder is scarce when it is less than this many times what one gateway likes to have.
const PLENTY: i64 = 8;
/// Nothing was taken for this long: of a scarce account nothing is kept. Shorter than a round; microseconds.
const STILL: i64 = 400_000;
/// The same where there is plenty: an account that is used now and then stays warm; microseconds.
const UNUSED: i64 = 30_000_000;
/// Weight of the latest measurement of the pace.
const WEIGHT: f64 = 0.5;
/// A measurement takes at least this long; microseconds.
const SPAN: i64 = 200_000;

/// What is known of an account when the store is asked about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    pub(super) known: Known,
    pub(super) free: i64,
    /// What the first of those who wait needs; `None` = nobody waits.
    pub(super) first: Option<i64>,
    /// What all who wait need together.
    pub(super) wanted: i64,
    /// The largest amount that was lately taken at once.
    pub(super) largest: i64,
    /// Used in a second.
    pub(super) pace: i64,
    /// Since anything was taken, microseconds.
    pub(super) still: i64,
}

/// What to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More; less than `least` is of no use. Zero only asks how things stand.
    Raise {
        want: i64,
        least: i64,
    },
    GiveBack(i64),
}

impl Outlook {
    /// Others may need what is not used here.
    pub(super) fn is_scarce(&self) -> bool {
        let liking = self.largest.max(self.free).max(self.pace).max(1);
        self.known.answers > 0 && self.known.left < liking.saturating_mul(PLENTY)
    }

    /// How much is kept at hand for requests to come.
    fn keep(&self) -> i64 {
        match (self.is_scarce(), self.still) {
            (true, STILL..) | (false, UNUSED..) => 0,
            (true, _) => self.pace,
            (false, _) => self.pace.max(self.largest),
        }
    }

    /// With less than this free, more is asked for before somebody must wait.
    pub(super) fn low(&self) -> i64 {
        match self.keep() {
            0 => i64::MIN,
            keep if self.is_scarce() => keep / 2,
            // The next request should find what it needs.
            keep => (keep / 2).max(self.largest),
        }
    }

    pub(super) fn step(&self) -> Step {
        let Self { known, free, first, .. } = *self;
        // Pieces too small for anybody lie at several gateways. Who finds one such gives it back: in the store they come
        // together, and whoever asks first for enough gets it whole.
        if first.is_some_and(|first| free < first) && free > 0 && known.in_vain && known.others > 0 {
            return Step::GiveBack(free);
        }
        let goal = self.wanted.saturating_add(self.keep());
        let most = if self.is_scarce() { goal } else { goal.saturating_mul(2) };
        let surplus = free.saturating_sub(most);
        if surplus > 0 {
            return Step::GiveBack(surplus);
        }
        let least = first.unwrap_or(self.largest).max(1).saturating_sub(free).max(1);
        let want = goal.saturating_sub(free);
        let want = if first.is_some() { want.max(least) } else { want };
        if want > 0 { Step::Raise { want, least } } else { Step::Raise { want: 0, least: 0 } }
    }
}

/// How fast an account is used.
#[derive(Debug, Default)]
pub(super) struct Pace {
    at: i64,
    taken: i64,
    /// Per microsecond, smoothed.
    rate: f64,
    moved_at: i64,
}

impl Pace {
    /// Whether as much is taken as when it was last measured.
    pub(super) fn is_at(&self, taken: i64) -> bool {
        self.taken == taken
    }

    /// What is taken is counted from nothing again.
    pub(super) fn restart(&mut self) {
        self.taken = 0;
    }

    /// Use in a second, and how long ago the last one was, microseconds.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a pace need not be exact")]
    pub(super) fn measure(&mut self, now: i64, taken: i64) -> (i64, i64) {
        let (span, more) = (now - self.at, (taken - self.taken).max(0));
        if more > 0 || self.at == 0 {
            self.moved_at = now;
        }
        // Too early to tell; but a burst must not ask once for each request.
        let mut rate = self.rate.max(more as f64 / SPAN as f64);
        if self.at == 0 || span >= SPAN {
            let latest = if self.at == 0 { 0.0 } else { more as f64 / span as f64 };
            self.rate = WEIGHT.mul_add(latest, (1.0 - WEIGHT) * self.rate);
            (self.at, self.taken) = (now, taken);
            rate = self.rate;
        }
        ((rate * 1e6) as i64, (now - self.moved_at).max(0))
    }
}
