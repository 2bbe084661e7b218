//! Logs on standard error: events of the program, and one line per finished request. Neither prompts nor keys, ever.
//!
//! The line of a request does not go through `tracing`'s formatter: it is written straight from the record, at a tenth of
//! the cost, and obeys the same filter (target `access`, level info).

use std::{io, sync::OnceLock, time::Duration};

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::record::Record;

pub mod access;
pub mod sink;

use sink::Sink;

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `--log` cannot be read.
    #[error("the log filter {filter:?} cannot be read")]
    Filter {
        /// As given.
        filter: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// No thread for writing.
    #[error("cannot start the thread that writes logs")]
    Thread(#[source] io::Error),
    /// Something set up logging before.
    #[error("logging was set up twice")]
    Twice,
}

struct Log {
    format: LogFormat,
    sink: Sink,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Sends logs to standard error from now on. `filter`: as in `RUST_LOG`, such as `info,turnpike_gateway=debug`.
///
/// # Errors
/// The filter cannot be read, or logging was set up before.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let levels =
        EnvFilter::try_new(filter).map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let sink = Sink::start(io::stderr()).map_err(TelemetryError::Thread)?;
    LOG.set(Log { format, sink: sink.clone() }).map_err(|_| TelemetryError::Twice)?;
    let events = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(sink);
    let registry = tracing_subscriber::registry().with(levels);
    match format {
        LogFormat::Json => registry.with(events.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(events).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)
}

/// Writes the access line of a finished request.
pub fn access(record: &Record) {
    if let Some(log) = LOG.get()
        && tracing::enabled!(target: "access", tracing::Level::INFO)
    {
        access::with_line(log.format, record, |line| log.sink.push(line));
    }
}

/// Log lines lost because standard error was not read fast enough, since the start.
pub fn lines_dropped() -> u64 {
    LOG.get().map_or(0, |log| log.sink.dropped())
}

/// Waits until everything logged so far is written, at most `limit`. Blocks: call it last.
pub fn flush(limit: Duration) {
    if let Some(log) = LOG.get() {
        log.sink.flush(limit);
    }
}
