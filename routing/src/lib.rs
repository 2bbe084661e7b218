//! Where a request goes, and where it goes next when that fails.
//!
//! Decisions only: what is configured ([`group`]), what a request needs ([`features`]), what was seen of the backends
//! ([`backend`]) and a draw go in, a choice comes out. Nothing here reads a clock, draws a number or waits; the gateway acts
//! with real ones, the simulator in the tests with virtual ones.

pub mod backend;
pub mod complexity;
pub mod failure;
pub mod fallback;
pub mod features;
pub mod filter;
pub mod group;
pub mod hash;
pub mod health;
pub mod hedge;
mod luck;
pub mod plan;
pub mod retry;
pub mod set;
pub mod stats;
pub mod strategy;
pub mod traffic;
mod window;

/// A point in time of one process: microseconds since some moment before its first request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// Later by this much.
    #[must_use]
    pub fn after(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Time since `earlier`; zero where that is later.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
