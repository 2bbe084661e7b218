//! What is told of an engine: each reason from pods as kubelet and scheduler describe them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails here fails with the line")]

mod cache;
mod columns;
mod place;
mod property;
mod reasons;
mod volumes;
