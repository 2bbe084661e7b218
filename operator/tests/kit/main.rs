//! The tools that the operator's tasks share: writes, retries, events, arguments.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod applying;
mod arguments;
mod context;
mod documents;
mod election;
mod events;
mod health;
mod installing;
mod leading;
mod retries;
mod server;
mod uninstalling;
