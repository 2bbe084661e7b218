//! The write-ahead file on a real disk.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod any;
mod confirm;
mod files;
mod recover;
mod rows;
mod torn;
