//! What the status of each object says, when it is written, and what events tell.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails here fails with the line"
)]

mod backends;
mod conditions;
#[path = "../kit/context.rs"]
mod context;
mod credentials;
mod engine;
mod events;
mod fields;
mod order;
mod place;
mod programmed;
#[expect(dead_code, reason = "shared with the tests of kit, which look at more of a request")]
#[path = "../kit/server.rs"]
mod server;
mod spent;
mod writing;
