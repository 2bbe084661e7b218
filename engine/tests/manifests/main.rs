//! What an engine is made of, and what is said of its spec before.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line")]

mod checks;
mod flags;
mod models;
mod objects;
mod overlays;
