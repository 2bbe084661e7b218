//! The watches of what engines are made of.

use futures_util::stream::SelectAll;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    core::DynamicObject,
    runtime::watcher::{Config, watcher},
};
use turnpike_engine::names::{COMPONENT, COMPONENT_LABEL, FETCH_COMPONENT};

pub(super) use crate::world::watches::scopes;
use crate::{
    context::Context,
    engine::{kind::Kind, observer::Seen},
    names::INSTANCE_LABEL,
    world::watches::{Watch, api, config, tell},
};

/// The kinds that are watched. Not every cluster knows `PodMonitor`.
pub(super) fn kinds(context: &Context) -> Vec<Kind> {
    let monitors = context.settings.engine.pod_monitor;
    Kind::ALL.into_iter().filter(|kind| *kind != Kind::PodMonitor || monitors).collect()
}

/// What marks everything of this instance's engines.
pub(super) fn labels(context: &Context) -> String {
    format!("{COMPONENT_LABEL}={COMPONENT},{INSTANCE_LABEL}={}", context.names.instance)
}

/// What marks their pods, and those of the Jobs that fill their caches.
fn pods(context: &Context) -> String {
    format!("{COMPONENT_LABEL} in ({COMPONENT},{FETCH_COMPONENT}),{INSTANCE_LABEL}={}", context.names.instance)
}

/// Every watch.
pub(super) fn all(context: &Context) -> SelectAll<Watch<Seen>> {
    let ours: Config = config().labels(&labels(context));
    let mut watches = SelectAll::new();
    for (at, scope) in scopes(context).into_iter().enumerate() {
        let (client, scope) = (&context.client, scope.as_deref());
        let pods = watcher(api::<Pod>(client, scope), config().labels(&pods(context)));
        watches.push(tell(pods, move |event| Seen::Pod(at, event)));
        for kind in kinds(context) {
            let (client, resource) = (client.clone(), kind.resource());
            let api: Api<DynamicObject> = match scope {
                None => Api::all_with(client, &resource),
                Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            };
            watches.push(tell(watcher(api, ours.clone()), move |event| Seen::Child(at, kind, event)));
        }
    }
    watches
}
