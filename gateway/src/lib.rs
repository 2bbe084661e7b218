//! The data plane: one OpenAI-compatible endpoint in front of every model.
//!
//! ```text
//!  manifests ─ config::sources ─▶ bundle::render ─▶ config::compile ─▶ Snapshot (one swap, lock-free reads)
//!                                                                        │
//!  client ─ listener ─▶ app::router ─▶ routes ─▶ pipeline: authenticate, admit, body, route, call, deliver
//!            (one runtime per core)                             │                 │         │
//!                                                          error::openai     upstream    meter ─▶ spend, metrics, log
//! ```

pub mod admin;
pub mod app;
pub mod args;
pub mod banner;
pub mod cache;
pub mod check;
pub mod config;
pub mod console;
pub mod demand;
pub mod engines;
pub mod error;
pub mod import_litellm;
pub mod internal;
pub mod limits;
pub mod listener;
pub mod metrics;
pub mod pipeline;
pub mod probe;
pub mod record;
pub mod responses;
pub mod routes;
pub mod run;
pub mod spend;
pub mod stores;
pub mod telemetry;
pub mod unattributed;
pub mod upstream;
