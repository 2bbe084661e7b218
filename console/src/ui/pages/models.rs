//! The page of models.

use askama::Template;

use super::{Badge, When};
use crate::ui::{
    facts::{Model, Models, Probe, Problem, Rates, Route, Standing},
    format,
};

#[derive(Template)]
#[template(path = "models.html")]
pub(super) struct Page<'a> {
    now: String,
    loaded: Option<Loaded<'a>>,
    problems: &'a [Problem],
    models: Vec<Line<'a>>,
    routes: &'a [Route],
}

struct Loaded<'a> {
    generation: u64,
    hash: &'a str,
    at: When,
}

struct Line<'a> {
    model: &'a Model,
    state: Badge,
    cause: Option<String>,
    probe: String,
    replicas: Vec<(&'a str, Badge)>,
    limits: Vec<String>,
    price: Option<[String; 2]>,
    requests: String,
    tokens: String,
}

impl<'a> Page<'a> {
    pub(super) fn new(facts: &'a Models) -> Self {
        let loaded = facts.loaded.as_ref();
        Self {
            now: format::moment(facts.now),
            loaded: loaded.map(|loaded| Loaded {
                generation: loaded.generation,
                hash: loaded.hash.get(..12).unwrap_or(&loaded.hash),
                at: When::new(loaded.at, facts.now),
            }),
            problems: &facts.problems,
            models: facts.models.iter().map(|model| Line::new(model, facts.now)).collect(),
            routes: &facts.routes,
        }
    }
}

impl<'a> Line<'a> {
    fn new(model: &'a Model, now: i64) -> Self {
        let cause = model.cause.as_ref().map(|cause| match cause.since {
            Some(since) => format!("{}, since {}", cause.reason, format::span(elapsed(since, now))),
            None => cause.reason.clone(),
        });
        Self {
            model,
            state: badge(model.standing),
            cause,
            probe: probe(&model.probe, now),
            replicas: model.replicas.iter().map(|(address, standing)| (address.as_str(), badge(*standing))).collect(),
            limits: rates(model.limits),
            price: model.price.map(|price| [format::usd(price.input), format::usd(price.output)]),
            requests: format::count(i64::try_from(model.requests).unwrap_or(i64::MAX)),
            tokens: format::count(i64::try_from(model.tokens).unwrap_or(i64::MAX)),
        }
    }
}

fn elapsed(since: i64, now: i64) -> std::time::Duration {
    std::time::Duration::from_secs(u64::try_from(now - since).unwrap_or_default())
}

fn badge(standing: Standing) -> Badge {
    match standing {
        Standing::Healthy => Badge::new("good", "Healthy"),
        Standing::SlowStart { percent } => Badge::new("warn", format!("Slow start, {percent} % of its share")),
        Standing::Trial => Badge::new("warn", "On trial"),
        Standing::Cooling { rest } => Badge::new("bad", format!("Cooling down, {} left", format::span(rest))),
        Standing::Cold => Badge::new("off", "No replica"),
    }
}

fn probe(probe: &Probe, now: i64) -> String {
    match probe {
        Probe::Off => "not probed".to_owned(),
        Probe::EachReplica => "each replica is probed".to_owned(),
        Probe::Pending => "not probed yet".to_owned(),
        Probe::Answered { at } => format!("probe answered {}", format::relative(*at, now)),
        Probe::Failed { at, fault } => format!("probe failed {}: {fault}", format::relative(*at, now)),
    }
}

/// Each as a line.
pub(super) fn rates(rates: Rates) -> Vec<String> {
    let shown = |value: Option<i64>, unit: &str| value.map(|value| format!("{} {unit}", format::count(value)));
    let Rates { rpm, tpm, parallel } = rates;
    [shown(rpm, "requests/min"), shown(tpm, "tokens/min"), shown(parallel, "at once")].into_iter().flatten().collect()
}
