//! How a pool caches: the settings of its models, and what of their configuration an answer depends on.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use turnpike_bundle::entry::{Backend, Cache, ModelEntry, Semantic};
use turnpike_crds::model_deployment::CacheScope;
use turnpike_routing::group::{Group, Member};

use super::canonical::Digest;
use crate::config::snapshot::Model;

/// How a pool's answers are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long.
    pub ttl: Duration,
    /// Who shares them.
    pub scope: CacheScope,
    /// Requests that only mean the same are answered too.
    pub semantic: Option<Semantic>,
    /// What answers depend on beside the request: another backend, another digest.
    pub backends: Digest,
    /// Tags of a request say which of the pool's models may answer it.
    pub is_tagged: bool,
}

impl Settings {
    /// Of a pool that `entries` make up, and whose answers come from `models`. `None`: one of the entries does not want its
    /// answers kept. Where they differ, the narrower setting holds for all.
    pub fn of<'a>(entries: &[&ModelEntry], models: impl Iterator<Item = &'a Model>, group: &Group) -> Option<Self> {
        let caches: Vec<&Cache> = entries.iter().map(|entry| entry.cache.as_ref()).collect::<Option<_>>()?;
        let first = caches.first()?;
        let is_tagged = |member: &Member| !member.tags.is_empty() || !member.traits.tags.is_empty();
        Some(Self {
            ttl: Duration::from_millis(caches.iter().map(|cache| cache.ttl_ms).min().unwrap_or_default()),
            scope: caches.iter().map(|cache| cache.scope).min_by_key(|scope| width(*scope)).unwrap_or_default(),
            semantic: first.semantic.clone().filter(|_| caches.iter().all(|cache| cache.semantic == first.semantic)),
            backends: backends(models),
            is_tagged: group.members.iter().any(is_tagged),
        })
    }
}

/// What the answers of these models depend on beside the request.
pub fn backends<'a>(models: impl Iterator<Item = &'a Model>) -> Digest {
    let mut sum = Sha256::new();
    models.for_each(|model| sum.update(backend(&model.entry)));
    sum.finalize().into()
}

const fn width(scope: CacheScope) -> u8 {
    match scope {
        CacheScope::Key => 0,
        CacheScope::Team => 1,
        CacheScope::Cluster => 2,
    }
}

/// Whatever changes answers. A new credential does not.
fn backend(entry: &ModelEntry) -> Digest {
    let mut sum = Sha256::new();
    let mut add = |text: &str| {
        sum.update(text.len().to_le_bytes());
        sum.update(text);
    };
    add(&entry.object.to_string());
    match &entry.backend {
        Backend::Provider(backend) => {
            add(backend.provider.label());
            add(&backend.model);
            add(&backend.base_url);
            for text in [&backend.api_version, &backend.region, &backend.project] {
                add(text.as_deref().unwrap_or_default());
            }
            add(&serde_json::to_string(&backend.params).unwrap_or_default());
        }
        Backend::Mock { response } => add(response),
        // It has none of its own: the pool's members are its targets.
        Backend::Route(_) => {}
    }
    sum.finalize().into()
}
