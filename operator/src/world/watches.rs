//! The watches themselves: what is asked of the apiserver, and how often after failures.

use std::{pin::Pin, time::Duration};

use futures_util::{
    Stream, StreamExt,
    future::ready,
    stream::{self, SelectAll},
};
use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use kube::{
    Api, Client, Resource,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        utils::Backoff as Reconnects,
        watcher::{self, Config, Event, watcher},
    },
};
use turnpike_bundle::objects::{Mode, USE_LABEL};

use super::{
    guard::Guard,
    observer::Observed,
    secrets::{Answer, Content, Order, Want},
};
use crate::{
    context::Context,
    kit::backoff::{Backoff, Failure, jitter},
    names::{DEFAULT_INSTANCE, INSTANCE_LABEL},
};

/// Seconds after which a watch is opened anew: a connection that died silently is noticed soon after.
const WATCH_SECONDS: u32 = 60;
/// Longest wait before a watch is opened again.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// HTTP status of a watch from a version that the apiserver has forgotten.
const GONE: u16 = 410;
/// How often namespaces are read where only some may be, and so none watched.
const NAMESPACE_PERIOD: Duration = Duration::from_secs(10);

/// What one watch tells, or why it broke off; it goes on by itself.
pub(crate) type Watch<T> = Pin<Box<dyn Stream<Item = Result<T, watcher::Error>> + Send>>;

/// The namespaces that are watched, one watch of each kind for each; `None` = all by one.
pub(crate) fn scopes(context: &Context) -> Vec<Option<String>> {
    let listed = &context.settings.watch_namespaces;
    if listed.is_empty() { vec![None] } else { listed.iter().cloned().map(Some).collect() }
}

/// Every watch.
pub(super) fn all(context: &Context) -> SelectAll<Watch<Observed>> {
    let ours = match context.names.instance.as_str() {
        // Objects without the label are ours, too: the apiserver cannot tell them from others'.
        DEFAULT_INSTANCE => config(),
        instance => config().labels(&format!("{INSTANCE_LABEL}={instance}")),
    };
    let secrets = match context.settings.bundle.mode {
        Mode::Cluster => config().labels(USE_LABEL),
        Mode::SingleTenant | Mode::Standalone => config(),
    };
    let mut watches = SelectAll::new();
    for (at, scope) in scopes(context).into_iter().enumerate() {
        let client = &context.client;
        let scope = scope.as_deref();
        watches.push(objects(client, scope, &ours, move |event| Observed::Model(at, event)));
        watches.push(objects(client, scope, &ours, move |event| Observed::Key(at, event)));
        watches.push(objects(client, scope, &ours, move |event| Observed::Budget(at, event)));
        let metadata = watcher(api::<PartialObjectMeta<Secret>>(client, scope), secrets.clone());
        watches.push(tell(metadata, move |event| Observed::Secret(at, event)));
        let services = watcher(api::<Service>(client, scope), config());
        watches.push(tell(services, move |event| Observed::Service(at, event)));
        watches.push(match scope {
            None => {
                let metadata = watcher(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), config());
                tell(metadata, move |event| Observed::Namespace(at, event))
            }
            Some(name) => namespace(client, name.to_owned(), at),
        });
    }
    watches
}

/// A watch that is opened anew often enough.
pub(crate) fn config() -> Config {
    Config::default().timeout(WATCH_SECONDS)
}

/// The objects of one namespace, or of all.
pub(crate) fn api<K>(client: &Client, scope: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match scope {
        None => Api::all(client.clone()),
        Some(namespace) => Api::namespaced(client.clone(), namespace),
    }
}

fn objects<K>(
    client: &Client,
    scope: Option<&str>,
    config: &Config,
    observed: impl Fn(Event<Guard<K>>) -> Observed + Send + 'static,
) -> Watch<Observed>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    tell(watcher(api::<Guard<K>>(client, scope), config.clone()), observed)
}

/// A watch that goes on after failures, with what it tells made one of several things.
pub(crate) fn tell<E: Send + 'static, T: 'static>(
    watch: impl Stream<Item = watcher::Result<E>> + Send + 'static,
    observed: impl Fn(E) -> T + Send + 'static,
) -> Watch<T> {
    // What is too old to go on from is listed anew, at once: the apiserver is there.
    let watch =
        watch.filter(|event| ready(!matches!(event, Err(watcher::Error::WatchError(status)) if status.code == GONE)));
    Box::pin(watch.backoff(Wait::default()).map(move |event| event.map(&observed)))
}

/// A namespace that is read again and again: a Role may allow that, and no watch.
fn namespace(client: &Client, name: String, at: usize) -> Watch<Observed> {
    let api = Api::<Namespace>::all(client.clone());
    let reads = stream::unfold((api, name, None), async |(api, name, wait): (_, String, Option<Duration>)| {
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
        match api.get_metadata_opt(&name).await {
            Ok(found) => Some((listed(found), (api, name, Some(NAMESPACE_PERIOD)))),
            Err(error) => Some((vec![Err(watcher::Error::InitialListFailed(error))], (api, name, Some(LONGEST_WAIT)))),
        }
    });
    let events = reads.flat_map(stream::iter);
    Box::pin(events.map(move |event| event.map(|event| Observed::Namespace(at, event))))
}

fn listed(found: Option<PartialObjectMeta<Namespace>>) -> Vec<watcher::Result<Event<PartialObjectMeta<Namespace>>>> {
    let list = found.map(|namespace| Ok(Event::InitApply(namespace)));
    [Ok(Event::Init)].into_iter().chain(list).chain([Ok(Event::InitDone)]).collect()
}

/// Waits between attempts. A watch tells of its start before it has succeeded, so success is a minute without failure.
#[derive(Default)]
struct Wait {
    backoff: Backoff,
    last: Option<tokio::time::Instant>,
}

impl Iterator for Wait {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = tokio::time::Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) > Duration::from_mins(1)) {
            self.backoff = Backoff::default();
        }
        self.last = Some(now);
        Some(self.backoff.fail(Failure::Error, jitter()).min(LONGEST_WAIT))
    }
}

impl Reconnects for Wait {
    fn reset(&mut self) {}
}

/// Carries out an order.
pub(super) async fn read(client: Client, order: Order) -> (Order, Answer) {
    let api = Api::<Secret>::namespaced(client, &order.secret.namespace);
    let name = &order.secret.name;
    let found = match &order.want {
        Want::Metadata => {
            api.get_metadata_opt(name).await.map(|found| found.map(|found| Content::without_values(found.metadata)))
        }
        Want::Values { plain, .. } => api.get_opt(name).await.map(|found| found.map(|found| Content::of(found, plain))),
    };
    let answer = match found {
        Ok(Some(content)) => Answer::Found(content),
        Ok(None) => Answer::Missing,
        Err(error) => {
            tracing::warn!(secret = %order.secret, error = %error, "a Secret could not be read; what is known of it stays");
            Answer::Failed
        }
    };
    (order, answer)
}
