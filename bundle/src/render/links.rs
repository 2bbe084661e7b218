//! What models say of each other, once it is known what each of them is: targets, fallbacks, mirrors, embedding models.

use std::collections::BTreeMap;

use turnpike_crds::{
    ModelDeploymentSpec, ModelPattern, Reason,
    model_deployment::{Strategy, Visibility as Wanted},
};

use crate::{
    entry::{Backend, ModelEntry, ObjectRef, Visibility},
    problem::Report,
    render::models::Candidate,
};

/// What is known of a model that others name.
struct Linked {
    /// Its upstream's model is what a wildcard matched.
    is_wildcard: bool,
    /// Of a route, how it would choose by itself.
    strategy: Option<Strategy>,
}

/// Who serves a name.
struct Named {
    namespace: String,
    pattern: ModelPattern,
    everywhere: bool,
    /// What is known of its making embeddings.
    embeddings: Option<bool>,
}

/// Takes from models the links that lead to others which cannot serve for them.
pub(super) fn settle(candidates: &mut [Candidate<'_>]) {
    let entries = || candidates.iter().filter_map(|candidate| Some(&candidate.compiled.as_ref()?.entry));
    let linked: BTreeMap<ObjectRef, Linked> =
        entries().map(|entry| (entry.object.clone(), Linked::of(entry))).collect();
    let named: Vec<Named> = candidates.iter().flat_map(Named::of).collect();
    for candidate in candidates {
        let Some(compiled) = &mut candidate.compiled else { continue };
        let (entry, report) = (&mut compiled.entry, &mut candidate.report);
        embedding_model(entry, &named, report);
        if !links(entry, &candidate.resource.spec, &linked, report) {
            candidate.compiled = None;
        }
    }
}

impl Linked {
    fn of(entry: &ModelEntry) -> Self {
        match &entry.backend {
            Backend::Provider(provider) => Self { is_wildcard: provider.model.contains('*'), strategy: None },
            Backend::Route(route) => Self { is_wildcard: false, strategy: Some(route.strategy) },
            Backend::Mock { .. } => Self { is_wildcard: false, strategy: None },
        }
    }
}

impl Named {
    /// Also of what cannot be compiled: its name is there, and its fault is reported with it.
    fn of(candidate: &Candidate<'_>) -> Vec<Self> {
        let spec = &candidate.resource.spec;
        if spec.visibility == Wanted::Internal {
            return Vec::new();
        }
        let entry = candidate.compiled.as_ref().map(|compiled| &compiled.entry);
        let names = spec.aliases.iter().map(String::as_str).chain([candidate.resource.model_name()]);
        let named = names.filter_map(|name| {
            Some(Self {
                namespace: candidate.object.namespace.clone(),
                pattern: ModelPattern::parse(name).ok()?,
                everywhere: entry.is_some_and(|entry| entry.visibility == Visibility::Cluster),
                embeddings: entry.and_then(|entry| entry.capabilities.embeddings),
            })
        });
        named.collect()
    }
}

/// A wildcard takes the model's name from what the client asked for, so only a wildcard can lead to one. Whether anything is left to serve.
fn links(
    entry: &mut ModelEntry,
    spec: &ModelDeploymentSpec,
    linked: &BTreeMap<ObjectRef, Linked>,
    report: &mut Report,
) -> bool {
    let nameless = |model: &ObjectRef| linked.get(model).is_some_and(|linked| linked.is_wildcard);
    let mut refused = |field: String, model: &ObjectRef| {
        report.invalid(
            field,
            format!("{} passes on the model's name that a client asks for, and here is none to pass on", model.name),
            "name a ModelDeployment whose provider.model is a full name",
        );
    };
    if !entry.model_name.contains('*') {
        for (at, fallback) in spec.fallbacks.iter().enumerate() {
            let model = ObjectRef { namespace: entry.object.namespace.clone(), name: fallback.model_ref.name.clone() };
            if nameless(&model) {
                refused(format!("spec.fallbacks[{at}].modelRef.name"), &model);
            }
        }
        entry.fallbacks.retain(|fallback| !nameless(&fallback.model));
    }
    let Backend::Route(route) = &mut entry.backend else { return true };
    let mut sound = true;
    let field_of = |model: &ObjectRef| {
        let targets = spec.route.as_ref().map_or(&[][..], |route| &route.targets);
        let at = targets.iter().position(|target| target.model_ref.name == model.name).unwrap_or_default();
        format!("spec.route.targets[{at}].modelRef.name")
    };
    for target in route.targets.iter().filter(|target| nameless(&target.model)) {
        refused(field_of(&target.model), &target.model);
    }
    route.targets.retain(|target| !nameless(&target.model));
    if let Some(mirror) = route.mirror.take_if(|mirror| nameless(&mirror.model)) {
        refused("spec.route.mirror.modelRef.name".to_owned(), &mirror.model);
    }
    let tiers = route.complexity.iter().flat_map(|complexity| {
        [("simple", &complexity.simple), ("medium", &complexity.medium), ("complex", &complexity.complex)]
    });
    for (tier, model) in tiers.filter(|(_, model)| nameless(model)) {
        sound = false;
        refused(format!("spec.route.complexity.{tier}"), model);
    }
    for target in &route.targets {
        let inner = linked.get(&target.model).and_then(|linked| linked.strategy);
        if let Some(inner) = inner.filter(|inner| *inner != Strategy::Weighted && *inner != route.strategy) {
            report.warn(
                field_of(&target.model),
                Reason::NoEffect,
                format!(
                    "{} is a route: its targets take its place here, and its own strategy {inner:?} counts for nothing",
                    target.model.name
                ),
                format!("name its targets instead, or give this route strategy: {inner:?}"),
            );
        }
    }
    sound && (!route.targets.is_empty() || route.complexity.is_some())
}

/// Without its embedding model, a cache goes on without likeness.
fn embedding_model(entry: &mut ModelEntry, named: &[Named], report: &mut Report) {
    let Some(cache) = &mut entry.cache else { return };
    let Some(semantic) = &cache.semantic else { return };
    let field = "spec.cache.semantic.embeddingModel";
    let (name, namespace) = (&semantic.embedding_model, &entry.object.namespace);
    let visible = |other: &&Named| other.everywhere || other.namespace == *namespace;
    let serving: Vec<&Named> = named.iter().filter(visible).filter(|other| other.pattern.matches(name)).collect();
    if serving.is_empty() {
        report.problem(
            field,
            Reason::RefNotFound,
            format!("no ModelDeployment serves the name {name} to namespace {namespace}"),
            "create one, or correct the name (it is the modelName that clients would ask for)",
        );
    } else if serving.iter().all(|other| other.embeddings == Some(false)) {
        report.invalid(field, format!("{name} makes no embeddings"), "name an embedding model");
    } else {
        return;
    }
    cache.semantic = None;
}
