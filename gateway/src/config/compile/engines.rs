//! Engines in this cluster: each verified address is a replica, and the adapters that replicas have are models by name.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use turnpike_bundle::entry::{Backend, ModelEntry, ObjectRef, ProviderBackend};

use super::{Known, model};
use crate::config::snapshot::{Engine, Model};

/// By object and public name: of an engine itself, and of each of its adapters.
pub(super) type Engines<'a> = BTreeMap<(&'a ObjectRef, &'a str), Arc<Engine>>;

/// Entries of the adapters of engines: the same model under `<modelName>:<adapter>`, asked for by the adapter's own name. A model
/// that has such a name of its own keeps it.
pub(super) fn adapters(entries: &[ModelEntry]) -> Vec<ModelEntry> {
    let taken: HashSet<(&str, &str)> =
        entries.iter().map(|entry| (&*entry.object.namespace, &*entry.model_name)).collect();
    let each = entries.iter().filter_map(|entry| Some((entry, provider(entry)?)));
    let each = each.flat_map(|(entry, provider)| {
        let names = provider.engine.iter().flat_map(|engine| &engine.adapters);
        names.map(move |adapter| adapted(entry, provider, adapter))
    });
    each.filter(|entry| !taken.contains(&(&*entry.object.namespace, &*entry.model_name))).collect()
}

fn adapted(entry: &ModelEntry, provider: &ProviderBackend, adapter: &str) -> ModelEntry {
    ModelEntry {
        model_name: format!("{}:{adapter}", entry.model_name),
        aliases: Vec::new(),
        backend: Backend::Provider(ProviderBackend { model: adapter.to_owned(), ..provider.clone() }),
        ..entry.clone()
    }
}

/// The engine of an entry, which may be an adapter's; `None` = it is none, or its model cannot be compiled.
pub(super) fn engine(
    entry: &ModelEntry,
    compiled: &BTreeMap<&ObjectRef, Arc<Model>>,
    known: Known<'_>,
) -> Option<Engine> {
    let (whole, provider) = (compiled.get(&entry.object)?, provider(entry)?);
    let of_engine = provider_of(whole)?;
    let addresses = known.seen.addresses.of(&entry.object, &of_engine.base_url, &of_engine.model);
    let serving = addresses.filter(|(_, names)| names.iter().any(|name| **name == *provider.model));
    // What was compiled for the whole compiles for an address.
    let replicas = serving.filter_map(|(address, _)| model(entry, Some(address), known).ok().flatten().map(Arc::new));
    let replicas = replicas.collect();
    let model = if *of_engine == *provider { Arc::clone(whole) } else { Arc::new(model(entry, None, known).ok()??) };
    let interest = known.seen.backends.of_engine(&entry.object);
    Some(Engine { model, entry: provider.engine.clone()?, replicas, interest })
}

/// `None` = it is no engine.
fn provider(entry: &ModelEntry) -> Option<&ProviderBackend> {
    match &entry.backend {
        Backend::Provider(provider) => Some(provider).filter(|provider| provider.engine.is_some()),
        Backend::Mock { .. } | Backend::Route(_) => None,
    }
}

fn provider_of(model: &Model) -> Option<&ProviderBackend> {
    provider(&model.entry)
}
