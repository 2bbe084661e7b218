//! Touches gateway pods as [`crate::publish::bump`] says.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    context::Context,
    kit::apply::counted,
    metrics::Verb,
    names::BUNDLE_ANNOTATION,
    publish::bump::{Bump, Bumps},
};

/// The manifest that pods are to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Its hash; empty before the first.
    pub hash: String,
    /// Written by this process, so every pod is touched at once.
    pub written: bool,
}

/// Touches pods for as long as it is polled.
pub async fn run(context: Context, mut target: watch::Receiver<Arc<Target>>) {
    let mut gateways = context.gateways.clone();
    let mut bumps = Bumps::default();
    let mut touching = JoinSet::new();
    loop {
        let current = Arc::clone(&target.borrow_and_update());
        bumps.publish(&current.hash, current.written);
        let pods = Arc::clone(&gateways.borrow_and_update());
        let (due, next) = bumps.due(&pods, Instant::now());
        for bump in due {
            touching.spawn(touch(context.clone(), bump));
        }
        tokio::select! {
            Ok(()) = target.changed() => {}
            Ok(()) = gateways.changed() => {}
            Some(_) = touching.join_next() => {}
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            // Nobody is left who could change anything.
            else => return,
        }
    }
}

/// Changes the annotation of one pod. A failure is not fatal: the pod is touched again, and reads its volumes by itself
/// within minutes.
async fn touch(context: Context, bump: Bump) {
    let api = Api::<Pod>::namespaced(context.client.clone(), &context.names.release_namespace);
    // The annotation must become another one to be noticed.
    let value =
        if bump.again { format!("{}@{}", bump.hash, jiff::Timestamp::now().as_millisecond()) } else { bump.hash };
    let patch = json!({"metadata": {"uid": bump.uid, "annotations": {BUNDLE_ANNOTATION: value}}});
    let write = async { api.patch_metadata(&bump.pod, &PatchParams::default(), &Patch::Merge(&patch)).await };
    if let Err(error) = counted::<Pod, _>(&context, Verb::Patch, write).await {
        tracing::debug!(pod = bump.pod, %error, "a gateway pod could not be told of the new bundle");
    }
}
