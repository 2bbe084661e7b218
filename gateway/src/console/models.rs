//! Models and how their backends stand.

use std::{collections::BTreeMap, sync::Arc};

use turnpike_bundle::{
    entry::{self, Contents, Fallback, ModelEntry, ObjectRef, RouteBackend},
    report::UnhealthyBackend,
};
use turnpike_console::ui::facts::{
    Cause, Loaded, Model, Models, Price, Probe, Problem, Rates, Route, Standing, Target, Unavailable,
};
use turnpike_ledger::account::OwnerKind;
use turnpike_routing::{Moment, health};

use super::{View, now};
use crate::{
    app::App,
    config::snapshot::{self, Backend, Engine, Snapshot},
    pipeline::journey::now as moment,
    probe::Probed,
    spend,
};

impl View {
    pub(super) fn all_models(&self) -> Result<Models, Unavailable> {
        let (app, contents, snapshot) = (&self.app, self.contents()?, self.app.live.load());
        let configuration = app.health.configuration();
        let seen = Seen::new(app, &snapshot);
        let problems = configuration.iter().flat_map(|loaded| &loaded.problems);
        Ok(Models {
            now: now(),
            loaded: configuration.as_deref().map(|loaded| Loaded {
                generation: snapshot.generation,
                hash: loaded.hash.clone(),
                at: loaded.loaded_at,
            }),
            problems: problems
                .map(|problem| Problem {
                    object: problem.object.to_string(),
                    field: problem.field.clone(),
                    reason: problem.reason.to_string(),
                    message: problem.message.clone(),
                    next_step: problem.next_step.clone(),
                })
                .collect(),
            models: snapshot.models.iter().map(|model| seen.model(model)).collect(),
            routes: contents.models.iter().filter_map(|entry| route(entry, &contents)).collect(),
        })
    }
}

/// How a backend stands, and of an engine the best of its replicas.
pub(super) fn standing(model: &Arc<snapshot::Model>, snapshot: &Snapshot, now: Moment) -> Standing {
    match engine(model, snapshot) {
        None => shown(model.live.health.standing(now), now),
        Some(engine) => {
            let standings = engine.replicas.iter().map(|replica| shown(replica.live.health.standing(now), now));
            standings.min_by_key(|standing| rank(*standing)).unwrap_or(Standing::Cold)
        }
    }
}

fn engine<'a>(model: &Arc<snapshot::Model>, snapshot: &'a Snapshot) -> Option<&'a Arc<Engine>> {
    snapshot.engines.iter().find(|engine| Arc::ptr_eq(&engine.model, model))
}

/// The best first.
fn rank(standing: Standing) -> u8 {
    match standing {
        Standing::Healthy => 0,
        Standing::SlowStart { .. } => 1,
        Standing::Trial => 2,
        Standing::Cooling { .. } => 3,
        Standing::Cold => 4,
    }
}

fn shown(standing: health::Standing, now: Moment) -> Standing {
    match standing {
        health::Standing::Healthy => Standing::Healthy,
        health::Standing::SlowStart { share } => Standing::SlowStart { percent: share / 10 },
        health::Standing::Trial => Standing::Trial,
        health::Standing::Cooling { until } => Standing::Cooling { rest: until.since(now) },
    }
}

/// What was seen of backends, at one moment.
struct Seen<'a> {
    snapshot: &'a Snapshot,
    moment: Moment,
    unhealthy: Arc<Vec<UnhealthyBackend>>,
    probed: &'a Probed,
    /// Requests that wait, by object.
    waiting: BTreeMap<String, usize>,
}

impl<'a> Seen<'a> {
    fn new(app: &'a App, snapshot: &'a Snapshot) -> Self {
        let queued = app.ledger.queued().into_iter();
        let of_models = queued.filter(|(owner, _)| owner.kind == OwnerKind::ModelDeployment);
        Self {
            snapshot,
            moment: moment(),
            unhealthy: app.unhealthy.all(),
            probed: &app.probed,
            waiting: of_models.map(|(owner, count)| (format!("{}/{}", owner.namespace, owner.name), count)).collect(),
        }
    }

    fn model(&self, model: &Arc<snapshot::Model>) -> Model {
        let (entry, moment) = (&model.entry, self.moment);
        let stats = model.live.deployment();
        let (upstream_model, base_url) = match &model.backend {
            Backend::Provider(upstream) => (upstream.model.to_string(), upstream.config.base_url.clone()),
            Backend::Mock { .. } => Default::default(),
        };
        let replicas = engine(model, self.snapshot).into_iter().flat_map(|engine| &engine.replicas);
        Model {
            name: entry.model_name.clone(),
            aliases: entry.aliases.clone(),
            object: model.id.to_string(),
            visibility: format!("{:?}", entry.visibility),
            weight: entry.weight,
            priority: entry.priority,
            provider: spend::provider(model).to_owned(),
            upstream_model,
            base_url,
            standing: standing(model, self.snapshot, moment),
            cause: self.cause(model),
            probe: self.probe(model),
            in_flight: stats.in_flight(),
            waiting: self.waiting.get(&*model.id).copied().unwrap_or_default(),
            requests: stats.requests(moment),
            tokens: stats.tokens(moment),
            limits: Rates { rpm: entry.limits.rpm, tpm: entry.limits.tpm, parallel: entry.limits.max_parallel },
            price: entry.price.as_ref().map(|price| Price {
                input: price.input,
                output: price.output,
                cached: price.cached_input,
            }),
            replicas: replicas
                .filter_map(|replica| {
                    Some((replica.address?.to_string(), shown(replica.live.health.standing(moment), moment)))
                })
                .collect(),
        }
    }

    fn cause(&self, model: &snapshot::Model) -> Option<Cause> {
        if model.live.health.told(self.moment).is_some() {
            return Some(Cause { reason: "it asked to be left alone".to_owned(), since: None });
        }
        let told = self.unhealthy.iter().find(|backend| backend.model == *model.id);
        match told {
            Some(told) => Some(Cause { reason: told.reason.clone(), since: Some(told.since) }),
            None if matches!(model.live.health.standing(self.moment), health::Standing::Cooling { .. }) => {
                Some(Cause { reason: "requests failed".to_owned(), since: None })
            }
            None => None,
        }
    }

    fn probe(&self, model: &Arc<snapshot::Model>) -> Probe {
        let Backend::Provider(upstream) = &model.backend else { return Probe::Off };
        if upstream.config.engine.is_some() {
            return Probe::EachReplica;
        }
        match self.probed.last(&model.id) {
            _ if !model.entry.health.active => Probe::Off,
            None => Probe::Pending,
            Some((at, None)) => Probe::Answered { at },
            Some((at, Some(fault))) => Probe::Failed { at, fault: fault.to_string() },
        }
    }
}

/// `None` = it is no route.
fn route(entry: &ModelEntry, contents: &Contents) -> Option<Route> {
    let entry::Backend::Route(RouteBackend { targets, strategy, mirror, .. }) = &entry.backend else { return None };
    let is_there = |object: &ObjectRef| contents.models.iter().any(|model| model.object == *object);
    Some(Route {
        name: entry.model_name.clone(),
        object: entry.object.to_string(),
        strategy: format!("{strategy:?}"),
        targets: targets
            .iter()
            .map(|target| Target {
                object: target.model.to_string(),
                weight: target.weight,
                priority: target.priority,
                is_there: is_there(&target.model),
            })
            .collect(),
        mirror: mirror.as_ref().map(|mirror| format!("{} ({} %)", mirror.model, mirror.percent)),
        fallbacks: entry.fallbacks.iter().map(fallback).collect(),
    })
}

fn fallback(fallback: &Fallback) -> String {
    let causes: Vec<String> = fallback.on.iter().map(|cause| format!("{cause:?}")).collect();
    format!("{} on {}", fallback.model, causes.join(", "))
}
