//! What a finished request leaves behind: a spend row, metrics, a log line; and what probes are told.
#![expect(clippy::unwrap_used, reason = "tests")]

mod access_log;
mod documented_metrics;
mod finished;
mod log_writer;
mod metrics;
mod probes;
mod spend_rows;
