//! Which models serve which names, as each namespace sees them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use turnpike_bundle::entry::{Backend, ModelEntry, ObjectRef, Visibility};
use turnpike_routing::{group::Group, traffic::Traffic};

use super::{
    groups,
    members::{Joining, Models},
};
use crate::{
    cache::settings::Settings,
    config::snapshot::{Engine, Model, Names, Pool, Snapshot, Wildcard},
};

/// A pool and the names that lead to it.
struct NamedPool<'a> {
    namespace: &'a str,
    pool: Arc<Pool>,
    names: Vec<&'a str>,
}

/// Fills the snapshot's names and objects.
///
/// A namespace sees all of its own models, and of others those that are Cluster-visible; its own names shadow theirs.
/// Where two pools of different namespaces claim a name, the older has it.
pub(super) fn fill(snapshot: &mut Snapshot, (entries, adapters): (&[ModelEntry], &[ModelEntry]), models: &Models<'_>) {
    let named = || entries.iter().chain(adapters);
    // Nobody asks for an internal model by name, so it neither joins nor hides a pool of that name.
    let own = by_name(models, named().filter(|entry| entry.visibility != Visibility::Internal));
    let cluster = by_name(models, named().filter(|entry| entry.visibility == Visibility::Cluster));
    for named in &own {
        snapshot.namespaces.entry(named.namespace.into()).or_default().add(named);
        snapshot.admin.add(named);
    }
    for named in &cluster {
        snapshot.cluster.add(named);
        for names in snapshot.namespaces.values_mut() {
            names.add(named);
        }
    }
    snapshot.objects = by_object(models, entries);
    snapshot.namespaces.values_mut().for_each(Names::sort);
    snapshot.cluster.sort();
    snapshot.admin.sort();
}

impl Names {
    /// Adds a pool under its names; a name that is taken stays as it is.
    fn add(&mut self, named: &NamedPool<'_>) {
        for name in &named.names {
            match name.split_once('*') {
                None => {
                    self.exact.entry((*name).into()).or_insert_with(|| Arc::clone(&named.pool));
                }
                Some((prefix, suffix)) => {
                    if !self.wildcards.iter().any(|other| *other.prefix == *prefix && *other.suffix == *suffix) {
                        let pool = Arc::clone(&named.pool);
                        self.wildcards.push(Wildcard { prefix: prefix.into(), suffix: suffix.into(), pool });
                    }
                }
            }
        }
    }

    /// The most specific wildcard first.
    fn sort(&mut self) {
        self.wildcards.sort_by_key(|wildcard| Reverse((wildcard.prefix.len(), wildcard.suffix.len())));
    }
}

/// Pools by namespace and public name, the oldest first.
fn by_name<'a>(models: &Models<'a>, entries: impl Iterator<Item = &'a ModelEntry>) -> Vec<NamedPool<'a>> {
    let mut grouped: BTreeMap<(&str, &str), Vec<&ModelEntry>> = BTreeMap::new();
    for entry in entries {
        grouped.entry((&entry.object.namespace, &entry.model_name)).or_default().push(entry);
    }
    let mut pools: Vec<NamedPool<'a>> = grouped
        .into_iter()
        .filter_map(|((namespace, name), mut entries)| {
            entries.sort_by_key(|entry| (entry.created, &entry.object));
            let traffic = models.backends.of_pool(namespace, name);
            let pool = pool(models, name, &entries, traffic)?;
            Some(NamedPool { namespace, pool: Arc::new(pool), names: names(name, &entries) })
        })
        .collect();
    pools.sort_by(|a, b| (a.pool.created, a.namespace, &a.pool.name).cmp(&(b.pool.created, b.namespace, &b.pool.name)));
    pools
}

/// A pool for each object that another one falls back to or mirrors to, by `namespace/name`.
fn by_object(models: &Models<'_>, entries: &[ModelEntry]) -> HashMap<Arc<str>, Arc<Pool>> {
    let named = entries.iter().flat_map(|entry| {
        let mirror = match &entry.backend {
            Backend::Route(route) => route.mirror.as_ref().map(|mirror| &mirror.model),
            Backend::Provider(_) | Backend::Mock { .. } => None,
        };
        entry.fallbacks.iter().map(|fallback| &fallback.model).chain(mirror)
    });
    let named: BTreeSet<&ObjectRef> = named.collect();
    let found = named.into_iter().filter_map(|object| {
        let entry = models.entries.get(object)?;
        let pool = pool(models, &entry.model_name, &[entry], models.backends.of_object(object))?;
        Some((groups::id(object), Arc::new(pool)))
    });
    found.collect()
}

fn names<'a>(name: &'a str, entries: &[&'a ModelEntry]) -> Vec<&'a str> {
    let mut names = vec![name];
    for alias in entries.iter().flat_map(|entry| &entry.aliases) {
        if !names.contains(&alias.as_str()) {
            names.push(alias);
        }
    }
    names
}

/// The pool of these entries, the oldest first; `None` = nothing answers.
fn pool(models: &Models<'_>, name: &str, entries: &[&ModelEntry], traffic: Arc<Traffic>) -> Option<Pool> {
    let mut joining: Vec<Joining> = entries.iter().flat_map(|entry| models.of(entry)).collect();
    if joining.is_empty() {
        return None;
    }
    joining.sort_by_key(|member| member.priority);
    let engines = engines(&joining);
    let mut whole: Vec<Arc<Model>> = Vec::new();
    for model in joining.iter().map(Joining::model) {
        if !whole.iter().any(|known| Arc::ptr_eq(known, model)) {
            whole.push(Arc::clone(model));
        }
    }
    let (members, of_group): (Vec<_>, Vec<_>) = joining.into_iter().flat_map(Joining::split).unzip();
    // Engines of weight 0 alone, which have no replica.
    if members.is_empty() && engines.is_empty() {
        return None;
    }
    let settings = groups::settings(entries, |object| models.serves(object));
    // Those who have replicas are among the members.
    let serving = members.iter().filter(|member| member.weight > 0).map(|member| member.priority).min();
    let preferred = engines.iter().take_while(|(priority, _)| serving.is_none_or(|best| *priority <= best)).count();
    let is_cold = serving.is_none() && !engines.is_empty();
    let group = Group { members: of_group.into(), traffic, is_cold, ..settings };
    let total = match entries.first().map(|entry| &entry.backend) {
        Some(Backend::Route(route)) => route.total,
        Some(Backend::Provider(_) | Backend::Mock { .. }) | None => None,
    };
    let longest = || whole.iter().map(|model| model.entry.timeouts.total).max().unwrap_or_default();
    Some(Pool {
        name: name.into(),
        total: Duration::from_millis(total.unwrap_or_else(longest)),
        caching: Settings::of(entries, whole.iter().map(|model| &**model), &group).map(Box::new),
        created: entries.iter().map(|entry| entry.created).min().unwrap_or_default(),
        members,
        models: whole,
        engines: engines.into_iter().map(|(_, engine)| engine).collect(),
        preferred,
        group,
    })
}

/// Each engine among them once, with the priority that comes first.
fn engines(joining: &[Joining]) -> Vec<(i32, Arc<Engine>)> {
    let mut engines: Vec<(i32, Arc<Engine>)> = Vec::new();
    for (priority, engine) in joining.iter().filter_map(|joining| Some((joining.priority, joining.engine()?))) {
        if !engines.iter().any(|(_, known)| Arc::ptr_eq(known, engine)) {
            engines.push((priority, Arc::clone(engine)));
        }
    }
    engines
}
