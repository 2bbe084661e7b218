//! What lies there of one engine: as the watches tell, or newer, as the apiserver answered to a write.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::{ResourceExt, core::DynamicObject};
use tokio::time::Instant;
use turnpike_bundle::entry::ObjectRef;
use turnpike_engine::observed::Claims;

use crate::engine::{Engines, kind::Kind, plan::Applied};

/// How long the watch may take to tell of what was written.
const SEEN_SOON: Duration = Duration::from_secs(10);
/// So many times in a row the same is written again at once; then somebody else insists on something else.
const REPAIRS: u32 = 5;
/// From then on, how long the same is left alone.
const TRUCE: Duration = Duration::from_secs(30);

/// What lies there, and what this process has made of it.
#[derive(Debug, Default)]
pub struct Known {
    watched: BTreeMap<Kind, Arc<DynamicObject>>,
    claims: Claims,
    written: BTreeMap<Kind, Written>,
    seen: BTreeMap<Kind, Arc<DynamicObject>>,
    applied: BTreeMap<Kind, Applied>,
    /// How often in a row the same was written, and when last.
    repairs: BTreeMap<Kind, (u32, Instant)>,
}

/// An answer that the watch has not told of yet.
#[derive(Debug)]
struct Written {
    answer: Arc<DynamicObject>,
    until: Instant,
}

impl Known {
    /// What lies there.
    pub fn seen(&self) -> &BTreeMap<Kind, Arc<DynamicObject>> {
        &self.seen
    }

    /// What was applied.
    pub fn applied(&self) -> &BTreeMap<Kind, Applied> {
        &self.applied
    }

    /// Takes in what the watches tell; returns whether it is news.
    pub fn observe(&mut self, engines: &Engines, at: &ObjectRef, now: Instant) -> bool {
        let told = || engines.children(at);
        let is_known = |(kind, child): (Kind, &Arc<DynamicObject>)| {
            self.watched.get(&kind).is_some_and(|known| Arc::ptr_eq(known, child))
        };
        let claims = engines.get(at).map(|observed| observed.claims.clone()).unwrap_or_default();
        let is_news = claims != self.claims;
        self.claims = claims;
        if told().count() == self.watched.len() && told().all(is_known) {
            return is_news;
        }
        self.watched = told().map(|(kind, child)| (kind, Arc::clone(child))).collect();
        self.settle(now);
        true
    }

    /// Whether a child is left alone for a while: what was applied to it has been changed again and again.
    pub fn is_left_alone(&self, kind: Kind, desired: &DynamicObject, now: Instant) -> bool {
        let is_same = self.applied.get(&kind).is_some_and(|applied| applied.sent == *desired);
        is_same && self.repairs.get(&kind).is_some_and(|(times, last)| *times >= REPAIRS && now < *last + TRUCE)
    }

    /// Takes in a write.
    pub fn wrote(&mut self, kind: Kind, sent: DynamicObject, answer: DynamicObject, now: Instant) {
        let is_same = self.applied.get(&kind).is_some_and(|applied| applied.sent == sent);
        let (times, last) = self.repairs.entry(kind).or_insert((0, now));
        *times = if is_same && now < *last + TRUCE { times.saturating_add(1) } else { 0 };
        *last = now;
        self.applied.insert(kind, Applied::new(sent, &answer));
        self.written.insert(kind, Written { answer: Arc::new(answer), until: now + SEEN_SOON });
        self.settle(now);
    }

    /// It was deleted, or begins to go: the next news of it is what counts.
    pub fn deleted(&mut self, kind: Kind) {
        self.watched.remove(&kind);
        self.applied.remove(&kind);
        self.written.remove(&kind);
        self.seen.remove(&kind);
    }

    /// When something is looked at again even if nothing changes until then: the watch is late, or a truce ends.
    pub fn awaits(&self, now: Instant) -> Option<Instant> {
        let late = self.written.values().map(|written| written.until);
        let truces = self.repairs.values().filter(|(times, _)| *times >= REPAIRS).map(|(_, last)| *last + TRUCE);
        late.chain(truces).filter(|time| *time > now).min()
    }

    /// Puts both together; what the watch does not tell of in time is not there.
    pub fn settle(&mut self, now: Instant) {
        let watched = &self.watched;
        self.written.retain(|kind, written| {
            let is_told = watched.get(kind).is_some_and(|watched| version(watched) >= version(&written.answer));
            !is_told && now < written.until
        });
        self.seen.clone_from(&self.watched);
        self.seen.extend(self.written.iter().map(|(kind, written)| (*kind, Arc::clone(&written.answer))));
    }
}

/// Versions of one kind grow; one that is no number counts as the newest, so that the watch is believed.
fn version(object: &DynamicObject) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(u64::MAX)
}
