//! Answers that are given again: what counts as the same request, what is kept, for whom and how long. One module a behaviour.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod control;
mod exact;
mod fallbacks;
mod flight;
mod keepable;
mod keys;
mod likeness;
mod pgvector;
mod scope;
mod semantic;
mod shared;
mod stage;
mod stored;
mod streams;
