//! Deletes the `PodMonitor`s of a time when they were wanted: they are watched only while they are.

use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Preconditions},
    core::DynamicObject,
};

use crate::{
    context::Context,
    engine::{kind::Kind, watches},
    kit::{apply::counted_as, backoff::brief},
    metrics::Verb,
};

/// Once, when it begins to lead. What fails is left for the next time: a `PodMonitor` too many does no harm.
pub(super) async fn run(context: &Context) {
    if context.settings.engine.pod_monitor {
        return;
    }
    for scope in watches::scopes(context) {
        match sweep(context, scope.as_deref()).await {
            Ok(()) => {}
            // The cluster does not know the kind.
            Err(kube::Error::Api(status)) if status.is_not_found() => return,
            Err(error) => tracing::warn!(error = brief(&error), "PodMonitors of engines may be left behind"),
        }
    }
}

async fn sweep(context: &Context, scope: Option<&str>) -> kube::Result<()> {
    let (client, resource) = (context.client.clone(), Kind::PodMonitor.resource());
    let all: Api<DynamicObject> = match scope {
        None => Api::all_with(client.clone(), &resource),
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    for monitor in all.list_metadata(&ListParams::default().labels(&watches::labels(context))).await? {
        let namespace = monitor.namespace().unwrap_or_default();
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
        let preconditions = Preconditions { uid: monitor.uid(), resource_version: None };
        let (name, params) = (monitor.name_any(), DeleteParams::default().preconditions(preconditions));
        counted_as(context, &resource.kind, Verb::Delete, api.delete(&name, &params)).await?;
    }
    Ok(())
}
