//! What is probed, when, and what an answer means. Decisions only: the time and the luck are the caller's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::{
    config::snapshot::{Backend, Model, Snapshot, Upstream},
    upstream::Endpoint,
};

/// What is asked of a server where the model does not say.
const HEALTH: &str = "/health";
/// What is asked of a server that has no such path.
const MODELS: &str = "/v1/models";
/// The first probes after a start or a reload are spread over this, or over a shorter interval.
const SPREAD: Duration = Duration::from_secs(5);
/// A probe that failed is repeated after this, or after a shorter interval: one lost packet is no outage.
const AGAIN: Duration = Duration::from_secs(2);
/// Probes in a row that fail before a backend counts as down.
pub const DOWN_AFTER: u32 = 2;
/// The next probe comes after no less than this share of the interval, in percent: intervals that are all the same beat.
const LEAST_PERCENT: u64 = 80;

/// One URL: however many models share it, it is asked once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Where to, and within which reach.
    origin: Box<str>,
    path: Box<str>,
    models: Box<str>,
}

/// What one probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It answers.
    Up,
    /// It answers, but has nothing at this path.
    Nothing,
    /// It does not, or says itself that it cannot work.
    Down(Fault),
}

/// Why a probe failed. The text never holds addresses or credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("{0}")]
    Connect(&'static str),
    /// The connection failed before an answer.
    #[error("it closed the connection before it answered")]
    Broken,
    /// No answer in time.
    #[error("it did not answer in time")]
    Slow,
    /// It says that it cannot work.
    #[error("it answers {0}")]
    Status(u16),
}

/// What a status says of a server. Whoever refuses a probe, or does not know its path, answers.
pub fn judge(status: StatusCode) -> Found {
    match status {
        StatusCode::NOT_FOUND => Found::Nothing,
        // Simple servers say so of methods.
        StatusCode::NOT_IMPLEMENTED => Found::Up,
        status if status.is_server_error() => Found::Down(Fault::Status(status.as_u16())),
        _ => Found::Up,
    }
}

/// What a probe means for the models behind its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: another path is asked at once.
    Elsewhere,
    /// They are there.
    Up,
    /// They may be down.
    Missed,
}

/// A URL under probes.
#[derive(Clone, Debug)]
pub struct Target {
    /// First what is asked for health, then the list of models.
    endpoints: [Endpoint; 2],
    /// Which of them it has.
    at: usize,
    /// As calls have them.
    pub headers: Arc<HeaderMap>,
    /// Longest time to connect.
    pub connect: Duration,
    interval: Duration,
    due: Instant,
    /// A probe is under way.
    asked: bool,
    misses: u32,
    fault: Option<Fault>,
    /// The models behind it.
    pub models: Vec<Arc<Model>>,
}

/// Everything that is probed.
#[derive(Debug, Default)]
pub struct Targets(BTreeMap<Key, Target>);

impl Targets {
    /// Those of another snapshot. What was seen of a URL stays; a new one is asked soon, but not all at once.
    pub fn follow(&mut self, snapshot: &Snapshot, now: Instant, mut luck: impl FnMut() -> u64) {
        let mut before = std::mem::take(&mut self.0);
        for model in &snapshot.models {
            // Of an engine each address is asked by itself.
            let Backend::Provider(upstream) = &model.backend else { continue };
            if upstream.config.engine.is_some() {
                continue;
            }
            let health = &model.entry.health;
            let Some(endpoints) = endpoints(upstream, health.path.as_deref()).filter(|_| health.active) else {
                continue;
            };
            let [asked, models] = &endpoints;
            let text = |endpoint: &Endpoint| endpoint.target.to_string().into_boxed_str();
            let key = Key { origin: asked.origin.key.clone(), path: text(asked), models: text(models) };
            let interval = Duration::from_millis(health.interval_ms.max(1));
            if let Some(target) = self.0.get_mut(&key) {
                target.interval = target.interval.min(interval);
                target.models.push(Arc::clone(model));
                continue;
            }
            let first = now + share(interval.min(SPREAD), luck(), 0);
            let kept = before.remove(&key);
            let target = Target {
                at: kept.as_ref().map_or(0, |kept| kept.at),
                // Of a shortened interval, the wait too.
                due: kept.as_ref().map_or(first, |kept| kept.due.min(now + interval)),
                asked: kept.as_ref().is_some_and(|kept| kept.asked),
                misses: kept.as_ref().map_or(0, |kept| kept.misses),
                fault: kept.and_then(|kept| kept.fault),
                headers: Arc::new(upstream.headers.clone()),
                connect: upstream.policy.connect,
                models: vec![Arc::clone(model)],
                endpoints,
                interval,
            };
            self.0.insert(key, target);
        }
    }

    /// What is to be asked now, at most so many; they count as asked.
    pub fn due(&mut self, now: Instant, most: usize) -> Vec<(Key, Target)> {
        let due = self.0.iter_mut().filter(|(_, target)| !target.asked && target.due <= now);
        due.take(most)
            .map(|(key, target)| {
                target.asked = true;
                (key.clone(), target.clone())
            })
            .collect()
    }

    /// When something is to be asked next; `None` = nothing is, or only what is being asked.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().filter(|target| !target.asked).map(|target| target.due).min()
    }

    /// Takes an answer; returns the target where it is still one, and what the answer means.
    pub fn answered(&mut self, key: &Key, found: Found, now: Instant, luck: u64) -> Option<(&Target, Verdict)> {
        let target = self.0.get_mut(key)?;
        target.asked = false;
        let verdict = target.observe(found, now, luck);
        Some((target, verdict))
    }

    /// Why the last probes of a model failed; `None` = they did not, or it is not probed.
    pub fn faults(&self) -> BTreeMap<&str, Fault> {
        let down = self.0.values().filter_map(|target| Some((target, target.down()?)));
        down.flat_map(|(target, fault)| target.models.iter().map(move |model| (&*model.id, fault))).collect()
    }
}

impl Target {
    /// What is to be asked.
    pub fn endpoint(&self) -> &Endpoint {
        let [health, models] = &self.endpoints;
        if self.at == 0 { health } else { models }
    }

    /// Why it counts as down.
    fn down(&self) -> Option<Fault> {
        self.fault.filter(|_| self.misses >= DOWN_AFTER)
    }

    fn observe(&mut self, found: Found, now: Instant, luck: u64) -> Verdict {
        let verdict = match found {
            Found::Nothing if self.at == 0 => {
                self.at = 1;
                self.due = now;
                return Verdict::Elsewhere;
            }
            Found::Up | Found::Nothing => {
                // A server that has neither may get one; whoever has the second is asked for it from now on.
                self.at = if found == Found::Nothing { 0 } else { self.at };
                (self.misses, self.fault) = (0, None);
                Verdict::Up
            }
            Found::Down(fault) => {
                self.misses = self.misses.saturating_add(1);
                self.fault = Some(fault);
                Verdict::Missed
            }
        };
        let pause = if (1..DOWN_AFTER).contains(&self.misses) { self.interval.min(AGAIN) } else { self.interval };
        self.due = now + share(pause, luck, LEAST_PERCENT);
        verdict
    }
}

/// Between `least` percent of a time and all of it.
fn share(time: Duration, luck: u64, least: u64) -> Duration {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let least = micros / 100 * least;
    Duration::from_micros(least + luck % (micros - least).max(1))
}

/// Where the health of an upstream is asked for; `None` = its URL cannot be dialled, which compiling has said.
fn endpoints(upstream: &Upstream, path: Option<&str>) -> Option<[Endpoint; 2]> {
    let base = upstream.config.base_url.as_str();
    let scheme = base.find("://")? + 3;
    let end = base.get(scheme..)?.find('/').map_or(base.len(), |at| scheme + at);
    let root = base.get(..end)?;
    let parse = |url: &str| Endpoint::parse(url, upstream.config.egress).ok();
    // Behind a prefix, the list of models is where its other routes are.
    let models = if base.ends_with("/v1") { format!("{base}/models") } else { format!("{root}{MODELS}") };
    Some([parse(&format!("{root}{}", path.unwrap_or(HEALTH)))?, parse(&models)?])
}
