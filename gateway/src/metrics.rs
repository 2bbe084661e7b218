//! Prometheus metrics. Requests add to a few atomics; names, labels and formats are made when somebody scrapes.
//!
//! docs/metrics.md lists every metric; a test compares it with what is rendered.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use prometheus::{
    Counter, Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    process_collector::ProcessCollector,
};
use turnpike_bundle::entry::ObjectRef;
use turnpike_ledger::account::{AccountSpec, Owner};
use turnpike_llm::provider::Operation;

use crate::{
    config::snapshot::{Model, Snapshot},
    record::Record,
};

mod deployments;
mod engines;
mod families;
mod labels;
mod queues;
mod remaining;
mod requests;
mod tally;

/// A number that lives elsewhere and is read at each scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Requests that are being served.
    InFlight,
    /// Spend rows that are not in the store yet.
    SpendBacklog,
    /// Spend rows written since the start.
    SpendWritten,
    /// Accounts of budgets and rates in memory.
    LedgerAccounts,
    /// Credentials that cannot be renewed.
    CredentialsFailing,
    /// Round trips to the ledger's stores for leases, since the start.
    LedgerExchanges,
    /// nano-USD let through beyond limits while the store was down, since the start.
    LedgerOverdrawn,
    /// Ended runs whose write-ahead files this version cannot read.
    UnreadableRuns,
    /// Log lines lost because nobody took them fast enough, since the start.
    LogLinesDropped,
    /// Kept answers in memory.
    CacheAnswers,
    /// Their bytes.
    CacheBytes,
    /// Embeddings of requests in memory.
    CacheEmbeddings,
    /// Requests that waited for an equal one, since the start.
    CacheWaited,
    /// Asks for kept answers that Redis did not answer in time, since the start.
    CacheFailures,
    /// Asks for alike answers that PostgreSQL did not answer in time, since the start.
    CacheDatabaseFailures,
    /// Values in Redis or PostgreSQL that are no kept answers of this version, since the start.
    CacheUnusable,
}

type Source = Box<dyn Fn() -> u64 + Send + Sync>;

/// All metrics of a gateway.
pub struct Metrics {
    registry: Registry,
    requests: Arc<requests::Requests>,
    own: Own,
    deployments: deployments::Deployments,
    queues: queues::Queues,
    engines: engines::Engines,
    remaining: remaining::Remaining,
    sources: Mutex<Vec<(Polled, Source)>>,
}

/// What is not counted per request.
struct Own {
    in_flight: [IntGauge; 2],
    spend_backlog: IntGauge,
    spend_written: IntCounter,
    log_lines_dropped: IntCounter,
    reloads: IntCounterVec,
    config_problems: IntGauge,
    config_loaded_at: IntGauge,
    bound_exceeded: IntCounter,
    unrecorded: IntCounter,
    unreadable_runs: IntGauge,
    ledger_accounts: IntGauge,
    credentials_failing: IntGauge,
    ledger_exchanges: IntCounter,
    ledger_overdrawn: Counter,
    cache_answers: IntGauge,
    cache_bytes: IntGauge,
    cache_embeddings: IntGauge,
    cache_waited: IntCounter,
    cache_failures: IntCounter,
    cache_database_failures: IntCounter,
    cache_unusable: IntCounter,
}

impl Metrics {
    /// An empty registry.
    ///
    /// # Errors
    /// Two metrics of one name: a bug, found by any test.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = Arc::new(requests::Requests::default());
        registry.register(Box::new(requests::RequestsCollector::new(Arc::clone(&requests))?))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let own = Own::register(&registry)?;
        let deployments = deployments::Deployments::register(&registry)?;
        let queues = queues::Queues::register(&registry)?;
        let engines = engines::Engines::register(&registry)?;
        let remaining = remaining::Remaining::register(&registry)?;
        Ok(Self { registry, requests, own, deployments, queues, engines, remaining, sources: Mutex::new(Vec::new()) })
    }

    /// Reads `source` at each scrape from now on.
    pub fn poll(&self, what: Polled, source: impl Fn() -> u64 + Send + Sync + 'static) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|(polled, _)| *polled != what);
        sources.push((what, Box::new(source)));
    }

    /// Reads at each scrape how many requests wait, by the object whose limit they wait for.
    pub fn poll_queues(&self, source: impl Fn() -> Vec<(Owner, usize)> + Send + Sync + 'static) {
        self.queues.poll(Box::new(source));
    }

    /// Reads at each scrape how many addresses each engine has, and how many of them are verified.
    pub fn poll_engines(&self, source: impl Fn() -> Vec<(ObjectRef, [usize; 2])> + Send + Sync + 'static) {
        self.engines.poll(Box::new(source));
    }

    /// Reads at each scrape what is left of the rates that keys have for one model.
    pub fn poll_rates(&self, source: impl Fn(&Arc<AccountSpec>) -> i64 + Send + Sync + 'static) {
        self.remaining.poll(Box::new(source));
    }

    /// A request waited for a limit, and then passed or not.
    pub fn waited(&self, time: Duration, passed: bool) {
        self.queues.waited(time, passed);
    }

    /// Counts a finished request: one lookup and about twenty relaxed additions.
    pub fn observe(&self, record: &Record) {
        self.requests.observe(record);
    }

    /// Counts a request that was refused before its caller was known. `code`: OpenAI's error code.
    pub fn refused(&self, operation: Operation, status: StatusCode, code: &'static str) {
        self.requests.refused(operation, status, code);
    }

    /// A snapshot went live at `now` (seconds since the epoch), with so many objects left out or half used.
    ///
    /// Series of keys and models that it no longer has are removed.
    pub fn config_loaded(&self, snapshot: &Snapshot, problems: usize, now: i64) {
        self.requests.retain(snapshot);
        self.deployments.retain(snapshot);
        self.remaining.retain(snapshot);
        self.own.reloads.with_label_values(&["success"]).inc();
        self.own.config_problems.set(i64::try_from(problems).unwrap_or(i64::MAX));
        self.own.config_loaded_at.set(now);
    }

    /// New configuration could not be used at all; the last good snapshot goes on.
    pub fn config_rejected(&self) {
        self.own.reloads.with_label_values(&["failure"]).inc();
    }

    /// How a model's backend stands (0 = healthy, 1 = partial outage, 2 = complete outage); `cooled`: it has just begun to be
    /// left alone.
    pub fn deployment(&self, model: &Model, outage: i64, cooled: bool) {
        self.deployments.stands(model, outage, cooled);
    }

    /// Requests used more of so many accounts than was held for them.
    pub fn bound_exceeded(&self, accounts: usize) {
        if accounts > 0 {
            self.own.bound_exceeded.inc_by(accounts as u64);
        }
    }

    /// Something could not be recorded on disk; `say` is called for the first, and then for one in a thousand.
    pub fn unrecorded(&self, say: impl FnOnce()) {
        if self.own.unrecorded.get().is_multiple_of(1000) {
            say();
        }
        self.own.unrecorded.inc();
    }

    /// Everything in Prometheus' text format. Takes milliseconds with thousands of keys: not for a request's thread.
    pub fn render(&self) -> String {
        self.own.refresh(&self.sources.lock().unwrap_or_else(PoisonError::into_inner));
        self.queues.refresh();
        self.engines.refresh();
        self.remaining.refresh();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        self.requests.prune();
        String::from_utf8(text).unwrap_or_default()
    }
}

impl Own {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let ledger_overdrawn = Counter::new(
            "turnpike_ledger_overdrawn_usd_total",
            "The most that requests may cost that FailOpen let through beyond limits while the database was down, in USD.",
        )?;
        registry.register(Box::new(ledger_overdrawn.clone()))?;
        let build =
            IntGaugeVec::new(Opts::new("turnpike_build_info", "Always 1; the version is a label."), &["version"])?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let reloads = Opts::new("turnpike_config_reloads_total", "Loads of the configuration by result.");
        let reloads = IntCounterVec::new(reloads, &["result"])?;
        registry.register(Box::new(reloads.clone()))?;
        for result in ["success", "failure"] {
            reloads.with_label_values(&[result]).reset();
        }
        let in_flight = "Requests that are being served.";
        Ok(Self {
            in_flight: [
                gauge("turnpike_in_flight_requests", in_flight)?,
                gauge("litellm_in_flight_requests", in_flight)?,
            ],
            spend_backlog: gauge("turnpike_spend_backlog_rows", "Spend rows that are not in the store yet.")?,
            spend_written: counter("turnpike_spend_rows_written_total", "Spend rows written to the store.")?,
            log_lines_dropped: counter(
                "turnpike_log_lines_dropped_total",
                "Log lines lost because nobody took them fast enough.",
            )?,
            reloads,
            config_problems: gauge("turnpike_config_problems", "Problems of the loaded configuration.")?,
            config_loaded_at: gauge(
                "turnpike_config_last_success_timestamp_seconds",
                "When configuration was last loaded, seconds since the epoch.",
            )?,
            bound_exceeded: counter(
                "turnpike_ledger_bound_exceeded_total",
                "Amounts used beyond what was held for a request; anything but 0 can make a strict budget overshoot.",
            )?,
            unrecorded: counter(
                "turnpike_wal_errors_total",
                "Attempts, or ends of attempts, that could not be recorded on disk.",
            )?,
            unreadable_runs: gauge(
                "turnpike_wal_unreadable_runs",
                "Ended runs whose write-ahead files this version cannot read.",
            )?,
            ledger_accounts: gauge("turnpike_ledger_accounts", "Accounts of budgets and rates in memory.")?,
            credentials_failing: gauge("turnpike_credentials_failing", "Cloud credentials whose renewal fails.")?,
            ledger_exchanges: counter(
                "turnpike_ledger_exchanges_total",
                "Round trips to the ledger's stores for leases.",
            )?,
            ledger_overdrawn,
            cache_answers: gauge("turnpike_cache_answers", "Kept answers in memory.")?,
            cache_bytes: gauge("turnpike_cache_bytes", "Bytes of kept answers in memory.")?,
            cache_embeddings: gauge("turnpike_cache_embeddings", "Embeddings of answered requests in memory.")?,
            cache_waited: counter(
                "turnpike_cache_waited_requests_total",
                "Requests that waited for an equal one instead of asking a model at once.",
            )?,
            cache_failures: counter(
                "turnpike_cache_redis_errors_total",
                "Asks for kept answers that Redis did not answer in time.",
            )?,
            cache_database_failures: counter(
                "turnpike_cache_database_errors_total",
                "Asks for kept answers by their meaning that PostgreSQL did not answer in time.",
            )?,
            cache_unusable: counter(
                "turnpike_cache_unusable_values_total",
                "Values in Redis or PostgreSQL that are damaged, foreign or of another version.",
            )?,
        })
    }

    fn refresh(&self, sources: &[(Polled, Source)]) {
        for (what, source) in sources {
            let value = source();
            match what {
                Polled::InFlight => self.in_flight.iter().for_each(|gauge| set(gauge, value)),
                Polled::SpendBacklog => set(&self.spend_backlog, value),
                Polled::SpendWritten => raise(&self.spend_written, value),
                Polled::LedgerAccounts => set(&self.ledger_accounts, value),
                Polled::CredentialsFailing => set(&self.credentials_failing, value),
                Polled::LedgerExchanges => raise(&self.ledger_exchanges, value),
                Polled::LedgerOverdrawn => {
                    let more = tally::float(value) / 1e9 - self.ledger_overdrawn.get();
                    self.ledger_overdrawn.inc_by(more.max(0.0));
                }
                Polled::UnreadableRuns => set(&self.unreadable_runs, value),
                Polled::LogLinesDropped => raise(&self.log_lines_dropped, value),
                Polled::CacheAnswers => set(&self.cache_answers, value),
                Polled::CacheBytes => set(&self.cache_bytes, value),
                Polled::CacheEmbeddings => set(&self.cache_embeddings, value),
                Polled::CacheWaited => raise(&self.cache_waited, value),
                Polled::CacheFailures => raise(&self.cache_failures, value),
                Polled::CacheDatabaseFailures => raise(&self.cache_database_failures, value),
                Polled::CacheUnusable => raise(&self.cache_unusable, value),
            }
        }
    }
}

fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// Only under the lock of the sources, so that no two scrapes add the same difference.
fn raise(counter: &IntCounter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}
