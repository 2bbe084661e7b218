//! What the operator has observed of the cluster: one immutable picture, replaced with every change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::StreamExt;
use kube::{ResourceExt, core::ObjectMeta};
use tokio::{sync::watch, time::Instant};
use turnpike_bundle::{Objects, Secret, entry::ObjectRef, objects::Mode, problem::ObjectId};
use turnpike_crds::{Budget, ModelDeployment, VirtualKey};

use crate::context::Context;
use observer::Observer;
use pace::Pace;
use reads::Reads;
use told::Told;

pub mod guard;
pub mod listing;
pub mod observer;
pub mod pace;
pub mod secrets;

mod kept;
mod reads;
mod references;
mod told;
pub(crate) mod watches;

/// One picture of the cluster. What it holds is shared; a clone costs some milliseconds with 10,000 keys.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Grows with every change of what [`World::objects`] gives, and stays when nothing but a status has changed.
    /// 0 = nothing has been observed yet.
    pub inputs: u64,
    /// Models of this instance, deleted ones included while they still exist.
    pub models: BTreeMap<ObjectRef, Arc<ModelDeployment>>,
    /// Keys of this instance, deleted ones included while they still exist.
    pub keys: BTreeMap<ObjectRef, Arc<VirtualKey>>,
    /// Keys of other instances that still carry this one's finalizer: they were given away.
    pub given_away: BTreeMap<ObjectRef, Arc<ObjectMeta>>,
    /// Budgets of this instance, deleted ones included while they still exist.
    pub budgets: BTreeMap<ObjectRef, Arc<Budget>>,
    /// Secrets that objects refer to or that were minted for keys; of keys only digests are kept.
    pub secrets: BTreeMap<ObjectRef, Arc<Secret>>,
    /// Namespaces that are watched.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Services, by which models may reach private addresses of their own namespace.
    pub services: BTreeSet<ObjectRef>,
    /// Objects that cannot be read, with why; what was last read of them is still in the maps above.
    pub unreadable: BTreeMap<ObjectId, String>,
}

/// What matters of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Teams that its keys may claim; `None` = any.
    pub teams: Option<BTreeSet<String>>,
    /// It is being deleted: nothing may be created in it.
    pub terminating: bool,
}

impl World {
    /// What is published: an object that is being deleted serves no more.
    pub fn objects(&self) -> Objects {
        Objects {
            models: alive(&self.models),
            keys: alive(&self.keys),
            budgets: alive(&self.budgets),
            secrets: self.secrets.clone(),
            namespaces: self
                .namespaces
                .iter()
                .map(|(name, namespace)| (name.clone(), namespace.teams.clone()))
                .collect(),
            services: self.services.clone(),
        }
    }
}

fn alive<K: ResourceExt>(objects: &BTreeMap<ObjectRef, Arc<K>>) -> Vec<Arc<K>> {
    objects.values().filter(|object| object.meta().deletion_timestamp.is_none()).cloned().collect()
}

/// Events taken at a time.
const EVENTS: usize = 1024;

/// Watches the cluster and sends every picture of it: the first when all of it is known, then one whenever something has
/// changed. Never ends.
pub async fn run(context: Context, sender: watch::Sender<Arc<World>>) {
    let needs_label = context.settings.bundle.mode == Mode::Cluster;
    let scopes = watches::scopes(&context).len();
    let mut observer = Observer::new(context.names.instance.clone(), scopes, needs_label);
    let mut events = watches::all(&context).ready_chunks(EVENTS);
    let mut reads = Reads::new(context.client.clone());
    let mut pace = Pace::default();
    let mut told = Told::default();
    loop {
        tokio::select! {
            Some(chunk) = events.next() => for event in chunk {
                match event {
                    Ok(observed) => observer.observe(observed),
                    // It goes on by itself; until then the picture stays as it is.
                    Err(error) => tracing::warn!(error = %error, "a watch broke off"),
                }
            },
            done = reads.next() => for done in done { reads.take(&mut observer, done) },
            () = pace.pause() => {}
        }
        reads.order(observer.orders());
        let now = Instant::now();
        if observer.has_news() && pace.allows(now, observer.awaits_secrets()) {
            let picture = observer.picture();
            told.tell(&picture, &context.metrics);
            let World { inputs, models, keys, budgets, secrets, .. } = picture.as_ref();
            let (models, keys, budgets, secrets) = (models.len(), keys.len(), budgets.len(), secrets.len());
            let took = now.elapsed();
            tracing::debug!(inputs, models, keys, budgets, secrets, ?took, "the picture of the cluster has changed");
            sender.send_replace(picture);
            pace.sent(now, Instant::now());
        }
    }
}
