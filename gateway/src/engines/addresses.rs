//! Which addresses an engine has, and which of them may be sent its requests. Decisions only: the time, the luck, names'
//! addresses and answers are the caller's.
//!
//! ```text
//!  follow(snapshot) ─▶ engine ─ every second ─▶ its name is resolved ─▶ known addresses
//!  hint(endpoints) ─────────────────────────────── for 30 s ─────────────▶ known addresses
//!                                               each is asked for its models: at once, then every 10 s
//!                                                 lists the engine's model ─▶ verified
//!                                                 does not, or none is there ─▶ out, asked again in a second
//!                                                 says nothing in time ─▶ as it was
//!  suspect(address) ─▶ out until it verifies again
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use http::HeaderMap;
use tokio::time::Instant;
use turnpike_bundle::entry::{Egress, ObjectRef};

use super::hints::Hints;
use crate::config::snapshot::{Backend, Engine, Snapshot};

/// Between two looks at a name's addresses.
const RESOLVE: Duration = Duration::from_secs(1);
/// How long what was known of a name lasts while it cannot be looked up.
const KEEP: Duration = Duration::from_secs(30);
/// How long an address that left its name still gets requests while none of those that came is verified: DNS tells of both at
/// once, and an engine that ends goes on answering for longer than this.
const HANDOVER: Duration = Duration::from_secs(10);
/// Between two questions to an address that is verified: another server may have got it, and adapters come and go.
const VERIFY: Duration = Duration::from_secs(10);
/// Between two questions to one that is not.
const AGAIN: Duration = Duration::from_secs(1);
/// The next time comes after no less than this share of the interval, in percent: intervals that are all the same beat.
const LEAST_PERCENT: u64 = 80;

/// The verified addresses of each engine: what a snapshot is compiled with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(BTreeMap<ObjectRef, Verified>);

/// Those of one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verified {
    /// What they were verified for.
    base_url: Box<str>,
    model: Box<str>,
    /// Names that each of them lists beside that.
    replicas: BTreeMap<SocketAddr, Arc<[Box<str>]>>,
}

impl Addresses {
    /// Those of an engine that serves this model at this URL, lowest first, with the names of the adapters that each of them has.
    pub fn of<'a>(
        &'a self,
        object: &ObjectRef,
        base_url: &str,
        model: &str,
    ) -> impl Iterator<Item = (SocketAddr, &'a [Box<str>])> + use<'a> {
        let verified = self.0.get(object).filter(|known| *known.base_url == *base_url && *known.model == *model);
        verified.into_iter().flat_map(|known| known.replicas.iter().map(|(address, names)| (*address, &**names)))
    }

    /// Puts an engine's addresses in the place of those that were known, each with the names that it lists.
    pub fn insert(
        &mut self,
        (object, base_url, model): (ObjectRef, &str, &str),
        replicas: impl IntoIterator<Item = (SocketAddr, Vec<Box<str>>)>,
    ) {
        let replicas = replicas.into_iter().map(|(address, names)| (address, names.into())).collect();
        self.0.insert(object, Verified { base_url: base_url.into(), model: model.into(), replicas });
    }
}

/// What is asked of an address, and how.
#[derive(Clone, Debug)]
pub struct Question {
    /// Which engine's it should be.
    pub object: ObjectRef,
    /// Whom to ask.
    pub address: SocketAddr,
    /// Of several questions to one address only the last counts.
    turn: u64,
    /// The engine's base URL.
    pub base_url: Box<str>,
    /// Where it may lie.
    pub reach: Egress,
    /// As calls have them: with the engine's key.
    pub headers: Arc<HeaderMap>,
}

/// What an address said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The models that it serves.
    Lists(Vec<Box<str>>),
    /// It refuses the engine's key, or knows no list of models: it is something else.
    Foreign,
    /// Nobody is there.
    Gone,
    /// Not now: no answer in time, or one that says that it cannot.
    Silent,
}

/// What became of an address by its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is verified.
    Verified,
    /// It was verified before this, and is no more.
    Lost,
    /// It did not answer; what it was, it still is.
    Silent,
    /// None.
    None,
}

/// Why a name has no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// There are none.
    Empty,
    /// That is not known now.
    Failed,
}

/// All engines.
#[derive(Debug, Default)]
pub struct Engines {
    watched: BTreeMap<ObjectRef, Watched>,
    hints: Hints,
}

#[derive(Debug)]
struct Watched {
    base_url: Box<str>,
    host: Box<str>,
    port: u16,
    model: Box<str>,
    reach: Egress,
    headers: Arc<HeaderMap>,
    resolve: Instant,
    is_resolving: bool,
    resolved: Option<Instant>,
    known: BTreeMap<SocketAddr, Seen>,
}

#[derive(Debug)]
struct Seen {
    /// The names that it listed; `None` = it is not verified.
    names: Option<Arc<[Box<str>]>>,
    verify: Instant,
    is_asked: bool,
    turn: u64,
    /// Since when its name has not had it, or has had others in its place.
    left: Option<Instant>,
    /// It is known by its name, if only because those in its place cannot take requests yet.
    is_named: bool,
    /// Until when it is known by a hint.
    hinted: Option<Instant>,
}

impl Seen {
    /// To be asked at once.
    fn new(now: Instant) -> Self {
        Self { names: None, verify: now, is_asked: false, turn: 0, left: None, is_named: false, hinted: None }
    }

    fn is_hinted(&self, now: Instant) -> bool {
        self.hinted.is_some_and(|until| now < until)
    }
}

impl Engines {
    /// Those of another snapshot. What is known of an engine stays while it serves the same model at the same URL; where its key
    /// changed, all are asked anew.
    pub fn follow(&mut self, snapshot: &Snapshot, now: Instant) {
        let mut before = std::mem::take(&mut self.watched);
        for engine in &snapshot.engines {
            let object = &engine.model.entry.object;
            if let Some(mut watched) = watched(engine, before.remove(object), now) {
                watched.hint(self.hints.of(object), self.hints.until(now), now);
                self.watched.insert(object.clone(), watched);
            }
        }
    }

    /// Takes hints in the place of those before. An address that is not verified is asked at once; one that is named no more
    /// stays only if its name has it.
    pub fn hint(&mut self, hints: Hints, now: Instant) {
        let until = hints.until(now);
        for (object, engine) in &mut self.watched {
            engine.hint(hints.of(object), until, now);
        }
        self.hints = hints;
    }

    /// The names to look up now, at most so many; they count as being looked up.
    pub fn to_resolve(&mut self, now: Instant, most: usize) -> Vec<(ObjectRef, Box<str>, u16)> {
        let due = self.watched.iter_mut().filter(|(_, engine)| !engine.is_resolving && engine.resolve <= now);
        due.take(most)
            .map(|(object, engine)| {
                engine.is_resolving = true;
                (object.clone(), engine.host.clone(), engine.port)
            })
            .collect()
    }

    /// Takes the addresses of a name. A new one is asked at once; one that is no more there gets no further requests, unless
    /// nobody could take them yet.
    pub fn resolved(
        &mut self,
        (object, host): (&ObjectRef, &str),
        found: Result<Vec<SocketAddr>, Unresolved>,
        now: Instant,
        luck: u64,
    ) {
        let Some(engine) = self.watched.get_mut(object).filter(|engine| *engine.host == *host) else { return };
        engine.is_resolving = false;
        engine.resolve = now + share(RESOLVE, luck);
        let found: BTreeSet<SocketAddr> = match found {
            Ok(found) => found.into_iter().collect(),
            Err(Unresolved::Empty) => BTreeSet::new(),
            Err(Unresolved::Failed) => return,
        };
        engine.resolved = Some(now);
        let is_verified = |address| engine.known.get(address).is_some_and(|seen| seen.names.is_some());
        let nobody_yet = !found.is_empty() && !found.iter().any(is_verified);
        engine.known.retain(|address, seen| {
            seen.left = (!found.contains(address)).then(|| seen.left.unwrap_or(now));
            let serves_on = |left| nobody_yet && seen.names.is_some() && now.saturating_duration_since(left) < HANDOVER;
            seen.is_named = seen.left.is_none_or(serves_on);
            seen.is_named || seen.is_hinted(now)
        });
        for address in found {
            engine.known.entry(address).or_insert_with(|| Seen::new(now)).is_named = true;
        }
    }

    /// The addresses to ask now, at most so many; they count as asked.
    pub fn to_ask(&mut self, now: Instant, most: usize) -> Vec<Question> {
        let mut due = Vec::new();
        for (object, engine) in &mut self.watched {
            let Watched { base_url, reach, headers, known, .. } = engine;
            let asked = known.iter_mut().filter(|(_, seen)| !seen.is_asked && seen.verify <= now);
            for (address, seen) in asked.take(most.saturating_sub(due.len())) {
                seen.is_asked = true;
                seen.turn += 1;
                due.push(Question {
                    object: object.clone(),
                    address: *address,
                    turn: seen.turn,
                    base_url: base_url.clone(),
                    reach: *reach,
                    headers: Arc::clone(headers),
                });
            }
        }
        due
    }

    /// Takes an answer.
    pub fn answered(&mut self, question: &Question, answer: Answer, now: Instant, luck: u64) -> Change {
        let Some(engine) = self.watched.get_mut(&question.object).filter(|engine| engine.base_url == question.base_url)
        else {
            return Change::None;
        };
        let Some(seen) = engine.known.get_mut(&question.address).filter(|seen| seen.turn == question.turn) else {
            return Change::None;
        };
        seen.is_asked = false;
        let was_verified = seen.names.is_some();
        let change = match answer {
            Answer::Lists(mut names) if names.contains(&engine.model) => {
                // Compared with what was known, whatever their order.
                names.sort_unstable();
                seen.names = Some(names.into());
                Change::Verified
            }
            Answer::Silent => Change::Silent,
            Answer::Lists(_) | Answer::Foreign | Answer::Gone => {
                seen.names = None;
                if was_verified { Change::Lost } else { Change::None }
            }
        };
        let pause = if seen.names.is_some() && change != Change::Silent { VERIFY } else { AGAIN };
        seen.verify = now + share(pause, luck);
        change
    }

    /// A request found nobody there, or somebody else: it takes no more of them until it verifies again. Whether it did until now.
    pub fn suspect(&mut self, object: &ObjectRef, address: SocketAddr, now: Instant) -> bool {
        let seen = self.watched.get_mut(object).and_then(|engine| engine.known.get_mut(&address));
        let Some(seen) = seen.filter(|seen| seen.names.is_some()) else { return false };
        // What is being asked may have been answered before that.
        (seen.names, seen.verify, seen.is_asked) = (None, now, false);
        seen.turn += 1;
        true
    }

    /// When there is something to do next; `None` = nothing, or only what is under way.
    pub fn next(&self) -> Option<Instant> {
        let names = self.watched.values().filter(|engine| !engine.is_resolving).map(|engine| engine.resolve);
        let addresses = self.watched.values().flat_map(|engine| engine.known.values());
        names.chain(addresses.filter(|seen| !seen.is_asked).map(|seen| seen.verify)).min()
    }

    /// Those that may be sent requests. What was known of a name that cannot be looked up any more is forgotten after a while, and
    /// so is what only a hint told of.
    pub fn verified(&mut self, now: Instant) -> Addresses {
        let each = self.watched.iter_mut().map(|(object, engine)| {
            let is_late = engine.resolved.is_some_and(|resolved| now.saturating_duration_since(resolved) > KEEP);
            engine.known.retain(|_, seen| (seen.is_named && !is_late) || seen.is_hinted(now));
            let replicas = engine.known.iter();
            let replicas = replicas.filter_map(|(address, seen)| Some((*address, seen.names.clone()?))).collect();
            let verified = Verified { base_url: engine.base_url.clone(), model: engine.model.clone(), replicas };
            (object.clone(), verified)
        });
        Addresses(each.collect())
    }

    /// Whether each engine's name was looked up, and each of its addresses has answered or failed to.
    pub fn is_settled(&self) -> bool {
        let has_said = |seen: &Seen| seen.names.is_some() || (seen.turn > 0 && !seen.is_asked);
        self.watched.values().all(|engine| engine.resolved.is_some() && engine.known.values().all(has_said))
    }

    /// How many addresses each engine has, and how many of them are verified.
    pub fn counts(&self) -> Vec<(ObjectRef, [usize; 2])> {
        let each = self.watched.iter().map(|(object, engine)| {
            let verified = engine.known.values().filter(|seen| seen.names.is_some()).count();
            (object.clone(), [engine.known.len(), verified])
        });
        each.collect()
    }
}

impl Watched {
    /// These are the addresses of which it is said that pods are ready there, until then.
    fn hint(&mut self, hinted: BTreeSet<SocketAddr>, until: Option<Instant>, now: Instant) {
        for seen in self.known.values_mut() {
            seen.hinted = None;
        }
        for address in hinted.into_iter().filter(|_| until.is_some()) {
            let seen = self.known.entry(address).or_insert_with(|| Seen::new(now));
            seen.hinted = until;
            if seen.names.is_none() {
                seen.verify = seen.verify.min(now);
            }
        }
        self.known.retain(|_, seen| seen.is_named || seen.hinted.is_some());
    }
}

/// `None` = its URL has no host, which compiling has said.
fn watched(engine: &Engine, before: Option<Watched>, now: Instant) -> Option<Watched> {
    let Backend::Provider(upstream) = &engine.model.backend else { return None };
    let origin = &upstream.endpoints.as_ref()?.first()?.first()?.origin;
    let config = &upstream.config;
    let same = |watched: &Watched| *watched.base_url == *config.base_url && *watched.model == *config.model;
    let mut watched = before.filter(same).unwrap_or_else(|| Watched {
        base_url: config.base_url.as_str().into(),
        host: origin.host.clone(),
        port: origin.port,
        model: config.model.as_str().into(),
        reach: config.egress,
        headers: Arc::default(),
        resolve: now,
        is_resolving: false,
        resolved: None,
        known: BTreeMap::new(),
    });
    if *watched.headers != upstream.headers {
        watched.headers = Arc::new(upstream.headers.clone());
        for seen in watched.known.values_mut() {
            (seen.verify, seen.is_asked) = (now, false);
            seen.turn += 1;
        }
    }
    watched.reach = config.egress;
    Some(watched)
}

/// Between most of a time and all of it.
fn share(time: Duration, luck: u64) -> Duration {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let least = micros / 100 * LEAST_PERCENT;
    Duration::from_micros(least + luck % (micros - least).max(1))
}
