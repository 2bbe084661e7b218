//! Numbers within bounds from a draw over all of u64.

use std::time::Duration;

/// Uniform below `bound`; 0 if that is 0.
pub(crate) fn below(bound: u64, draw: u64) -> u64 {
    // The upper half of the product: no division, and no bias worth the name.
    let product = u128::from(draw) * u128::from(bound);
    u64::try_from(product >> 64).unwrap_or(0)
}

/// Uniform from zero to `bound`.
pub(crate) fn up_to(bound: Duration, draw: u64) -> Duration {
    Duration::from_micros(below(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX).saturating_add(1), draw))
}
