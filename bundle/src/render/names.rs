//! Who holds a public name: within a namespace and, for models visible to all, across namespaces. The oldest does.

use std::collections::BTreeMap;

use turnpike_crds::{Reason, model_deployment::Strategy, names::ModelPattern};

use crate::{
    entry::{ObjectRef, Visibility},
    objects::Settings,
    render::models::Candidate,
};

/// What serves a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    /// All models of one `modelName`, which share its names.
    Pool(String),
    /// One object: routes do not pool.
    Object(ObjectRef),
}

/// Takes names from the newcomers of clashes and visibility from those that must not have it. Oldest first.
pub(super) fn settle(settings: &Settings, candidates: &mut [Candidate<'_>]) {
    let mut names: BTreeMap<(String, String), Holder> = BTreeMap::new();
    let mut everywhere: BTreeMap<String, String> = BTreeMap::new();
    let mut strategies: BTreeMap<(String, String), Strategy> = BTreeMap::new();
    for candidate in candidates {
        // Nobody can ask for an internal model, so it holds no name.
        if candidate.resource.spec.visibility == turnpike_crds::model_deployment::Visibility::Internal {
            continue;
        }
        if hold_names(candidate, &mut names) && joins_pool(candidate, &mut strategies) {
            settle_visibility(settings, candidate, &mut everywhere);
        }
    }
}

/// Whether the candidate has its `modelName`; a clash of an alias costs only the alias.
fn hold_names(candidate: &mut Candidate<'_>, names: &mut BTreeMap<(String, String), Holder>) -> bool {
    let spec = &candidate.resource.spec;
    let namespace = &candidate.object.namespace;
    let model_name = candidate.resource.model_name();
    let holder = if spec.route.is_some() {
        Holder::Object(candidate.object.clone())
    } else {
        Holder::Pool(model_name.to_owned())
    };
    let mut hold = |name: &str| {
        let held = names.entry((namespace.clone(), name.to_owned())).or_insert_with(|| holder.clone());
        *held == holder
    };
    if ModelPattern::parse(model_name).is_ok() && !hold(model_name) {
        candidate.compiled = None;
        candidate.report.problem(
            "spec.modelName",
            Reason::NameConflict,
            format!("an older ModelDeployment of this namespace serves the name {model_name}"),
            "choose another modelName, or remove the name from the older one",
        );
        return false;
    }
    for (at, alias) in spec.aliases.iter().enumerate() {
        if !matches!(ModelPattern::parse(alias), Ok(ModelPattern::Exact(_))) || hold(alias) {
            continue;
        }
        if let Some(compiled) = &mut candidate.compiled {
            compiled.entry.aliases.retain(|kept| kept != alias);
        }
        candidate.report.problem(
            format!("spec.aliases[{at}]"),
            Reason::NameConflict,
            format!("an older ModelDeployment of this namespace serves the name {alias}"),
            "remove the alias, or remove the name from the older one",
        );
    }
    true
}

/// Whether the candidate agrees with its pool on how to choose within it; the oldest member decides.
fn joins_pool(candidate: &mut Candidate<'_>, strategies: &mut BTreeMap<(String, String), Strategy>) -> bool {
    let spec = &candidate.resource.spec;
    let model_name = candidate.resource.model_name();
    if spec.route.is_some() {
        return true;
    }
    let pool = (candidate.object.namespace.clone(), model_name.to_owned());
    let decided = *strategies.entry(pool).or_insert(spec.pool_strategy);
    if decided == spec.pool_strategy {
        return true;
    }
    candidate.compiled = None;
    candidate.report.problem(
        "spec.poolStrategy",
        Reason::PoolConflict,
        format!("older ModelDeployments of modelName {model_name} use {decided:?}, and a pool has one strategy"),
        format!("set poolStrategy: {decided:?}, or choose another modelName"),
    );
    false
}

/// Cluster visibility falls back to the own namespace where it is not allowed or a name is taken.
fn settle_visibility(settings: &Settings, candidate: &mut Candidate<'_>, everywhere: &mut BTreeMap<String, String>) {
    let spec = &candidate.resource.spec;
    if spec.visibility != turnpike_crds::model_deployment::Visibility::Cluster {
        return;
    }
    let namespace = candidate.object.namespace.clone();
    let allowed = settings.allows_cluster_visibility(&namespace);
    let mut names = spec.aliases.iter().map(String::as_str).chain([candidate.resource.model_name()]);
    let taken = names.clone().find(|name| everywhere.get(*name).is_some_and(|holder| *holder != namespace));
    if !allowed {
        candidate.report.problem(
            "spec.visibility",
            Reason::ClusterVisibilityNotAllowed,
            format!("models of namespace {namespace} may not be visible to all namespaces"),
            "set visibility: Namespace, or have the namespace added to operator.clusterModelNamespaces",
        );
    } else if let Some(taken) = taken {
        candidate.report.problem(
            "spec.visibility",
            Reason::NameConflict,
            format!("an older ModelDeployment of another namespace serves the name {taken} to all namespaces"),
            "choose another name, or set visibility: Namespace",
        );
    } else {
        names.by_ref().for_each(|name| {
            everywhere.insert(name.to_owned(), namespace.clone());
        });
        return;
    }
    if let Some(compiled) = &mut candidate.compiled {
        compiled.entry.visibility = Visibility::Namespace;
    }
}
