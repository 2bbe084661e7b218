//! `spec.route`: targets that exist, and no way back to the route itself.

use std::collections::{BTreeMap, BTreeSet};

use turnpike_crds::{
    Reason,
    model_deployment::{
        Complexity as ComplexitySpec, Mirror as MirrorSpec, ModelDeploymentSpec, Route, Strategy, policy::millis,
    },
};

use crate::{
    entry::{Backend, Complexity, Mirror, ObjectRef, RouteBackend, RouteTarget, Sticky},
    problem::{Report, Reported},
    render::{Context, models::Candidate, resilience::within},
};

/// The targets that exist. A target that exists but cannot be compiled stays: it is no fault of the route.
pub(super) fn compile(
    context: Context<'_>,
    object: &ObjectRef,
    spec: &ModelDeploymentSpec,
    report: &mut Report,
) -> Option<RouteBackend> {
    let route = spec.route.as_ref()?;
    let complexity = match (route.strategy, &route.complexity) {
        (Strategy::Complexity, Some(complexity)) => self::complexity(context, object, complexity, report).map(Some),
        (Strategy::Complexity, None) => {
            let next_step = "set it, or choose another strategy";
            report.invalid("spec.route.complexity", "strategy Complexity needs route.complexity", next_step);
            Err(Reported)
        }
        (_, complexity) => {
            if complexity.is_some() {
                let next_step = "set strategy: Complexity, or remove it";
                report.warn(
                    "spec.route.complexity",
                    Reason::NoEffect,
                    format!("strategy {:?} does not use it", route.strategy),
                    next_step,
                );
            }
            Ok(None)
        }
    };
    let targets = targets(context, object, route, report);
    let sticky = sticky(&route.sticky_by, report);
    let mirror = route.mirror.as_ref().map_or(Ok(None), |spec| mirror(context, object, spec, report));
    let hedge = route
        .hedge
        .as_ref()
        .map(|hedge| within("spec.route.hedge.afterPercentile".to_owned(), hedge.after_percentile, (50, 99), report));
    without_effect(spec, report);
    // What cannot be read is reported with the other timeouts.
    let total = spec.timeouts.as_ref().and_then(|timeouts| timeouts.total.as_ref()?.parse().ok()).map(millis);
    let route = RouteBackend {
        targets: targets.ok()?,
        strategy: route.strategy,
        sticky: sticky.ok()?,
        mirror: mirror.ok()?,
        hedge: hedge.transpose().ok()?,
        complexity: complexity.ok()?,
        total,
    };
    (!route.targets.is_empty() || route.complexity.is_some()).then_some(route)
}

fn targets(
    context: Context<'_>,
    object: &ObjectRef,
    route: &Route,
    report: &mut Report,
) -> Result<Vec<RouteTarget>, Reported> {
    let mut targets = Vec::with_capacity(route.targets.len());
    let mut sound = true;
    for (at, target) in route.targets.iter().enumerate() {
        let field = format!("spec.route.targets[{at}]");
        let Ok(weight) = within(format!("{field}.weight"), target.weight, (0, 1000), report) else {
            sound = false;
            continue;
        };
        let model = ObjectRef { namespace: object.namespace.clone(), name: target.model_ref.name.clone() };
        if context.exists(&model, &format!("{field}.modelRef.name"), report) {
            targets.push(RouteTarget { model, weight, priority: target.priority, tags: target.tags.clone() });
        }
    }
    if route.targets.iter().all(|target| target.weight == 0)
        && (route.strategy != Strategy::Complexity || !route.targets.is_empty())
    {
        report.invalid(
            "spec.route.targets",
            "no target has a weight above 0",
            "list at least one target with a weight above 0",
        );
        sound = false;
    }
    if sound { Ok(targets) } else { Err(Reported) }
}

/// A route has no backend, so nothing of a backend's settings acts on it.
fn without_effect(spec: &ModelDeploymentSpec, report: &mut Report) {
    let timeouts = spec.timeouts.as_ref();
    let settings = [
        ("spec.weight", spec.weight != 1),
        ("spec.priority", spec.priority != 0),
        ("spec.tags", !spec.tags.is_empty()),
        ("spec.poolStrategy", spec.pool_strategy != Strategy::default()),
        ("spec.limits", spec.limits.is_some()),
        ("spec.price", spec.price.is_some()),
        ("spec.capabilities", spec.capabilities.is_some()),
        ("spec.timeouts.connect", timeouts.is_some_and(|timeouts| timeouts.connect.is_some())),
        ("spec.timeouts.firstByte", timeouts.is_some_and(|timeouts| timeouts.first_byte.is_some())),
        ("spec.timeouts.idle", timeouts.is_some_and(|timeouts| timeouts.idle.is_some())),
        ("spec.health", spec.health.is_some()),
    ];
    for (field, _) in settings.into_iter().filter(|(_, is_set)| *is_set) {
        let next_step = "remove it here, and set it on the ModelDeployments that the route names";
        report.warn(field, Reason::NoEffect, "it does nothing on a route, whose targets have their own", next_step);
    }
}

/// `None|Key|User|Header:<name>`.
fn sticky(text: &str, report: &mut Report) -> Result<Sticky, Reported> {
    let is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~-".contains(&b))
    };
    let header = || text.strip_prefix("Header:").filter(|name| is_token(name));
    let sticky = match text {
        "None" => Some(Sticky::None),
        "Key" => Some(Sticky::Key),
        "User" => Some(Sticky::User),
        _ => header().map(|name| Sticky::Header(name.to_ascii_lowercase())),
    };
    sticky.ok_or_else(|| {
        report.invalid(
            "spec.route.stickyBy",
            format!("\"{text}\" is not something that a sender is known by"),
            "write None, Key, User, or Header: and the header's name, such as Header:x-session-id",
        );
        Reported
    })
}

fn mirror(
    context: Context<'_>,
    object: &ObjectRef,
    spec: &MirrorSpec,
    report: &mut Report,
) -> Result<Option<Mirror>, Reported> {
    let percent = within("spec.route.mirror.percent".to_owned(), spec.percent, (1, 100), report)?;
    let model = context.other_model(object, &spec.model_ref.name, "spec.route.mirror.modelRef.name", report);
    Ok(model.map(|model| Mirror { model, percent }))
}

/// A name that does not exist stays: the other two models then serve its prompts.
fn complexity(
    context: Context<'_>,
    object: &ObjectRef,
    spec: &ComplexitySpec,
    report: &mut Report,
) -> Result<Complexity, Reported> {
    let words =
        within("spec.route.complexity.simpleBelowWords".to_owned(), spec.simple_below_words, (1, 1_000_000), report)?;
    let [simple, medium, complex] = tiers(spec).map(|(field, name)| {
        let model = ObjectRef { namespace: object.namespace.clone(), name: name.to_owned() };
        context.exists(&model, field, report);
        model
    });
    let keywords = spec.complex_keywords.iter().map(|word| word.to_lowercase()).collect();
    Ok(Complexity { simple_below_words: words, keywords, simple, medium, complex })
}

/// Fields and names of the models by complexity.
fn tiers(spec: &ComplexitySpec) -> [(&'static str, &str); 3] {
    [
        ("spec.route.complexity.simple", &spec.simple),
        ("spec.route.complexity.medium", &spec.medium),
        ("spec.route.complexity.complex", &spec.complex),
    ]
}

/// Takes from routes the targets that lead back to themselves, the oldest route keeping its own. A route without any
/// target is left out.
pub(super) fn settle(candidates: &mut [Candidate<'_>]) {
    let mut onward: BTreeMap<ObjectRef, BTreeSet<ObjectRef>> = BTreeMap::new();
    for candidate in candidates {
        let Some(route) = &candidate.resource.spec.route else {
            continue;
        };
        let mut dropped = BTreeSet::new();
        let tiers = route.complexity.iter().filter(|_| route.strategy == Strategy::Complexity).flat_map(tiers);
        for (field, name) in tiers {
            let model = ObjectRef { namespace: candidate.object.namespace.clone(), name: name.to_owned() };
            if leads_to(&model, &candidate.object, &onward) {
                leads_back(field, name, &mut candidate.report);
                candidate.compiled = None;
            } else {
                onward.entry(candidate.object.clone()).or_default().insert(model);
            }
        }
        for (at, target) in route.targets.iter().enumerate() {
            let model =
                ObjectRef { namespace: candidate.object.namespace.clone(), name: target.model_ref.name.clone() };
            if leads_to(&model, &candidate.object, &onward) {
                leads_back(&format!("spec.route.targets[{at}].modelRef.name"), &model.name, &mut candidate.report);
                dropped.insert(model);
            } else {
                onward.entry(candidate.object.clone()).or_default().insert(model);
            }
        }
        let Some(compiled) = &mut candidate.compiled else {
            continue;
        };
        let Backend::Route(backend) = &mut compiled.entry.backend else {
            continue;
        };
        backend.targets.retain(|target| !dropped.contains(&target.model));
        if backend.targets.is_empty() && backend.complexity.is_none() {
            candidate.compiled = None;
        }
    }
}

fn leads_back(field: &str, name: &str, report: &mut Report) {
    let next_step = "name a model that does not route to this one";
    report.invalid(field, format!("{name} leads back to this route"), next_step);
}

fn leads_to(from: &ObjectRef, to: &ObjectRef, onward: &BTreeMap<ObjectRef, BTreeSet<ObjectRef>>) -> bool {
    let mut seen = BTreeSet::new();
    let mut ahead = vec![from];
    while let Some(next) = ahead.pop() {
        if next == to {
            return true;
        }
        if seen.insert(next) {
            ahead.extend(onward.get(next).into_iter().flatten());
        }
    }
    false
}
