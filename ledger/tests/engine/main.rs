//! Gateways' accounts in memory, against a store in memory, in simulated time.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod deciding;
mod fleet;
mod leases;
mod rates;
mod refusing;
mod waiting;
mod windows;
mod world;
