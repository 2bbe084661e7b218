//! What a `ModelDeployment` puts into a pool: itself, or what a route leads to, through routes too.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use turnpike_bundle::entry::{Backend, ModelEntry, ObjectRef, RouteBackend};
use turnpike_routing::{
    group::{self, Deployment, Tier},
    hash,
};

use super::{engines::Engines, groups};

use crate::config::{
    backends::Backends,
    snapshot::{Engine, Member, Model},
};

/// A route through routes is followed this far.
const MAX_ROUTE_DEPTH: u32 = 4;

/// Beside a route among the targets, weights are this much finer, so that its own targets can share its weight.
const FINER: u64 = 1 << 16;

/// All models, by object.
pub(super) struct Models<'a> {
    pub(super) entries: HashMap<&'a ObjectRef, &'a ModelEntry>,
    pub(super) compiled: &'a BTreeMap<&'a ObjectRef, Arc<Model>>,
    pub(super) engines: &'a Engines<'a>,
    pub(super) backends: &'a Backends,
}

/// A member on its way into a pool.
pub(super) struct Joining {
    model: Arc<Model>,
    engine: Option<Arc<Engine>>,
    weight: u64,
    pub(super) priority: i32,
    tags: Vec<Box<str>>,
    tier: Option<Tier>,
}

impl Models<'_> {
    /// What an entry brings into the pool of its own name, or where it is named as a whole.
    pub(super) fn of(&self, entry: &ModelEntry) -> Vec<Joining> {
        match self.alone(entry) {
            Some(joining) => {
                vec![Joining { weight: entry.weight.into(), priority: entry.priority, ..joining }]
            }
            None => self.of_route(entry, MAX_ROUTE_DEPTH),
        }
    }

    /// Whether anything answers for an object.
    pub(super) fn serves(&self, object: &ObjectRef) -> bool {
        self.entries.get(object).is_some_and(|entry| !self.of(entry).is_empty())
    }

    /// A route's targets; one that is a route itself brings its own.
    fn of_route(&self, entry: &ModelEntry, depth: u32) -> Vec<Joining> {
        let Backend::Route(route) = &entry.backend else {
            return Vec::new();
        };
        let reached = ways(route).into_iter().map(|way| {
            let inner = self.behind(way.object, depth);
            (way, inner)
        });
        let reached: Vec<(Way<'_>, Vec<Joining>)> = reached.collect();
        let finer = if reached.iter().any(|(_, inner)| inner.len() > 1) { FINER } else { 1 };
        reached.into_iter().flat_map(|(way, inner)| way.share(inner, finer)).collect()
    }

    /// What is no route; `None` = it is one.
    fn alone(&self, entry: &ModelEntry) -> Option<Joining> {
        let engine = self.engines.get(&(&entry.object, &*entry.model_name)).cloned();
        let model = match &engine {
            Some(engine) => Arc::clone(&engine.model),
            None => Arc::clone(self.compiled.get(&entry.object)?),
        };
        Some(Joining { model, engine, weight: 1, priority: 0, tags: Vec::new(), tier: None })
    }

    fn behind(&self, object: &ObjectRef, depth: u32) -> Vec<Joining> {
        if let Some(joining) = self.entries.get(object).and_then(|entry| self.alone(entry)) {
            return vec![joining];
        }
        match (self.entries.get(object), depth.checked_sub(1)) {
            (Some(inner), Some(depth)) => self.of_route(inner, depth),
            _ => Vec::new(),
        }
    }
}

/// One way on from a route.
struct Way<'a> {
    object: &'a ObjectRef,
    weight: u64,
    priority: i32,
    tags: &'a [String],
    tier: Option<Tier>,
}

/// All ways on from a route. With complexity, the targets that no prompt is meant for serve while no other one can.
fn ways(route: &RouteBackend) -> Vec<Way<'_>> {
    let tiers = route.complexity.iter().flat_map(|complexity| {
        [(&complexity.simple, Tier::Simple), (&complexity.medium, Tier::Medium), (&complexity.complex, Tier::Complex)]
    });
    let mut ways: Vec<Way<'_>> =
        tiers.map(|(object, tier)| Way { object, weight: 1, priority: 0, tags: &[], tier: Some(tier) }).collect();
    for target in &route.targets {
        if !ways.iter().any(|way| way.tier.is_some() && *way.object == target.model) {
            let weight = target.weight.into();
            let priority = target.priority.saturating_add(i32::from(route.complexity.is_some()));
            ways.push(Way { object: &target.model, weight, priority, tags: &target.tags, tier: None });
        }
    }
    ways
}

impl Way<'_> {
    /// Gives the best of what is reached this way the weight and priority that the way itself has.
    fn share(&self, mut inner: Vec<Joining>, finer: u64) -> Vec<Joining> {
        let best = inner.iter().map(|member| member.priority).min().unwrap_or_default();
        let weights = inner.iter().filter(|member| member.priority == best).map(|member| member.weight);
        let total = weights.sum::<u64>().max(1);
        let weight = self.weight.saturating_mul(finer);
        for member in &mut inner {
            let part = member.weight.saturating_mul(weight) / total;
            member.weight = part.max(u64::from(weight > 0 && member.weight > 0));
            member.priority = self.priority.saturating_add(member.priority.saturating_sub(best));
            member.tier = self.tier;
        }
        inner.retain_mut(|member| narrow(&mut member.tags, self.tags));
        inner
    }
}

/// Narrows the tags that a member serves to those that the way to it is open for; whether any are left.
fn narrow(tags: &mut Vec<Box<str>>, way: &[String]) -> bool {
    if way.is_empty() {
        return true;
    }
    if tags.is_empty() {
        *tags = way.iter().map(|tag| tag.as_str().into()).collect();
    } else {
        tags.retain(|tag| way.iter().any(|open| **open == **tag));
    }
    !tags.is_empty()
}

impl Joining {
    /// The engine that may serve requests for it.
    pub(super) fn engine(&self) -> Option<&Arc<Engine>> {
        self.engine.as_ref().filter(|_| self.weight > 0)
    }

    /// The model as a whole.
    pub(super) fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The members that it becomes: one, or of an engine one for each replica. Both halves of each: what the gateway calls, and
    /// what is known of it where a choice is made.
    pub(super) fn split(self) -> Vec<(Member, group::Member)> {
        let Self { model, engine, weight, priority, tags, tier } = self;
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let key = hash::of(model.id.as_bytes());
        let strategy = groups::strategy(model.entry.strategy);
        let deployment = engine.as_ref().map(|_| Arc::new(Deployment { key, strategy }));
        let models = engine.map_or_else(|| vec![model], |engine| engine.replicas.clone());
        let each = models.into_iter().map(|model| {
            let member = group::Member {
                key: model.address.map_or(key, |address| hash::both(key, hash::of(address.to_string().as_bytes()))),
                deployment: deployment.clone(),
                traits: Arc::clone(&model.traits),
                live: Arc::clone(&model.live),
                weight,
                priority,
                tags: tags.clone(),
                tier,
            };
            (Member { model, weight, priority }, member)
        });
        each.collect()
    }
}
