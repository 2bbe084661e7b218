//! Which engines get how many replicas now, and what people are told of it: pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ObjectReference};
use kube::Resource;
use tokio::time::Instant;
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::{ModelDeployment, model_deployment::Autoscaling};
use turnpike_engine::scale::{Decision, Demand, Rules, Sample, Scaler, Total};

use super::{demand::Heard, load::Loads};
use crate::{engine::Engines, gateways::Gateways, kit::events::EventType, world::World};

/// Gateways that start or end are silent for some seconds; only after this long it is told.
pub const SILENT: Duration = Duration::from_secs(30);
/// Time between attempts at what was refused.
pub const AGAIN: Duration = Duration::from_secs(10);
/// A shortage that comes back sooner is the same one.
pub const CALM: Duration = Duration::from_mins(10);

/// All that a decision needs.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Now.
    pub now: Instant,
    /// Which engines are to be scaled.
    pub world: &'a World,
    /// How they are.
    pub engines: &'a Engines,
    /// Who should tell what clients want.
    pub gateways: &'a Gateways,
    /// Who has, by uid.
    pub heard: &'a BTreeMap<String, Heard>,
    /// What engines say themselves.
    pub loads: &'a Loads,
}

/// What is remembered from one decision to the next.
#[derive(Debug)]
pub struct Scaling {
    began: Instant,
    engines: BTreeMap<ObjectRef, Scaled>,
}

#[derive(Debug, Default)]
struct Scaled {
    scaler: Scaler,
    /// Since when some gateway's demand is not known.
    blind: Option<Instant>,
    /// When demand was last above what `maxReplicas` allow, after it was told.
    short: Option<Instant>,
    /// Why replicas could not be set, and when that was.
    refused: Option<(String, Instant)>,
    /// What was told last of why replicas cannot be set by demand.
    told: Option<String>,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Replicas to set.
    pub changes: Vec<Change>,
    /// Events to write.
    pub notes: Vec<Note>,
    /// Why replicas of an engine cannot be set by demand, where that has changed; `None` = they can.
    pub reports: Vec<(ObjectRef, Option<String>)>,
    /// Requests that engines are answering or that wait for one.
    pub load: u64,
    /// Replicas that this calls for.
    pub wanted: u64,
}

/// Replicas to set.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The engine.
    pub model: ObjectRef,
    /// Its Deployment.
    pub deployment: String,
    /// From so many.
    pub from: u32,
    /// To so many.
    pub to: u32,
    /// What is told once it is done.
    pub note: Option<Note>,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The `ModelDeployment`.
    pub regarding: ObjectReference,
    /// What kind of.
    pub kind: EventType,
    /// One word.
    pub reason: &'static str,
    /// What people read.
    pub text: String,
}

/// The engines whose replicas follow demand.
pub fn scaled(world: &World) -> impl Iterator<Item = (&ObjectRef, &ModelDeployment, &Autoscaling)> {
    world.models.iter().filter_map(|(object, model)| {
        let autoscaling = model.spec.vllm.as_ref()?.autoscaling.as_ref()?;
        model.metadata.deletion_timestamp.is_none().then_some((object, &**model, autoscaling))
    })
}

impl Scaling {
    /// Nothing is remembered: whatever runs counts as wanted now.
    pub fn new(now: Instant) -> Self {
        Self { began: now, engines: BTreeMap::new() }
    }

    /// Decides for all engines.
    pub fn decide(&mut self, view: View<'_>) -> Steps {
        let mut steps = Steps::default();
        let known: BTreeSet<&ObjectRef> = scaled(view.world).map(|(object, ..)| object).collect();
        self.engines.retain(|object, scaled| {
            let stays = known.contains(object);
            if !stays && scaled.told.is_some() {
                steps.reports.push((object.clone(), None));
            }
            stays
        });
        for (object, model, spec) in scaled(view.world) {
            let observed = view.engines.get(object).and_then(|observed| observed.deployment.as_deref());
            // Whatever it is made with is where this begins.
            let Some((deployment, current)) = observed.and_then(replicas) else { continue };
            let engine = self.engines.entry(object.clone()).or_default();
            let total = total(view, object, self.began);
            let decision = engine.scaler.decide(view.now - self.began, &total, current, &Rules::of(spec));
            steps.load = steps.load.saturating_add(total.demand.load());
            steps.wanted = steps.wanted.saturating_add(decision.wanted.into());
            if decision.replicas != current && engine.may_try(view.now) {
                let (deployment, note) = (deployment.to_owned(), started(model, current, decision));
                let (from, to) = (current, decision.replicas);
                steps.changes.push(Change { model: object.clone(), deployment, from, to, note });
            }
            steps.notes.extend(engine.shortage(model, decision, (&total.demand, view.now)));
            if let Some(report) = engine.report(view, total.is_complete) {
                steps.reports.push((object.clone(), report));
            }
        }
        steps
    }

    /// What became of a change at this time; the next decision tells of it.
    pub fn set(&mut self, model: &ObjectRef, refused: Option<String>, now: Instant) {
        if let Some(engine) = self.engines.get_mut(model) {
            engine.refused = refused.map(|why| (why, now));
        }
    }
}

impl Scaled {
    /// What was refused is not asked for every second.
    fn may_try(&self, now: Instant) -> bool {
        self.refused.as_ref().is_none_or(|(_, last)| now.duration_since(*last) >= AGAIN)
    }

    /// That there is too little is told once, until there was enough for a while.
    fn shortage(
        &mut self,
        model: &ModelDeployment,
        decision: Decision,
        (demand, now): (&Demand, Instant),
    ) -> Option<Note> {
        if !decision.is_short() {
            self.short = self.short.filter(|last| now.duration_since(*last) < CALM);
            return None;
        }
        if self.short.replace(now).is_some() {
            return None;
        }
        let text = format!(
            "{} requests are in flight or waiting, enough for {} replicas, and maxReplicas is {}; raise \
             spec.vllm.autoscaling.maxReplicas, or targetInFlight if one replica can bear more",
            demand.load(),
            decision.wanted,
            decision.replicas,
        );
        Some(Note { regarding: model.object_ref(&()), kind: EventType::Warning, reason: "MaxReplicasReached", text })
    }

    /// Why replicas cannot be set by demand, where that is news.
    #[expect(clippy::option_option, reason = "nothing to tell, or that there is no obstacle any more, or which")]
    fn report(&mut self, view: View<'_>, is_complete: bool) -> Option<Option<String>> {
        self.blind = if is_complete { None } else { self.blind.or(Some(view.now)) };
        let is_blind = self.blind.is_some_and(|since| view.now.duration_since(since) >= SILENT);
        let refused = self.refused.as_ref().map(|(why, _)| why.clone());
        let why = refused.or_else(|| is_blind.then(|| silence(view)));
        let is_news = self.told != why;
        self.told.clone_from(&why);
        is_news.then_some(why)
    }
}

/// What is told of an engine that had no replica.
fn started(model: &ModelDeployment, current: u32, decision: Decision) -> Option<Note> {
    let text = match decision.replicas {
        0 => return None,
        1 => "requests came while no replica ran; one is starting".to_owned(),
        many => format!("requests came while no replica ran; {many} are starting"),
    };
    let came = current == 0 && decision.wanted > 0;
    came.then(|| Note { regarding: model.object_ref(&()), kind: EventType::Normal, reason: "ScaledFromZero", text })
}

/// Name and `spec.replicas` of a Deployment that is not being deleted.
fn replicas(deployment: &Deployment) -> Option<(&str, u32)> {
    let current = deployment.spec.as_ref()?.replicas.unwrap_or(1);
    let is_alive = deployment.metadata.deletion_timestamp.is_none();
    let name = deployment.metadata.name.as_deref()?;
    is_alive.then(|| (name, u32::try_from(current).unwrap_or(0)))
}

/// What clients of all gateways want of an engine, or what it says itself where that is more. A gateway that does not know the
/// engine has no requests for it.
fn total(view: View<'_>, object: &ObjectRef, began: Instant) -> Total {
    let name = object.to_string();
    let samples = view.gateways.values().filter(|gateway| gateway.running).map(|gateway| {
        let heard = view.heard.get(&gateway.uid)?;
        let demand = heard.demands.engines.get(&name).copied().unwrap_or_default();
        Some(Sample { at: heard.at.saturating_duration_since(began), demand })
    });
    let said = view.loads.get(object);
    let said = said.map(|(at, demand)| Sample { at: at.saturating_duration_since(began), demand: *demand });
    let now = view.now - began;
    Total::of(now, samples).or_engine(now, said)
}

/// Who does not tell what clients want.
fn silence(view: View<'_>) -> String {
    let running = || view.gateways.iter().filter(|(_, gateway)| gateway.running);
    let is_late = |uid: &str| {
        view.heard.get(uid).is_none_or(|heard| view.now.duration_since(heard.at) > turnpike_engine::scale::STALE)
    };
    match running().find(|(_, gateway)| is_late(&gateway.uid)) {
        Some((pod, _)) => format!(
            "gateway pod {pod} does not tell the operator what its clients want, so replicas may rise but not fall; check \
             that the operator reaches port 4001 of that pod"
        ),
        None => "no gateway runs, so nobody tells what clients want; replicas do not fall".to_owned(),
    }
}
