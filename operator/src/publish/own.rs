//! Tells the publisher when somebody may have touched its objects. Only metadata is watched.

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use futures_util::{
    Stream, StreamExt,
    stream::{self, SelectAll},
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Resource,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

use crate::{
    context::Context,
    names::{INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Names},
    publish::parts::part_of,
};

/// What the watches saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A part is there in this resourceVersion; `None` = it was deleted.
    Part(String, Option<String>),
    /// All parts in `ConfigMaps` (false) or in Secrets (true): any other is not there.
    All(bool, BTreeSet<String>),
    /// The gateways' Secret or the admin's.
    Tokens,
}

/// What is seen, for as long as it is polled.
pub type Seeing = SelectAll<Pin<Box<dyn Stream<Item = Seen> + Send>>>;

/// Watches the bundle's objects and the two Secrets with tokens.
pub fn watch(context: &Context) -> Seeing {
    let labels = format!("{MANAGED_BY_LABEL}={MANAGED_BY},{INSTANCE_LABEL}={}", context.names.instance);
    let labelled = watcher::Config::default().labels(&labels);
    // The admin's Secret may be brought by somebody who knows nothing of our labels.
    let named = watcher::Config::default().fields(&format!("metadata.name={}", context.names.admin_secret()));
    stream::select_all([
        parts::<ConfigMap>(context, labelled.clone(), false),
        parts::<Secret>(context, labelled, true),
        events::<Secret>(context, named).map(|_| Seen::Tokens).boxed(),
    ])
}

fn parts<K>(context: &Context, config: watcher::Config, secret: bool) -> Pin<Box<dyn Stream<Item = Seen> + Send>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
    K: Send + 'static,
{
    let mut sorter = Sorter { names: Arc::clone(&context.names), secret, listed: BTreeSet::new() };
    events::<K>(context, config).flat_map(move |event| stream::iter(sorter.sort(event))).boxed()
}

fn events<K>(
    context: &Context,
    config: watcher::Config,
) -> impl Stream<Item = Event<PartialObjectMeta<K>>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
    K: Send + 'static,
{
    let api = Api::<PartialObjectMeta<K>>::namespaced(context.client.clone(), &context.names.release_namespace);
    watcher(api, config).default_backoff().filter_map(async |event| match event {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::warn!(%error, "watching the bundle's objects failed; trying again");
            None
        }
    })
}

/// Turns events into what the publisher wants to know.
struct Sorter {
    names: Arc<Names>,
    secret: bool,
    listed: BTreeSet<String>,
}

impl Sorter {
    fn sort<K>(&mut self, event: Event<PartialObjectMeta<K>>) -> Option<Seen> {
        match event {
            Event::Apply(object) => {
                let version = object.metadata.resource_version.clone();
                self.of(&object, version)
            }
            Event::Delete(object) => self.of(&object, None),
            Event::Init => {
                self.listed.clear();
                None
            }
            Event::InitApply(object) => {
                let version = object.metadata.resource_version.clone();
                let seen = self.of(&object, version);
                if let Some(Seen::Part(part, _)) = &seen {
                    self.listed.insert(part.clone());
                }
                seen
            }
            Event::InitDone => Some(Seen::All(self.secret, std::mem::take(&mut self.listed))),
        }
    }

    fn of<K>(&self, object: &PartialObjectMeta<K>, resource_version: Option<String>) -> Option<Seen> {
        let name = object.metadata.name.as_deref()?;
        if self.secret && name == self.names.gateway_secret() {
            return Some(Seen::Tokens);
        }
        part_of(&self.names, name, self.secret).map(|part| Seen::Part(part, resource_version))
    }
}
