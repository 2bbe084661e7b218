//! The spend log on a real `SQLite` file.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod plans;
mod rows;
mod store;
mod views;
mod writer;
