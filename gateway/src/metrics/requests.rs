//! The series of request metrics: found by one lookup per request, gathered into metric families on demand.

use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use http::StatusCode;
use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use turnpike_ledger::spend_log::Role;
use turnpike_llm::provider::Operation;

use super::{
    families::{Counted, FAMILIES, Family, Measured, Values},
    labels::{CallLabels, KeyLabels, Label, ModelLabels, Series},
    tally::{Reading, Tally, Timings},
};
use crate::{
    config::snapshot::{Caller, Model, Pool, Snapshot},
    record::{CacheUse, End, Record},
};

/// What a request is found by: addresses instead of names, so that nothing is hashed but a few words.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Address {
    caller: usize,
    pool: usize,
    model: usize,
    call: CallLabels,
}

/// The numbers that a request adds to, and what keeps its [`Address`] from being used again for something else.
struct Handles {
    by_key: Arc<Tally>,
    by_model: Arc<ModelCell>,
    _caller: Option<Arc<Caller>>,
    _pool: Option<Arc<Pool>>,
    _model: Option<Arc<Model>>,
}

#[derive(Default)]
struct ModelCell {
    tally: Tally,
    timings: Timings,
}

type KeySeries = HashMap<(KeyLabels, ModelLabels, CallLabels), Arc<Tally>>;
type ModelSeries = HashMap<(ModelLabels, CallLabels), Arc<ModelCell>>;

#[derive(Default)]
struct All {
    by_key: KeySeries,
    by_model: ModelSeries,
    live: Option<Live>,
}

/// Every series of every request metric.
#[derive(Default)]
pub(super) struct Requests {
    handles: papaya::HashMap<Address, Handles>,
    all: Mutex<All>,
}

impl Requests {
    pub(super) fn observe(&self, record: &Record) {
        let address = Address {
            caller: Arc::as_ptr(&record.caller).addr(),
            pool: record.pool.as_ref().map_or(0, |pool| Arc::as_ptr(pool).addr()),
            model: record.model.as_ref().map_or(0, |model| Arc::as_ptr(model).addr()),
            call: CallLabels {
                operation: record.operation,
                status: record.status.as_u16(),
                end: record.end,
                cache: record.cache,
            },
        };
        let handles = self.handles.pin();
        let found = handles.get(&address).unwrap_or_else(|| {
            handles.get_or_insert_with(address, || {
                let model = ModelLabels::new(record.pool.as_deref(), record.model.as_deref());
                let (by_key, by_model) = self.cells(KeyLabels::new(&record.caller), model, address.call);
                let (caller, pool, model) = (Arc::clone(&record.caller), record.pool.clone(), record.model.clone());
                Handles { by_key, by_model, _caller: Some(caller), _pool: pool, _model: model }
            })
        });
        found.by_key.add(record);
        found.by_model.tally.add(record);
        if record.attempt.role == Role::Answer {
            found.by_model.timings.add(record);
        }
    }

    /// Counts a request that had no valid key, so that there is no record of it.
    pub(super) fn refused(&self, operation: Operation, status: StatusCode, code: &'static str) {
        let call = CallLabels { operation, status: status.as_u16(), end: End::Refused(code), cache: CacheUse::None };
        let address = Address { caller: 0, pool: 0, model: 0, call };
        let handles = self.handles.pin();
        let found = handles.get_or_insert_with(address, || {
            let (by_key, by_model) = self.cells(KeyLabels::nobody(), ModelLabels::new(None, None), call);
            Handles { by_key, by_model, _caller: None, _pool: None, _model: None }
        });
        found.by_key.requests.fetch_add(1, Ordering::Relaxed);
        found.by_model.tally.requests.fetch_add(1, Ordering::Relaxed);
        found.by_model.tally.attempts.fetch_add(1, Ordering::Relaxed);
    }

    fn cells(&self, key: KeyLabels, model: ModelLabels, call: CallLabels) -> (Arc<Tally>, Arc<ModelCell>) {
        let mut all = self.lock();
        let by_model = Arc::clone(all.by_model.entry((model.clone(), call)).or_default());
        let by_key = Arc::clone(all.by_key.entry((key, model, call)).or_default());
        (by_key, by_model)
    }

    /// Drops the series of keys and models that `snapshot` no longer has.
    pub(super) fn retain(&self, snapshot: &Snapshot) {
        let mut all = self.lock();
        all.live = Some(Live::of(snapshot));
        all.prune();
        // Addresses of the old snapshot; those of the new one find their series again by name.
        self.handles.pin().clear();
    }

    /// Again, for requests that were running when their key or model went.
    pub(super) fn prune(&self) {
        self.lock().prune();
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        // Maps of counters have no state that a panic could leave half done.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn prune(&mut self) {
        if let Some(live) = &self.live {
            self.by_key.retain(|(key, model, _), _| live.key(key) && live.model(model));
            self.by_model.retain(|(model, _), _| live.kind(model));
        }
    }
}

/// The labels that a snapshot can produce: whatever is asked for may fall to any model.
struct Live {
    keys: HashSet<KeyLabels>,
    requested: HashSet<Arc<str>>,
    models: HashSet<(Arc<str>, &'static str, Arc<str>)>,
    kinds: HashSet<(&'static str, Arc<str>)>,
}

impl Live {
    fn of(snapshot: &Snapshot) -> Self {
        let all = snapshot.namespaces.values().chain([&snapshot.cluster, &snapshot.admin]);
        let pools = all.flat_map(|names| names.exact.values().chain(names.wildcards.iter().map(|card| &card.pool)));
        let unknown = ModelLabels::new(None, None);
        let served = snapshot.models.iter().map(|model| ModelLabels::new(None, Some(model)));
        let served: Vec<ModelLabels> = served.chain([unknown.clone()]).collect();
        Self {
            keys: snapshot.keys.values().map(|key| KeyLabels::new(&key.caller)).collect(),
            requested: pools.map(|pool| Arc::clone(&pool.name)).chain([unknown.requested()]).collect(),
            kinds: served.iter().map(ModelLabels::kind).collect(),
            models: served.iter().map(ModelLabels::served).collect(),
        }
    }

    fn key(&self, key: &KeyLabels) -> bool {
        key.permanent() || self.keys.contains(key)
    }

    fn model(&self, model: &ModelLabels) -> bool {
        self.requested.contains(&model.requested()) && self.models.contains(&model.served())
    }

    /// Series that several models may share go with the last of them: a counter that shrinks would look like a restart.
    fn kind(&self, model: &ModelLabels) -> bool {
        self.requested.contains(&model.requested()) && self.kinds.contains(&model.kind())
    }
}

/// [`Requests`] as the registry sees it.
pub(super) struct RequestsCollector {
    requests: Arc<Requests>,
    descriptions: Vec<Desc>,
}

impl RequestsCollector {
    pub(super) fn new(requests: Arc<Requests>) -> prometheus::Result<Self> {
        let describe = |family: &Family| {
            let labels = family.labels.iter().map(|label| label.name().to_owned()).collect();
            Desc::new(family.name.to_owned(), family.help.to_owned(), labels, HashMap::new())
        };
        Ok(Self { requests, descriptions: FAMILIES.iter().map(describe).collect::<Result<_, _>>()? })
    }
}

impl Collector for RequestsCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Requests must not wait for a scrape: copy the handles, then read them without the lock.
        let (by_key, by_model) = {
            let all = self.requests.lock();
            (all.by_key.clone(), all.by_model.clone())
        };
        FAMILIES.iter().map(|family| gather(family, &by_key, &by_model)).collect()
    }
}

type Sums<T> = BTreeMap<Vec<String>, T>;

fn gather(family: &Family, by_key: &KeySeries, by_model: &ModelSeries) -> MetricFamily {
    let keyed = || by_key.iter().map(|((key, model, call), tally)| (Some(key), model, *call, &**tally));
    let modelled = || by_model.iter().map(|((model, call), cell)| (None, model, *call, &cell.tally));
    let (metrics, kind) = match family.values {
        Values::ByKey(which, parts) => {
            let included = keyed().filter(|(_, model, call, _)| which.includes(*call, model.chosen()));
            (counters(family, included, parts), MetricType::COUNTER)
        }
        Values::ByModel(which, parts) => {
            let included = modelled().filter(|(_, model, call, _)| which.includes(*call, model.chosen()));
            (counters(family, included, parts), MetricType::COUNTER)
        }
        Values::Histogram(parts) => (histograms(family, by_model, parts), MetricType::HISTOGRAM),
    };
    let mut gathered = MetricFamily::default();
    gathered.set_name(family.name.to_owned());
    gathered.set_help(family.help.to_owned());
    gathered.set_field_type(kind);
    gathered.set_metric(metrics);
    gathered
}

fn counters<'a>(
    family: &Family,
    series: impl Iterator<Item = (Option<&'a KeyLabels>, &'a ModelLabels, CallLabels, &'a Tally)>,
    parts: &[Counted],
) -> Vec<Metric> {
    let mut sums: Sums<f64> = BTreeMap::new();
    for (key, model, call, tally) in series {
        for (token_type, read) in parts {
            let value = read(tally);
            // Attempts that were no answers leave no request behind.
            if value == 0.0 && tally.requests.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let series = Series { key, model, call, token_type };
            *sums.entry(values(family, series)).or_default() += value;
        }
    }
    let metric = |(values, sum)| {
        let mut counter = Counter::default();
        counter.set_value(sum);
        let mut metric = Metric::from_label(pairs(family, values));
        metric.set_counter(counter);
        metric
    };
    sums.into_iter().map(metric).collect()
}

fn histograms(family: &Family, series: &ModelSeries, parts: &[Measured]) -> Vec<Metric> {
    let mut sums: Sums<Reading> = BTreeMap::new();
    for ((model, call), cell) in series {
        for (token_type, histogram) in parts {
            let reading = histogram(&cell.timings).read();
            if reading.total() == 0 {
                continue;
            }
            let series = Series { key: None, model, call: *call, token_type };
            match sums.entry(values(family, series)) {
                Entry::Occupied(mut sum) => sum.get_mut().merge(&reading),
                Entry::Vacant(place) => {
                    place.insert(reading);
                }
            }
        }
    }
    sums.into_iter().map(|(values, sum)| histogram(family, values, &sum)).collect()
}

fn histogram(family: &Family, values: Vec<String>, sum: &Reading) -> Metric {
    let bucket = |(bound, count): (f64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(sum.buckets().map(bucket).collect());
    histogram.set_sample_count(sum.total());
    histogram.set_sample_sum(sum.sum());
    let mut metric = Metric::from_label(pairs(family, values));
    metric.set_histogram(histogram);
    metric
}

fn values(family: &Family, series: Series<'_>) -> Vec<String> {
    family.labels.iter().map(|label| label.value(series).into_owned()).collect()
}

fn pairs(family: &Family, values: Vec<String>) -> Vec<LabelPair> {
    let pair = |(label, value): (&Label, String)| {
        let mut pair = LabelPair::default();
        pair.set_name(label.name().to_owned());
        pair.set_value(value);
        pair
    };
    family.labels.iter().zip(values).map(pair).collect()
}
