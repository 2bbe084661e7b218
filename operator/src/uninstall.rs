//! `turnpike-operator release-finalizers`: what the chart does before it is uninstalled, so that nothing hangs afterwards.
//!
//! Stops the operator first, which would put its finalizer back, then takes it off every `VirtualKey`. The keys stay, and
//! an operator that is installed again takes them up.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};
use turnpike_crds::VirtualKey;

use crate::{
    kit::backoff::brief,
    names::{INSTANCE_LABEL, Names},
    settings::Settings,
    virtual_key::finalizer,
};

/// Longest wait for the operator's pods to end. One on a dead node never does.
const STOPPED: Duration = Duration::from_mins(1);
/// Time between looks at them.
const LOOK: Duration = Duration::from_millis(250);
/// Keys that one page of a list holds.
const PAGE: u32 = 500;
/// Patches under way at once.
const AT_ONCE: usize = 16;
/// Tries of one key while others change it.
const TRIES: usize = 5;

/// Why something may hang.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// The operator goes on.
    #[error("the operator cannot be stopped")]
    Stop(#[source] kube::Error),
    /// Not all keys are known.
    #[error("VirtualKeys cannot be listed")]
    List(#[source] kube::Error),
    /// A key keeps its finalizer.
    #[error("the finalizer of VirtualKey {0} cannot be removed")]
    Key(String, #[source] kube::Error),
    /// A key keeps its finalizer: others change it all the time.
    #[error("VirtualKey {0} changes all the time; its finalizer is still there")]
    Busy(String),
}

/// Stops the operator and takes its finalizer off every `VirtualKey` of the watched namespaces.
///
/// # Errors
/// See [`UninstallError`]. What was done stays done; running it again goes on.
pub async fn run(client: &Client, names: &Names, settings: &Settings) -> Result<(), UninstallError> {
    stop(client, names).await.map_err(UninstallError::Stop)?;
    let finalizer = names.finalizer();
    let mut released = 0_usize;
    for api in apis(client, settings) {
        for keys in pages(&api).await? {
            let held: Vec<_> = keys.into_iter().filter(|key| finalizer::remove(key, &finalizer).is_some()).collect();
            released += held.len();
            stream::iter(held)
                .map(|key| release(client, key, &finalizer))
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
    }
    tracing::info!(released, "no VirtualKey has the finalizer any more");
    Ok(())
}

/// One API for the whole cluster, or one for each watched namespace.
fn apis(client: &Client, settings: &Settings) -> Vec<Api<VirtualKey>> {
    if settings.watch_namespaces.is_empty() {
        return vec![Api::all(client.clone())];
    }
    settings.watch_namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
}

/// Scales the operator to nothing and waits for its pods to end.
async fn stop(client: &Client, names: &Names) -> kube::Result<()> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), &names.release_namespace);
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    match deployments.patch_scale(&format!("{}-operator", names.instance), &PatchParams::default(), &none).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error),
    }
    let pods = Api::<Pod>::namespaced(client.clone(), &names.release_namespace);
    let labels = format!("app.kubernetes.io/component=operator,{INSTANCE_LABEL}={}", names.instance);
    let params = ListParams::default().labels(&labels);
    let end = Instant::now() + STOPPED;
    while !pods.list_metadata(&params).await?.items.is_empty() {
        if Instant::now() >= end {
            tracing::warn!("a pod of the operator does not end; going on without waiting for it");
            break;
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Metadata of all keys: one that cannot be read must not keep its finalizer.
async fn pages(api: &Api<VirtualKey>) -> Result<Vec<Vec<ObjectMeta>>, UninstallError> {
    let (mut pages, mut params) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let page = match api.list_metadata(&params).await {
            Ok(page) => page,
            // The CRD is gone, and with it all keys.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(pages),
            Err(error) => return Err(UninstallError::List(error)),
        };
        pages.push(page.items.into_iter().map(|key| key.metadata).collect());
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(pages),
        }
    }
}

/// Takes the finalizer off one key, however often others change it meanwhile.
async fn release(client: &Client, mut key: ObjectMeta, finalizer: &str) -> Result<(), UninstallError> {
    let (namespace, name) = (key.namespace.clone().unwrap_or_default(), key.name.clone().unwrap_or_default());
    let full = format!("{namespace}/{name}");
    let api = Api::<VirtualKey>::namespaced(client.clone(), &namespace);
    for _ in 0..TRIES {
        let Some(operations) = finalizer::remove(&key, finalizer) else { return Ok(()) };
        let patch = finalizer::patch(operations)
            .map_err(|error| UninstallError::Key(full.clone(), kube::Error::SerdeError(error)))?;
        match api.patch_metadata(&name, &PatchParams::default(), &patch).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            // 422: a test of the patch failed.
            Err(error @ kube::Error::Api(_)) if is_change(&error) => {
                tracing::debug!(key = full, error = brief(&error), "the key has changed");
            }
            Err(error) => return Err(UninstallError::Key(full, error)),
        }
        match api.get_metadata_opt(&name).await {
            Ok(Some(found)) if found.metadata.uid == key.uid => key = found.metadata,
            Ok(_) => return Ok(()),
            Err(error) => return Err(UninstallError::Key(full, error)),
        }
    }
    Err(UninstallError::Busy(full))
}

fn is_change(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 || status.code == 422)
}
