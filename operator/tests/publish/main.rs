//! What is published: which objects, in which order, and what is said of them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails here fails with the line")]

mod apiserver;
mod bumping;
mod compiling;
#[path = "../kit/context.rs"]
mod context;
mod crashes;
mod endpoints;
mod formats;
mod parts;
mod publishing;
mod recompiling;
mod tokens;
mod verdicts;
