//! What a finished request leaves behind: a spend row, metrics, a log line; and what probes are told.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod access_log;
mod documented_metrics;
mod finished;
mod log_writer;
mod metrics;
mod probes;
mod spend_rows;
