//! Engines: what is seen of them, and what the operator does about them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics, as an assertion does"
)]

mod adapters;
mod apiserver;
#[path = "../kit/context.rs"]
mod context;
mod costs;
mod filling;
mod keeping;
mod mounting;
mod observing;
mod scale;
mod scaling;
