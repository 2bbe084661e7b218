//! Which models serve which names, as each namespace sees them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use turnpike_bundle::entry::{Backend, ModelEntry, ObjectRef, Visibility};

use crate::config::snapshot::{Member, Model, Names, Pool, Snapshot, Wildcard};

/// A route through routes is followed this far.
const MAX_ROUTE_DEPTH: u32 = 4;

/// All models, by object.
struct Models<'a> {
    entries: HashMap<&'a ObjectRef, &'a ModelEntry>,
    compiled: &'a BTreeMap<&'a ObjectRef, Arc<Model>>,
}

/// A pool and the names that lead to it.
struct NamedPool<'a> {
    namespace: &'a str,
    pool: Arc<Pool>,
    names: Vec<&'a str>,
}

/// Fills the snapshot's names.
///
/// A namespace sees all of its own models, and of others those that are Cluster-visible; its own names shadow theirs.
/// Where two pools of different namespaces claim a name, the older has it.
pub(super) fn fill(snapshot: &mut Snapshot, entries: &[ModelEntry], compiled: &BTreeMap<&ObjectRef, Arc<Model>>) {
    let models = Models { entries: entries.iter().map(|entry| (&entry.object, entry)).collect(), compiled };
    // Nobody asks for an internal model by name, so it neither joins nor hides a pool of that name.
    let own = models.pools(entries.iter().filter(|entry| entry.visibility != Visibility::Internal));
    let cluster = models.pools(entries.iter().filter(|entry| entry.visibility == Visibility::Cluster));
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

impl<'a> Models<'a> {
    /// Pools by namespace and public name, the oldest first.
    fn pools(&self, entries: impl Iterator<Item = &'a ModelEntry>) -> Vec<NamedPool<'a>> {
        let mut grouped: BTreeMap<(&str, &str), Vec<&ModelEntry>> = BTreeMap::new();
        for entry in entries {
            grouped.entry((&entry.object.namespace, &entry.model_name)).or_default().push(entry);
        }
        let mut pools: Vec<NamedPool<'a>> = grouped
            .into_iter()
            .filter_map(|((namespace, name), entries)| self.pool(namespace, name, &entries))
            .collect();
        pools.sort_by(|a, b| {
            (a.pool.created, a.namespace, &a.pool.name).cmp(&(b.pool.created, b.namespace, &b.pool.name))
        });
        pools
    }

    fn pool(&self, namespace: &'a str, name: &'a str, entries: &[&'a ModelEntry]) -> Option<NamedPool<'a>> {
        let mut members = Vec::new();
        for entry in entries {
            match self.compiled.get(&entry.object) {
                Some(model) => {
                    let model = Arc::clone(model);
                    members.push(Member { model, weight: entry.weight, priority: entry.priority });
                }
                None => self.expand(entry, MAX_ROUTE_DEPTH, &mut members),
            }
        }
        if members.is_empty() {
            return None;
        }
        members.sort_by_key(|member| member.priority);
        let mut names = vec![name];
        for alias in entries.iter().flat_map(|entry| &entry.aliases) {
            if !names.contains(&alias.as_str()) {
                names.push(alias);
            }
        }
        let created = entries.iter().map(|entry| entry.created).min().unwrap_or_default();
        Some(NamedPool { namespace, pool: Arc::new(Pool { name: name.into(), members, created }), names })
    }

    /// A route's targets become members of its pool; a target that is a route itself is followed.
    fn expand(&self, route: &ModelEntry, depth: u32, members: &mut Vec<Member>) {
        let Backend::Route(route) = &route.backend else {
            return;
        };
        for target in &route.targets {
            if let Some(model) = self.compiled.get(&target.model) {
                members.push(Member { model: Arc::clone(model), weight: target.weight, priority: target.priority });
            } else if let (Some(inner), Some(depth)) = (self.entries.get(&target.model), depth.checked_sub(1)) {
                let first = members.len();
                self.expand(inner, depth, members);
                share(members.get_mut(first..).unwrap_or_default(), target.weight, target.priority);
            }
        }
    }
}

/// Gives an inner route's best members the share and priority that the outer route gives the inner one.
fn share(inner: &mut [Member], weight: u32, priority: i32) {
    let best = inner.iter().map(|member| member.priority).min().unwrap_or_default();
    let total: u64 = inner.iter().filter(|member| member.priority == best).map(|member| u64::from(member.weight)).sum();
    for member in inner.iter_mut() {
        let part = u64::from(member.weight) * u64::from(weight) / total.max(1);
        member.weight = u32::try_from(part).unwrap_or(u32::MAX).max(u32::from(weight > 0 && member.weight > 0));
        member.priority = priority.saturating_add(member.priority.saturating_sub(best));
    }
}
