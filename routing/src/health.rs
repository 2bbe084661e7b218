//! Whether a backend is asked, by how its last requests went.
//!
//! A backend rests after failures that are its own. A rest that was guessed ends with one request on trial; a rest that the
//! backend asked for (Retry-After) just ends. Either way its share then grows over a while. A request that went well
//! costs one atomic load as long as nothing failed lately.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{
    Moment,
    backend::Traits,
    failure::{Cause, Failure},
};

/// Over which failures are counted.
pub const COUNTED: Duration = Duration::from_mins(1);
/// Over which a backend's share grows after a rest; a shorter rest is followed by an equally short growth.
pub const SLOW_START: Duration = Duration::from_secs(10);
/// A rate limit that says no Retry-After.
pub const SHORT_REST: Duration = Duration::from_secs(1);
/// The longest rest that a backend can ask for.
pub const LONGEST_REST: Duration = Duration::from_hours(1);
/// After which a request on trial that has said nothing no longer keeps others away.
const TRIAL: Duration = Duration::from_secs(10);
/// Probes in a row that fail before the backend is believed to be down.
const MISSES: u32 = 2;
/// One in so many requests must fail before a backend that also answers is left alone.
const FAILING_SHARE: u32 = 3;
/// Set in `misses` once traffic has shown that the probe is wrong.
const DISTRUSTED: u32 = 1 << 31;

/// How a backend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Asked like any other.
    Healthy,
    /// Back from a rest: gets part of its share.
    SlowStart {
        /// In thousandths of its share.
        share: u16,
    },
    /// Its rest is over; the next request shows whether it is well.
    Trial,
    /// Left alone.
    Cooling {
        /// Until then.
        until: Moment,
    },
}

/// How a backend's last requests went.
#[derive(Debug, Default)]
pub struct Health {
    /// Phase (2 bits), length of the slow start in ms (14 bits), moment (48 bits). 0 = nothing failed lately.
    state: AtomicU64,
    /// When the last rest began.
    rested: AtomicU64,
    /// When counting began.
    since: AtomicU64,
    failures: AtomicU32,
    successes: AtomicU32,
    /// Failures since the last success.
    streak: AtomicU32,
    /// Failed probes in a row, and [`DISTRUSTED`].
    misses: AtomicU32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Healthy; failures and successes are being counted.
    Watched,
    /// Rests until the moment, by our guess: a trial follows.
    Guessed,
    /// Rests until the moment, by its own word: slow start follows.
    Told,
    /// A request is on trial since the moment.
    Trial,
}

const MOMENT: u64 = (1 << 48) - 1;
const RAMP: u64 = (1 << 14) - 1;

/// Never 0: a watched backend's moment is at least 1.
fn pack(phase: Phase, ramp: Duration, moment: Moment) -> u64 {
    let ramp = u64::try_from(ramp.as_millis()).unwrap_or(RAMP).min(RAMP);
    let phase = match phase {
        Phase::Watched => 0,
        Phase::Guessed => 1,
        Phase::Told => 2,
        Phase::Trial => 3,
    };
    (phase << 62) | (ramp << 48) | moment.0.clamp(1, MOMENT)
}

fn unpack(state: u64) -> (Phase, Duration, Moment) {
    let phase = match state >> 62 {
        0 => Phase::Watched,
        1 => Phase::Guessed,
        2 => Phase::Told,
        _ => Phase::Trial,
    };
    (phase, Duration::from_millis((state >> 48) & RAMP), Moment(state & MOMENT))
}

impl Health {
    /// How it stands. One atomic load.
    pub fn standing(&self, now: Moment) -> Standing {
        let state = self.state.load(Relaxed);
        if state == 0 {
            return Standing::Healthy;
        }
        let (phase, ramp, moment) = unpack(state);
        match phase {
            Phase::Watched => Standing::Healthy,
            Phase::Guessed | Phase::Told if now < moment => Standing::Cooling { until: moment },
            Phase::Trial if now < moment.after(TRIAL) => Standing::Cooling { until: moment.after(TRIAL) },
            Phase::Guessed | Phase::Trial => Standing::Trial,
            Phase::Told => slow_start(ramp, now.since(moment)),
        }
    }

    /// Until when the backend itself asked to be left alone, if it did.
    pub fn told(&self, now: Moment) -> Option<Moment> {
        let state = self.state.load(Relaxed);
        let (phase, _, until) = unpack(state);
        (state != 0 && phase == Phase::Told && now < until).then_some(until)
    }

    /// Takes the place of the request on trial; `false` if another request has it.
    pub fn try_out(&self, now: Moment) -> bool {
        let state = self.state.load(Relaxed);
        let (_, ramp, _) = unpack(state);
        self.standing(now) != Standing::Trial
            || self.state.compare_exchange(state, pack(Phase::Trial, ramp, now), Relaxed, Relaxed).is_ok()
    }

    /// An attempt that began at `began` got an answer.
    pub fn succeeded(&self, began: Moment, now: Moment) {
        let state = self.state.load(Relaxed);
        if state == 0 {
            return;
        }
        self.streak.store(0, Relaxed);
        self.successes.fetch_add(1, Relaxed);
        let (phase, ramp, moment) = unpack(state);
        let earlier = began <= Moment(self.rested.load(Relaxed));
        let next = match phase {
            Phase::Watched if now.since(Moment(self.since.load(Relaxed))) > COUNTED => 0,
            Phase::Told if now >= moment.after(ramp) => pack(Phase::Watched, Duration::ZERO, now),
            Phase::Guessed | Phase::Trial if !earlier => {
                self.trust_traffic();
                pack(Phase::Told, ramp, now)
            }
            Phase::Told if now < moment && !earlier => pack(Phase::Told, ramp, now),
            Phase::Watched | Phase::Guessed | Phase::Told | Phase::Trial => return,
        };
        let _ = self.state.compare_exchange(state, next, Relaxed, Relaxed);
    }

    /// An attempt that began at `began` failed. Says whether that counts against the backend.
    pub fn failed(&self, traits: &Traits, failure: &Failure, (began, now): (Moment, Moment)) -> bool {
        match failure.cause {
            // The request's fault, or nobody's: another request may go well.
            Cause::Client | Cause::ContextWindow | Cause::ContentPolicy | Cause::ColdStart => return false,
            // Not a fault: it says how much it takes.
            Cause::RateLimit => {
                self.rest(failure.retry_after.filter(|rest| !rest.is_zero()).unwrap_or(SHORT_REST), now);
                return true;
            }
            Cause::Authentication | Cause::NotFound | Cause::Timeout | Cause::ServerError => {}
        }
        if let Some(rest) = failure.retry_after.filter(|rest| !rest.is_zero()) {
            self.rest(rest, now);
        } else {
            self.count(traits, began, now);
        }
        true
    }

    /// An attempt was slower than another that began later: only a backend that is often so is left alone.
    pub fn outrun(&self, traits: &Traits, now: Moment) {
        if self.counted(now) && self.failing(traits) {
            self.cool(traits.cooldown, now);
        }
    }

    /// A probe was answered. It brings the trial forward, no more: who answers probes may still fail requests.
    pub fn probe_answered(&self, now: Moment) {
        self.misses.store(0, Relaxed);
        let state = self.state.load(Relaxed);
        if let (Phase::Guessed, ramp, until) = unpack(state)
            && now < until
        {
            let _ = self.state.compare_exchange(state, pack(Phase::Guessed, ramp, now), Relaxed, Relaxed);
        }
    }

    /// A probe failed. Traffic that goes well outweighs it.
    pub fn probe_missed(&self, traits: &Traits, now: Moment) {
        let misses = self.misses.load(Relaxed);
        if misses & DISTRUSTED != 0 {
            return;
        }
        self.misses.store(misses.saturating_add(1).min(MISSES), Relaxed);
        let well = matches!(self.standing(now), Standing::Healthy | Standing::SlowStart { .. });
        if misses + 1 >= MISSES && well {
            self.cool(traits.cooldown, now);
        }
    }

    /// The request on trial, or one that was sent for want of any other, went well although probes fail.
    fn trust_traffic(&self) {
        if self.misses.load(Relaxed) >= MISSES {
            self.misses.store(DISTRUSTED, Relaxed);
        }
    }

    fn count(&self, traits: &Traits, began: Moment, now: Moment) {
        let (phase, ..) = unpack(self.state.load(Relaxed));
        let resting = matches!(phase, Phase::Guessed | Phase::Trial) && self.state.load(Relaxed) != 0;
        if resting {
            // What was under way when the rest began says nothing new.
            if began > Moment(self.rested.load(Relaxed)) {
                self.cool(traits.cooldown, now);
            }
            return;
        }
        let _ = self.counted(now);
        let streak = self.streak.fetch_add(1, Relaxed).saturating_add(1);
        if streak > traits.allowed_fails || self.failing(traits) {
            self.cool(traits.cooldown, now);
        }
    }

    /// Counts a failure; `false` if the backend rests anyway.
    fn counted(&self, now: Moment) -> bool {
        let state = self.state.load(Relaxed);
        let (phase, ..) = unpack(state);
        if state != 0 && matches!(phase, Phase::Guessed | Phase::Trial) {
            return false;
        }
        if state == 0 || now.since(Moment(self.since.load(Relaxed))) > COUNTED {
            self.forget(now);
        }
        if state == 0 {
            let watched = pack(Phase::Watched, Duration::ZERO, now);
            let _ = self.state.compare_exchange(state, watched, Relaxed, Relaxed);
        }
        self.failures.fetch_add(1, Relaxed);
        true
    }

    fn failing(&self, traits: &Traits) -> bool {
        let failures = self.failures.load(Relaxed);
        let all = failures.saturating_add(self.successes.load(Relaxed));
        failures > traits.allowed_fails && failures.saturating_mul(FAILING_SHARE) >= all
    }

    fn cool(&self, cooldown: Duration, now: Moment) {
        if !cooldown.is_zero() {
            self.rested.store(now.0, Relaxed);
            self.forget(now);
            self.state.store(pack(Phase::Guessed, cooldown.min(SLOW_START), now.after(cooldown)), Relaxed);
        }
    }

    fn rest(&self, asked: Duration, now: Moment) {
        let asked = asked.min(LONGEST_REST);
        let until = now.after(asked);
        if matches!(self.standing(now), Standing::Cooling { until: resting } if resting >= until) {
            return;
        }
        self.rested.store(now.0, Relaxed);
        self.state.store(pack(Phase::Told, asked.min(SLOW_START), until), Relaxed);
    }

    fn forget(&self, now: Moment) {
        self.since.store(now.0, Relaxed);
        self.failures.store(0, Relaxed);
        self.successes.store(0, Relaxed);
        self.streak.store(0, Relaxed);
    }
}

/// A tenth of its share at first, all of it at the end.
fn slow_start(ramp: Duration, past: Duration) -> Standing {
    if past >= ramp {
        return Standing::Healthy;
    }
    let grown = past.as_micros() * 900 / ramp.as_micros().max(1);
    Standing::SlowStart { share: 100 + u16::try_from(grown).unwrap_or(900) }
}
