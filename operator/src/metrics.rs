//! Prometheus metrics of the operator. Label values are closed sets of the code, never names of objects but for those of engines
//! with a price.
//!
//! docs/metrics.md lists every metric; a test compares it with what is rendered.

use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder, core::Collector, process_collector::ProcessCollector,
};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::money::NANO_PER_USD;

/// How something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Server-side apply.
    Apply,
    /// Server-side apply of the status subresource.
    ApplyStatus,
    /// POST.
    Create,
    /// PUT with a resourceVersion.
    Update,
    /// JSON or merge patch.
    Patch,
    /// DELETE.
    Delete,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::ApplyStatus => "apply_status",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// What came of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ok,
    /// The object had changed since it was read.
    Conflict,
    /// Anything else.
    Error,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Conflict => "conflict",
            Self::Error => "error",
        }
    }
}

/// What can become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// Written, as a new event or as a repeat.
    Written,
    /// Not written on purpose: it repeats a recent one, or its object has had too many.
    Suppressed,
    /// Not written because the apiserver refused, or too many wait.
    Failed,
}

impl EventOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Suppressed => "suppressed",
            Self::Failed => "failed",
        }
    }
}

/// All metrics of an operator process. Writers use the fields or the methods; names stand in [`Metrics::new`] only.
pub struct Metrics {
    registry: Registry,
    writes: IntCounterVec,
    write_seconds: HistogramVec,
    events: IntCounterVec,
    gateways: IntGaugeVec,
    engine_cost: CounterVec,
    /// 1 while this process leads.
    pub leader: IntGauge,
    /// 1 while something forbids to lead.
    pub blocked: IntGauge,
    /// Seconds from a change's arrival to the manifest that has it.
    pub publication_seconds: Histogram,
    /// Shards in the published bundle.
    pub bundle_shards: IntGauge,
    /// Bytes of the published bundle, manifest included.
    pub bundle_bytes: IntGauge,
    /// Objects left out because the bundle is full.
    pub bundle_left_out: IntGauge,
    /// Version of the published manifest.
    pub bundle_version: IntGauge,
    /// Objects that cannot be read.
    pub unreadable: IntGauge,
    /// When the database was last read, seconds since the epoch; 0 = never.
    pub spend_read: IntGauge,
    /// Readings of the database that failed.
    pub spend_read_failures: IntCounter,
    /// Requests of engines whose replicas follow demand.
    pub engine_requests: IntGauge,
    /// Replicas that these call for.
    pub engine_replicas_wanted: IntGauge,
}

impl Metrics {
    /// All metrics at zero.
    ///
    /// # Errors
    /// Two metrics of one name: a bug, found by any test.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let r = &registry;
        let metrics = Self {
            leader: gauge(r, "turnpike_operator_leader", "1 while this process leads.")?,
            blocked: gauge(
                r,
                "turnpike_operator_blocked",
                "1 while something forbids this process to lead: old CRDs, or a second instance.",
            )?,
            writes: counters(
                r,
                "turnpike_operator_writes_total",
                "Writes to the apiserver.",
                &["kind", "verb", "outcome"],
            )?,
            write_seconds: keep(
                r,
                HistogramVec::new(
                    options(
                        "turnpike_operator_write_duration_seconds",
                        "Seconds that the apiserver took for a write.",
                        &WRITE_BUCKETS,
                    ),
                    &["kind"],
                )?,
            )?,
            events: counters(
                r,
                "turnpike_operator_events_total",
                "Events for people, by what became of them.",
                &["type", "outcome"],
            )?,
            publication_seconds: keep(
                r,
                Histogram::with_opts(options(
                    "turnpike_operator_publication_duration_seconds",
                    "Seconds from a change's arrival to the manifest that has it.",
                    &PUBLICATION_BUCKETS,
                ))?,
            )?,
            gateways: keep(
                r,
                IntGaugeVec::new(
                    opts("turnpike_operator_gateways", "Gateway pods, by whether they are ready."),
                    &["ready"],
                )?,
            )?,
            engine_cost: usd(
                r,
                "turnpike_operator_engine_cost_usd_total",
                "What the GPUs that engines hold cost by gpuHour, in USD, idle ones too; counted by the leader.",
                &["model_id"],
            )?,
            bundle_shards: gauge(r, "turnpike_operator_bundle_shards", "Shards in the published bundle.")?,
            bundle_bytes: gauge(
                r,
                "turnpike_operator_bundle_bytes",
                "Bytes of the published bundle, manifest included.",
            )?,
            bundle_left_out: gauge(
                r,
                "turnpike_operator_bundle_left_out",
                "Objects left out because the bundle is full.",
            )?,
            bundle_version: gauge(r, "turnpike_operator_bundle_version", "Version of the published manifest.")?,
            unreadable: gauge(
                r,
                "turnpike_operator_unreadable_objects",
                "Objects that cannot be read; the last good state serves.",
            )?,
            spend_read: gauge(
                r,
                "turnpike_operator_spend_read_timestamp_seconds",
                "When the gateways' database was last read, in seconds since the epoch; 0 while it was not.",
            )?,
            spend_read_failures: keep(
                r,
                IntCounter::with_opts(opts(
                    "turnpike_operator_spend_read_failures_total",
                    "Readings of the gateways' database that failed.",
                ))?,
            )?,
            engine_requests: gauge(
                r,
                "turnpike_operator_engine_requests",
                "Requests that engines with autoscaling answer, or that wait for one: as gateways tell, or engines where these tell of more.",
            )?,
            engine_replicas_wanted: gauge(
                r,
                "turnpike_operator_engine_replicas_wanted",
                "Replicas that the requests for engines with autoscaling call for, whatever maxReplicas says.",
            )?,
            registry,
        };
        metrics.gateways(0, 0);
        Ok(metrics)
    }

    /// Counts a write of an object of a kind.
    pub fn write(&self, kind: &str, verb: Verb, outcome: Outcome, took: Duration) {
        self.writes.with_label_values(&[kind, verb.as_str(), outcome.as_str()]).inc();
        self.write_seconds.with_label_values(&[kind]).observe(took.as_secs_f64());
    }

    /// Counts an event. `kind` is `Normal` or `Warning`.
    pub fn event(&self, kind: &str, outcome: EventOutcome) {
        self.events.with_label_values(&[kind, outcome.as_str()]).inc();
    }

    /// Sets how many gateway pods there are.
    pub fn gateways(&self, ready: usize, not_ready: usize) {
        for (label, count) in [("true", ready), ("false", not_ready)] {
            self.gateways.with_label_values(&[label]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Adds what an engine cost, nano-USD.
    #[expect(clippy::cast_precision_loss, reason = "a counter of USD")]
    pub fn engine_cost(&self, engine: &ObjectRef, nano: i64) {
        self.engine_cost.with_label_values(&[&engine.to_string()]).inc_by(nano.max(0) as f64 / NANO_PER_USD as f64);
    }

    /// Forgets an engine.
    pub fn engine_gone(&self, engine: &ObjectRef) {
        // It fails only where nothing was counted.
        drop(self.engine_cost.remove_label_values(&[&engine.to_string()]));
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// A metric that cannot be written: a bug.
    pub fn render(&self) -> prometheus::Result<String> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        String::from_utf8(out).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

const WRITE_BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
const PUBLICATION_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help)
}

fn options(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(buckets.to_vec())
}

fn keep<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    keep(registry, IntGauge::with_opts(opts(name, help))?)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    keep(registry, IntCounterVec::new(opts(name, help), labels)?)
}

fn usd(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<CounterVec> {
    keep(registry, CounterVec::new(opts(name, help), labels)?)
}
