//! What the integration tests stand on: a strict scripted upstream, the real gateway as a child process, and plain clients.
//!
//! ```text
//!  test ─ Client / Raw ─▶ Gateway (child process) ─▶ Upstream (in the test's process, scripted, records everything)
//!                            │ (or by way of a Proxy; over TLS with an Authority of the test)
//!                            │ manifests, data in a temporary folder
//!                            └─▶ spend rows (SQLite, read by `spend`)
//! ```
//! Nothing here sleeps for a guess: every wait is on a condition and fails loudly after [`wait::LIMIT`].
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test's tool: a broken setup fails the test where it is used"
)]

pub mod client;
pub mod cloud;
pub mod engine;
pub mod gateway;
pub mod manifest;
pub mod postgres;
pub mod provider;
pub mod proxy;
pub mod raw;
pub mod redis;
mod service;
pub mod sigv4;
pub mod spend;
pub mod sse;
pub mod tls;
pub mod upstream;
pub mod volume;
pub mod wait;

pub use client::Client;
pub use gateway::Gateway;
pub use upstream::{Script, Upstream};
