//! A context for tests: an operator that has seen nothing yet.

use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use turnpike_operator::{context::Context, kit::events::Events, metrics::Metrics, names::Names, settings::Settings};

/// A context around a client, for this instance in this namespace, and the work that writes its events. What a test feeds it
/// with is put in the place of what is there.
pub(crate) fn context(client: Client, instance: &str, namespace: &str) -> (Context, impl Future<Output = ()> + use<>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let names = Names { instance: instance.to_owned(), release_namespace: namespace.to_owned() };
    let (events, writer) = Events::new(client.clone(), &names, "me".to_owned(), Arc::clone(&metrics));
    let settings = Settings {
        bundle: turnpike_bundle::Settings::default(),
        watch_namespaces: std::collections::BTreeSet::new(),
        gateway_url: None,
        engine: turnpike_engine::Settings::default(),
        revocation_timeout: std::time::Duration::from_mins(1),
    };
    let context = Context {
        client,
        names: Arc::new(names),
        settings: Arc::new(settings),
        metrics,
        events,
        root: None,
        world: watch::channel(Arc::default()).1,
        published: watch::channel(Arc::default()).1,
        gateways: watch::channel(Arc::default()).1,
        spend: watch::channel(Arc::default()).1,
        engines: watch::channel(Arc::default()).1,
        engine_reports: turnpike_operator::engine::Reports::new().0,
    };
    (context, writer)
}
