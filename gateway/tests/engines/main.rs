//! Engines in this cluster: their addresses found, verified, balanced over and dropped. One module a behaviour.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod addresses;
mod compiled;
mod fixture;
mod hints;
mod keepalive;
mod serving;
mod stage;
