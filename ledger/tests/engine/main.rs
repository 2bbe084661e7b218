//! Gateways' accounts in memory, against a store in memory, in simulated time.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod deciding;
mod extending;
mod fleet;
mod interleavings;
mod leases;
mod places;
mod queueing;
mod rates;
mod refusing;
mod threads;
mod waiting;
mod windows;
mod world;
