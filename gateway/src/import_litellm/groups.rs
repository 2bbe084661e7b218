//! What several deployments decide together: names, shares, order, strategy, fallbacks, aliases.

use std::collections::{BTreeMap, BTreeSet};

use turnpike_crds::{
    ModelDeployment, ModelDeploymentSpec, ModelPattern, ModelRef, ObjectMeta,
    model_deployment::{Fallback, FallbackOn, Health, Limits, Route, Strategy, Target, Timeouts, Visibility},
};

use super::{
    chains::{self, ANY, Cause, Chain},
    defaults::{self, Defaults, small},
    deployment::Deployment,
    section::Context,
};

/// Most of a name that is kept, with room for a number.
const MOST_NAME: usize = 56;
/// Greatest `weight` and `priority`.
const MOST_SHARE: i64 = 1000;

/// The deployments of one `model_name`, in the order of the config, by the names of their objects.
struct Group {
    name: String,
    members: Vec<(String, Deployment)>,
}

/// The objects of all models.
pub(super) fn objects(
    deployments: Vec<Deployment>,
    defaults: &Defaults,
    context: &mut Context<'_>,
) -> Vec<ModelDeployment> {
    let mut names = Names::default();
    let mut groups = grouped(deployments, &mut names);
    for group in &mut groups {
        let retry = defaults.group_retry.get(&group.name).cloned().unwrap_or_default();
        for (_, member) in &mut group.members {
            fill(&mut member.spec, defaults);
            let own = defaults::merged(&defaults.retry, retry.clone());
            let merged = defaults::merged(&own, member.spec.retry.take().unwrap_or_default());
            member.spec.retry =
                Some(merged).filter(|retry| *retry != turnpike_crds::model_deployment::Retry::default());
        }
        share(group, defaults, context);
    }
    for (group, path) in defaults.group_retry.keys().map(|name| (name, "router_settings.model_group_retry_policy")) {
        if !groups.iter().any(|known| known.name == *group) {
            context.hand(format!("{path}.{group}"), "there is no such model_name, so it has no effect; correct it");
        }
    }
    embeddings(&mut groups, context);
    let routes = link(&mut groups, defaults, &mut names, context);
    rename(&mut groups, defaults, context);
    access(&groups, context);
    let members = groups.into_iter().flat_map(|group| group.members).map(|(name, member)| (name, member.spec));
    members.chain(routes).map(|(name, spec)| object(&name, spec)).collect()
}

fn object(name: &str, spec: ModelDeploymentSpec) -> ModelDeployment {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    ModelDeployment { metadata, spec, status: None }
}

/// Names of objects, each given once.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn give(&mut self, wanted: &str) -> String {
        let numbered = (2..).map(|number: u32| format!("{wanted}-{number}"));
        let mut candidates = std::iter::once(wanted.to_owned()).chain(numbered);
        let name = candidates.find(|name| !self.0.contains(name)).unwrap_or_default();
        self.0.insert(name.clone());
        name
    }
}

/// In the letters of names in Kubernetes: `openai/*` is `openai-any`.
fn slug(name: &str) -> String {
    let spelled = name.to_ascii_lowercase().replace('*', "any");
    let letters: String =
        spelled.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let parts: Vec<&str> = letters.split('-').filter(|part| !part.is_empty()).collect();
    let mut slug: String = parts.join("-").chars().take(MOST_NAME).collect();
    slug.truncate(slug.trim_end_matches('-').len());
    if slug.is_empty() { "model".to_owned() } else { slug }
}

fn grouped(deployments: Vec<Deployment>, names: &mut Names) -> Vec<Group> {
    let mut groups: Vec<(String, Vec<Deployment>)> = Vec::new();
    for deployment in deployments {
        match groups.iter_mut().find(|(name, _)| *name == deployment.group) {
            Some((_, members)) => members.push(deployment),
            None => groups.push((deployment.group.clone(), vec![deployment])),
        }
    }
    let named = |(name, members): (String, Vec<Deployment>)| {
        let several = members.len() > 1;
        let numbered = |(at, member): (usize, Deployment)| {
            let wanted = if several { format!("{}-{}", slug(&name), at + 1) } else { slug(&name) };
            (names.give(&wanted), member)
        };
        let members = members.into_iter().enumerate().map(numbered).collect();
        Group { name, members }
    };
    groups.into_iter().map(named).collect()
}

/// What holds for all models, where this one says nothing.
fn fill(spec: &mut ModelDeploymentSpec, defaults: &Defaults) {
    spec.pool_strategy = defaults.strategy;
    let mut timeouts = spec.timeouts.take().unwrap_or_default();
    timeouts.total = timeouts.total.or_else(|| defaults.total.clone());
    timeouts.first_byte = timeouts.first_byte.or_else(|| defaults.first_byte.clone());
    spec.timeouts = Some(timeouts).filter(|timeouts| *timeouts != Timeouts::default());
    let mut health = spec.health.take().unwrap_or_default();
    health.active = health.active.or(defaults.probes);
    health.interval = health.interval.or_else(|| defaults.interval.clone());
    health.allowed_fails = health.allowed_fails.or(defaults.allowed_fails);
    health.cooldown = health.cooldown.or_else(|| defaults.cooldown.clone());
    spec.health = Some(health).filter(|health| *health != Health::default());
    let mut limits = spec.limits.take().unwrap_or_default();
    limits.max_parallel = limits.max_parallel.or(defaults.max_parallel);
    spec.limits = Some(limits).filter(|limits| *limits != Limits::default());
    spec.cache = spec.cache.take().or_else(|| defaults.cache.clone());
    if defaults.drop_unsupported
        && let Some(provider) = &mut spec.provider
    {
        let mut params = provider.params.take().unwrap_or_default();
        params.drop_unsupported = true;
        provider.params = Some(params);
    }
}

/// Shares and order within a group, as LiteLLM's simple-shuffle has them: by weight, else by rpm, else by tpm.
fn share(group: &mut Group, defaults: &Defaults, context: &mut Context<'_>) {
    let of_limits = |member: &Deployment, pick: fn(&Limits) -> Option<i64>| member.spec.limits.as_ref().and_then(pick);
    let by_limits = defaults.strategy == Strategy::Weighted;
    let metrics: [Vec<Option<i64>>; 3] = [
        group.members.iter().map(|(_, member)| member.weight).collect(),
        group.members.iter().map(|(_, member)| of_limits(member, |limits| limits.rpm).filter(|_| by_limits)).collect(),
        group.members.iter().map(|(_, member)| of_limits(member, |limits| limits.tpm).filter(|_| by_limits)).collect(),
    ];
    let several = group.members.len() > 1;
    let shares = metrics.into_iter().find(|metric| metric.iter().any(Option::is_some)).filter(|_| several);
    if let Some(shares) = shares {
        let greatest = shares.iter().flatten().copied().max().unwrap_or_default();
        for ((_, member), share) in group.members.iter_mut().zip(shares) {
            if share.is_none() {
                let text = "it has no weight, rpm or tpm where others of its model_name have: LiteLLM gives it no requests, \
                            and so does weight 0; raise it";
                context.changed(format!("{}.litellm_params", member.path), text);
            }
            member.spec.weight = small(scaled(share.unwrap_or_default(), greatest)).unwrap_or_default();
        }
    }
    let last = group.members.iter().filter_map(|(_, member)| member.order).max();
    for (_, member) in &mut group.members {
        let order = member.order.or_else(|| last.map(|last| (last + 1).min(MOST_SHARE))).filter(|_| several);
        member.spec.priority = order.and_then(small).unwrap_or_default();
    }
}

/// In proportion, the greatest within bounds and none that is something nothing.
fn scaled(share: i64, greatest: i64) -> i64 {
    if greatest <= MOST_SHARE {
        return share;
    }
    let scaled = share.saturating_mul(MOST_SHARE) / greatest.max(1);
    if share > 0 { scaled.max(1) } else { 0 }
}

/// Takes comparing by meaning from caches where no model can compare.
fn embeddings(groups: &mut [Group], context: &mut Context<'_>) {
    let names: BTreeSet<String> = groups.iter().map(|group| group.name.clone()).collect();
    for (_, member) in groups.iter_mut().flat_map(|group| &mut group.members) {
        let Some(cache) = &mut member.spec.cache else { continue };
        if let Some(semantic) = cache.semantic.take_if(|semantic| !names.contains(&semantic.embedding_model)) {
            let model = semantic.embedding_model;
            let text = format!(
                "no model_name is {model}, which is to compare prompts: only equal ones are answered again. Add it"
            );
            context.hand("litellm_settings.cache_params.type", text);
        }
    }
}

/// Sets fallbacks. A group of several is reached by an Internal route over them, which is made where it is needed.
fn link(
    groups: &mut [Group],
    defaults: &Defaults,
    names: &mut Names,
    context: &mut Context<'_>,
) -> Vec<(String, ModelDeploymentSpec)> {
    let chains = chains_of(groups, defaults);
    let mut routes: BTreeMap<String, (String, ModelDeploymentSpec)> = BTreeMap::new();
    let mut found: BTreeMap<String, Vec<Fallback>> = BTreeMap::new();
    let of_alias = |name: &String| defaults.aliases.iter().find(|(alias, ..)| alias == name).map(|(_, group, _)| group);
    for chain in &chains {
        let has = |cause| chains.iter().any(|other| other.cause == cause);
        let on = chains::on(chain.cause, has);
        let from = of_alias(&chain.from).unwrap_or(&chain.from);
        if !groups.iter().any(|group| group.name == *from) {
            context.hand(&*chain.path, format!("no model_name is {from}, so it has no fallbacks; correct it"));
            continue;
        }
        for name in chain.to.iter().filter(|name| *name != from) {
            let alias = of_alias(name);
            let Some(group) = groups.iter().find(|group| group.name == *name || Some(&group.name) == alias) else {
                context.hand(&*chain.path, unknown(name, groups));
                continue;
            };
            let target = if let [(single, _)] = group.members.as_slice() {
                single.clone()
            } else {
                let made = || (names.give(&format!("{}-all", slug(&group.name))), route(group));
                routes.entry(group.name.clone()).or_insert_with(made).0.clone()
            };
            add(found.entry(from.clone()).or_default(), &target, &on);
        }
    }
    for (from, fallbacks) in found {
        let Some(group) = groups.iter_mut().find(|group| group.name == from) else { continue };
        // A pool has the fallbacks of all its members: the first one's are enough.
        let Some((_, first)) = group.members.first_mut() else { continue };
        first.spec.fallbacks = fallbacks;
    }
    routes.into_values().collect()
}

fn unknown(name: &str, groups: &[Group]) -> String {
    let covers = |group: &&Group| {
        group.name.contains('*') && ModelPattern::parse(&group.name).is_ok_and(|pattern| pattern.matches(name))
    };
    match groups.iter().find(covers) {
        Some(group) => format!(
            "{name} is served by {} only, and a fallback needs a model of a full name: add {name} to model_list, and import again",
            group.name
        ),
        None => format!("no model_name is {name}, so nothing falls back to it; correct it and import again"),
    }
}

/// All chains, those for every group written out.
fn chains_of(groups: &[Group], defaults: &Defaults) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    for group in groups {
        for (_, member) in group.members.iter().filter(|(_, member)| !member.fallbacks.is_empty()) {
            let path = format!("{}.litellm_params.fallbacks", member.path);
            chains.push(Chain { path, from: group.name.clone(), to: member.fallbacks.clone(), cause: Cause::Any });
        }
    }
    chains.extend(defaults.chains.iter().filter(|chain| chain.from != ANY).cloned());
    for chain in defaults.chains.iter().filter(|chain| chain.from == ANY) {
        let served =
            |group: &&Group| !group.members.iter().all(|(_, member)| member.spec.visibility == Visibility::Internal);
        for group in groups.iter().filter(served) {
            let is_own =
                |other: &Chain| other.from == group.name && other.cause == chain.cause && other.path != chain.path;
            if !chains.iter().any(is_own) {
                chains.push(Chain { from: group.name.clone(), ..chain.clone() });
            }
        }
    }
    chains
}

/// One entry for each model, with the causes of all chains.
fn add(fallbacks: &mut Vec<Fallback>, target: &str, on: &[FallbackOn]) {
    if let Some(known) = fallbacks.iter_mut().find(|known| known.model_ref.name == target) {
        known.on.extend(on.iter().filter(|cause| !known.on.contains(cause)).copied().collect::<Vec<_>>());
    } else {
        let model_ref = ModelRef { name: target.to_owned() };
        fallbacks.push(Fallback { model_ref, on: on.to_vec(), ..Fallback::default() });
    }
}

/// A route over the members of a group, chosen among as they are in their pool.
fn route(group: &Group) -> ModelDeploymentSpec {
    let target = |(name, member): &(String, Deployment)| Target {
        model_ref: ModelRef { name: name.clone() },
        weight: member.spec.weight,
        priority: member.spec.priority,
        tags: Vec::new(),
    };
    let first = group.members.first().map(|(_, member)| &member.spec);
    ModelDeploymentSpec {
        visibility: Visibility::Internal,
        route: Some(Route {
            strategy: first.map(|spec| spec.pool_strategy).unwrap_or_default(),
            targets: group.members.iter().map(target).collect(),
            ..Route::default()
        }),
        retry: first.and_then(|spec| spec.retry.clone()),
        ..ModelDeploymentSpec::default()
    }
}

/// `model_group_alias`.
fn rename(groups: &mut [Group], defaults: &Defaults, context: &mut Context<'_>) {
    for (alias, name, path) in &defaults.aliases {
        let taken = groups.iter().any(|group| group.name == *alias);
        let group = groups.iter_mut().find(|group| group.name == *name);
        match group {
            _ if taken => {
                context.hand(path, "a model_name is called the same, so the alias was left out; rename one of them");
            }
            _ if !matches!(ModelPattern::parse(alias), Ok(ModelPattern::Exact(_))) => {
                context.hand(
                    path,
                    "an alias is a name of letters, digits and . _ : / @ + - without *; it was left out: rename it",
                );
            }
            Some(group) if !group.name.contains('*') => {
                for (_, member) in &mut group.members {
                    member.spec.aliases.push(alias.clone());
                }
            }
            _ => {
                context.hand(path, format!("no model_name is {name}, so the alias was left out; add it to model_list"));
            }
        }
    }
}

/// Groups of models are lists of names here.
fn access(groups: &[Group], context: &mut Context<'_>) {
    let mut lists: BTreeMap<&str, (String, Vec<&str>)> = BTreeMap::new();
    for group in groups {
        for (_, member) in &group.members {
            for access in &member.access_groups {
                let path = || (format!("{}.model_info.access_groups", member.path), Vec::new());
                let (_, names) = lists.entry(access).or_insert_with(path);
                if !names.contains(&group.name.as_str()) {
                    names.push(&group.name);
                }
            }
        }
    }
    for (access, (path, names)) in lists {
        let names = names.join("\", \"");
        context.hand(path, format!("write allowedModels: [\"{names}\"] in VirtualKeys that may call {access}"));
    }
}
