//! `ModelDeployment` → [`ModelEntry`].

use turnpike_crds::{
    ModelDeployment,
    model_deployment::{SourceKind, Strategy, Visibility as Wanted},
    names::ModelPattern,
};
use turnpike_llm::price::Price;

use crate::{
    entry::{Backend, CredentialEntry, ModelEntry, ObjectRef, Visibility},
    objects::created,
    problem::{ObjectKind, Report},
    render::{
        Context, Rendered, by_age, engine, limits, links, names, policy, provider,
        resilience::{self, Resilience},
        routes,
    },
};

/// An entry with the credential that it names.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) entry: ModelEntry,
    pub(super) credential: Option<CredentialEntry>,
}

/// A model on its way: what it compiled to by itself, and what it holds against newer ones.
pub(super) struct Candidate<'a> {
    pub(super) object: ObjectRef,
    pub(super) resource: &'a ModelDeployment,
    /// `None` = left out; it goes on holding its names.
    pub(super) compiled: Option<Compiled>,
    pub(super) report: Report,
}

/// All models that can be served, sorted by object.
pub(super) fn render(context: Context<'_>, rendered: &mut Rendered) -> Vec<Compiled> {
    let models = by_age(&context.objects.models, ObjectKind::ModelDeployment, rendered);
    let mut candidates: Vec<Candidate<'_>> =
        models.into_iter().map(|(object, resource)| candidate(context, object, resource)).collect();
    names::settle(context.settings, &mut candidates);
    routes::settle(&mut candidates);
    links::settle(&mut candidates);
    let mut compiled = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        rendered.take(candidate.report);
        compiled.extend(candidate.compiled);
    }
    compiled.sort_by(|a, b| a.entry.object.cmp(&b.entry.object));
    compiled
}

fn candidate<'a>(context: Context<'_>, object: ObjectRef, resource: &'a ModelDeployment) -> Candidate<'a> {
    let mut report = Report::new(ObjectKind::ModelDeployment, object.clone());
    let compiled = compile(context, &object, resource, &mut report);
    Candidate { object, resource, compiled, report }
}

/// Reads every part before it gives up, so that all problems are reported at once.
fn compile(
    context: Context<'_>,
    object: &ObjectRef,
    resource: &ModelDeployment,
    report: &mut Report,
) -> Option<Compiled> {
    let spec = &resource.spec;
    let source = source(resource, report);
    let model_name = model_name(resource, source, report);
    let strategy = pool_strategy(spec.pool_strategy, report);
    let weight = resilience::within("spec.weight".to_owned(), spec.weight, (0, 1000), report);
    let priority = resilience::within("spec.priority".to_owned(), spec.priority, (0, 1000), report);
    let timeouts = policy::timeouts(spec.timeouts.as_ref(), report);
    let own_price = policy::own_price(spec, report);
    let limits = limits::of_model(spec.limits.as_ref(), report);
    let own_capabilities = policy::own_capabilities(spec.capabilities.as_ref(), report);
    let resilience = resilience::compile(context, object, resource, report);
    let (backend, credential) = backend(context, object, resource, source, report)?;
    let (model_name, own_capabilities, own_price) = (model_name?, own_capabilities?, own_price.ok()?);
    let (price, capabilities) = match &backend {
        Backend::Provider(backend) => policy::with_built_in(own_price, &own_capabilities, backend, report),
        Backend::Mock { .. } => {
            (own_price.map_or(Some(Price::free()), |price| Some(price.over(None))), own_capabilities)
        }
        Backend::Route(_) => (own_price.map(|price| price.over(None)), own_capabilities),
    };
    let Resilience { retry, fallbacks, health, cache } = resilience.ok()?;
    let entry = ModelEntry {
        object: object.clone(),
        created: created(resource),
        aliases: aliases(resource, &model_name, report),
        model_name,
        visibility: match spec.visibility {
            Wanted::Namespace => Visibility::Namespace,
            Wanted::Cluster => Visibility::Cluster,
            Wanted::Internal => Visibility::Internal,
        },
        backend,
        weight: weight.ok()?,
        priority: priority.ok()?,
        tags: spec.tags.clone(),
        price,
        capabilities,
        timeouts: timeouts?,
        limits: limits.ok()?,
        strategy: strategy?,
        retry,
        fallbacks,
        health,
        cache,
    };
    Some(Compiled { entry, credential })
}

/// Which of the four kinds the spec is of.
fn source(resource: &ModelDeployment, report: &mut Report) -> Option<SourceKind> {
    let spec = &resource.spec;
    let kinds: Vec<SourceKind> = [
        (spec.provider.is_some(), SourceKind::Provider),
        (spec.vllm.is_some(), SourceKind::Vllm),
        (spec.route.is_some(), SourceKind::Route),
        (spec.mock.is_some(), SourceKind::Mock),
    ]
    .into_iter()
    .filter_map(|(set, kind)| set.then_some(kind))
    .collect();
    if let [kind] = kinds.as_slice() {
        return Some(*kind);
    }
    report.invalid(
        "spec",
        format!("{} of provider, vllm, route and mock are set", kinds.len()),
        "set exactly one of provider, vllm, route and mock",
    );
    None
}

fn model_name(resource: &ModelDeployment, source: Option<SourceKind>, report: &mut Report) -> Option<String> {
    let name = resource.model_name();
    match ModelPattern::parse(name) {
        Err(error) => {
            report.invalid("spec.modelName", error.to_string(), "set spec.modelName to a name of that form");
            None
        }
        Ok(ModelPattern::Prefix(_)) if !matches!(source, None | Some(SourceKind::Provider)) => {
            report.invalid("spec.modelName", "a modelName with * needs provider", "give the model a full name");
            None
        }
        Ok(_) => Some(name.to_owned()),
    }
}

fn pool_strategy(strategy: Strategy, report: &mut Report) -> Option<Strategy> {
    if strategy == Strategy::Complexity {
        report.invalid(
            "spec.poolStrategy",
            "a pool does not say which of its models is for simple prompts and which for complex ones",
            "choose another strategy, or use a route with strategy Complexity",
        );
        return None;
    }
    Some(strategy)
}

/// The aliases that are names; the others are reported and left out alone.
fn aliases(resource: &ModelDeployment, model_name: &str, report: &mut Report) -> Vec<String> {
    let mut aliases: Vec<String> = Vec::new();
    for (at, alias) in resource.spec.aliases.iter().enumerate() {
        match ModelPattern::parse(alias) {
            Ok(ModelPattern::Exact(name)) if name == model_name || aliases.contains(&name) => {}
            Ok(ModelPattern::Exact(name)) => aliases.push(name),
            Ok(ModelPattern::Prefix(_)) | Err(_) => report.invalid(
                format!("spec.aliases[{at}]"),
                format!("\"{alias}\" is not a full model name"),
                "use letters, digits and . _ : / @ + - (at most 253), starting with a letter or digit",
            ),
        }
    }
    aliases
}

fn backend(
    context: Context<'_>,
    object: &ObjectRef,
    resource: &ModelDeployment,
    source: Option<SourceKind>,
    report: &mut Report,
) -> Option<(Backend, Option<CredentialEntry>)> {
    let spec = &resource.spec;
    match source? {
        SourceKind::Provider => {
            let (backend, credential) =
                provider::compile(context, object, resource.model_name(), spec.provider.as_ref()?, report)?;
            Some((Backend::Provider(backend), credential))
        }
        SourceKind::Route => {
            let route = routes::compile(context, object, spec, report)?;
            Some((Backend::Route(route), None))
        }
        SourceKind::Mock => Some((Backend::Mock { response: spec.mock.as_ref()?.response.clone() }, None)),
        SourceKind::Vllm => {
            let (backend, credential) = engine::compile(context, object, resource, report)?;
            Some((Backend::Provider(backend), credential))
        }
    }
}
