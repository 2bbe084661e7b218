//! What objects compile to, and that shards carry it to gateways whatever happens on the way.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails here fails with the line"
)]

mod compiling;
mod covering;
mod determinism;
mod formats;
mod isolation;
mod manifests;
mod parsing;
mod recutting;
mod sharding;
mod volume;
