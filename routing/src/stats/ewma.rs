//! A mean of the last seconds.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::Moment;

/// After this time without others, a measurement counts half.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// A measurement weighs at least this much: many at once would otherwise weigh nothing, as no time is between them.
const LEAST_WEIGHT: f32 = 1.0 / 16.0;

/// Exponentially weighted moving average of durations. One word: the mean in microseconds as the bits of an `f32` in the upper
/// half, the time of the last measurement in milliseconds, modulo 2^32, in the lower one; 0 = none.
#[derive(Debug, Default)]
pub(super) struct Ewma(AtomicU64);

impl Ewma {
    pub(super) fn add(&self, now: Moment, measured: Duration) {
        // The closure always gives a value, so this cannot fail.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| Some(after(word, now, measured)));
    }

    pub(super) fn mean(&self) -> Option<Duration> {
        match self.0.load(Relaxed) {
            0 => None,
            word => Some(Duration::from_secs_f32(mean_of(word).clamp(0.0, 1e12) / 1e6)),
        }
    }

    /// Time since the last measurement.
    pub(super) fn age(&self, now: Moment) -> Option<Duration> {
        match self.0.load(Relaxed) {
            0 => None,
            word => Some(age_of(word, now)),
        }
    }
}

fn after(word: u64, now: Moment, measured: Duration) -> u64 {
    let measured = measured.as_secs_f32() * 1e6;
    let mean = if word == 0 {
        measured
    } else {
        let kept = (-age_of(word, now).as_secs_f32() / HALF_LIFE.as_secs_f32()).exp2();
        let weight = (1.0 - kept).max(LEAST_WEIGHT);
        mean_of(word) + weight * (measured - mean_of(word))
    };
    // Never the word that means "none".
    u64::from(mean.max(1.0).to_bits()) << 32 | u64::from(millis(now))
}

fn mean_of(word: u64) -> f32 {
    f32::from_bits(u32::try_from(word >> 32).unwrap_or_default())
}

fn age_of(word: u64, now: Moment) -> Duration {
    let age = millis(now).wrapping_sub(low(word));
    // An answer that ended in another thread may be a little ahead of `now`.
    Duration::from_millis(if age > u32::MAX / 2 { 0 } else { u64::from(age) })
}

fn millis(now: Moment) -> u32 {
    low(now.0 / 1000)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}
