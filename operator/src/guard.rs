//! What forbids this process to lead: CRDs older than its code, a second instance of the same name, a replaced root.
//!
//! Looked at before the Lease is taken, right after, and every half minute while leading. While something forbids it
//! the process is not ready: a rollout then stops and leaves the old operator at work, and `helm --wait` says so.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, ObjectReference},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, CustomResourceExt, Resource, ResourceExt,
    api::{ListParams, PartialObjectMeta},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use turnpike_crds::{Budget, CRD_VERSION_ANNOTATION, ModelDeployment, VirtualKey};

use crate::{
    context::Context,
    health::Readiness,
    kit::{backoff::brief, events::EventType, tell::tell},
    leader::observe::Observation,
    names::{INSTANCE_LABEL, Names},
};

pub mod blocker;

pub use blocker::Blocker;
use blocker::{crd_blocker, foreign_blocker, live};

/// Time between checks while blocked.
const BLOCKED: Duration = Duration::from_secs(5);
/// Time between checks while leading.
const LEADING: Duration = Duration::from_secs(30);
/// Leases that one page of a list holds.
const PAGE: u32 = 200;

/// Looks for what forbids to lead, and makes it known.
pub struct Guard {
    context: Context,
    readiness: Arc<watch::Sender<Readiness>>,
    /// Leases of the same instance in other namespaces.
    foreign: BTreeMap<String, Observation>,
    denied: bool,
}

impl Guard {
    /// Tells `readiness` what it finds.
    pub fn new(context: Context, readiness: Arc<watch::Sender<Readiness>>) -> Self {
        Self { context, readiness, foreign: BTreeMap::new(), denied: false }
    }

    /// Waits until nothing forbids to lead.
    pub async fn wait_until_clear(&mut self) {
        while self.check().await.is_err() {
            sleep(BLOCKED).await;
        }
    }

    /// Waits until something forbids to go on leading with `own`.
    pub async fn wait_until_blocked(&mut self, own: &Lease) -> Blocker {
        loop {
            sleep(LEADING).await;
            match self.find(Some(own)).await {
                Ok(()) => {}
                // What leads goes on while the apiserver is away; the Lease ends it if that lasts.
                Err(Blocker::Unknown(error)) => tracing::warn!(error, "cannot check whether this process may lead"),
                Err(blocker) => {
                    self.tell(Some(&blocker));
                    return blocker;
                }
            }
        }
    }

    /// Looks now.
    ///
    /// # Errors
    /// What forbids to lead; it has been logged, counted and told to people.
    pub async fn check(&mut self) -> Result<(), Blocker> {
        let found = self.find(None).await;
        self.tell(found.as_ref().err());
        found
    }

    async fn find(&mut self, own: Option<&Lease>) -> Result<(), Blocker> {
        self.look().await?;
        let foreign = live(&self.foreign, Instant::now());
        foreign.into_iter().find_map(|lease| foreign_blocker(lease, own)).map_or(Ok(()), Err)
    }

    /// Reads all that may forbid; Leases are noted, not judged.
    async fn look(&mut self) -> Result<(), Blocker> {
        for name in [ModelDeployment::crd_name(), VirtualKey::crd_name(), Budget::crd_name()] {
            self.crd(name).await?;
        }
        let root = read_root(&self.context.client, &self.context.names)
            .await
            .map_err(|error| Blocker::Unknown(brief(&error)))?;
        if root.as_ref().map(|root| &root.uid) != self.context.root.as_ref().map(|root| &root.uid) {
            return Err(Blocker::RootReplaced { name: self.context.names.root() });
        }
        self.leases().await.map_err(|error| Blocker::Unknown(brief(&error)))
    }

    async fn crd(&mut self, name: &'static str) -> Result<(), Blocker> {
        let crds = Api::<PartialObjectMeta<CustomResourceDefinition>>::all(self.context.client.clone());
        match crds.get_opt(name).await {
            Ok(found) => {
                let version =
                    found.as_ref().map(|crd| crd.annotations().get(CRD_VERSION_ANNOTATION).map(String::as_str));
                crd_blocker(name, version).map_or(Ok(()), Err)
            }
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                if !std::mem::replace(&mut self.denied, true) {
                    tracing::warn!(
                        "the CRDs' versions cannot be checked: reading CustomResourceDefinitions is not permitted"
                    );
                }
                Ok(())
            }
            Err(error) => Err(Blocker::Unknown(brief(&error))),
        }
    }

    async fn leases(&mut self) -> kube::Result<()> {
        let own = self.context.names.release_namespace.clone();
        let label = format!("{INSTANCE_LABEL}={}", self.context.names.instance);
        let client = || self.context.client.clone();
        let watched = &self.context.settings.watch_namespaces;
        let apis: Vec<Api<Lease>> = if watched.is_empty() {
            vec![Api::all(client())]
        } else {
            watched
                .iter()
                .filter(|namespace| **namespace != own)
                .map(|namespace| Api::namespaced(client(), namespace))
                .collect()
        };
        let mut found = BTreeMap::new();
        for api in apis {
            let leases = api.list(&ListParams::default().labels(&label).limit(PAGE)).await?;
            found.extend(leases.into_iter().map(|lease| (lease.namespace().unwrap_or_default(), lease)));
        }
        found.remove(&own);
        self.foreign.retain(|namespace, _| found.contains_key(namespace));
        let now = Instant::now();
        for (namespace, lease) in found {
            match self.foreign.get_mut(&namespace) {
                Some(seen) => seen.see(Some(lease), now),
                None => drop(self.foreign.insert(namespace, Observation::new(Some(lease), now))),
            }
        }
        Ok(())
    }

    fn tell(&self, blocker: Option<&Blocker>) {
        let readiness = blocker.map_or(Readiness::Ready, |blocker| Readiness::Blocked(blocker.to_string()));
        self.context.metrics.blocked.set(i64::from(blocker.is_some()));
        let changed = tell(&self.readiness, readiness);
        if let Some(blocker) = blocker.filter(|_| changed) {
            tracing::error!(reason = blocker.reason(), "this process must not lead: {blocker}");
        }
        if let Some(blocker) = blocker.filter(|blocker| !matches!(blocker, Blocker::Unknown(_))) {
            // Again each time: repeats are folded into one event's count.
            self.context.events.publish(
                self.lease(),
                EventType::Warning,
                blocker.reason(),
                "Lead",
                blocker.to_string(),
            );
        }
    }

    fn lease(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            namespace: Some(self.context.names.release_namespace.clone()),
            name: Some(self.context.names.lease()),
            ..ObjectReference::default()
        }
    }
}

/// The root ConfigMap as an owner; `None` where there is none.
///
/// # Errors
/// It cannot be read.
pub async fn read_root(client: &Client, names: &Names) -> kube::Result<Option<OwnerReference>> {
    let maps = Api::<PartialObjectMeta<ConfigMap>>::namespaced(client.clone(), &names.release_namespace);
    Ok(maps.get_opt(&names.root()).await?.and_then(|root| root.owner_ref(&())))
}
