//! Making, replacing and revoking keys: nothing is lost or done twice, whatever happens in between.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails here fails with the line"
)]

mod apiserver;
#[path = "../kit/context.rs"]
mod context;
mod crashes;
mod deciding;
mod looping;
mod queueing;
mod revoking;
