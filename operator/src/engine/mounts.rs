//! Why pods cannot have their volumes: only events tell. They are asked for, pod by pod, where one waits for long; a watch would
//! bring every event of the cluster.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::Event;
use kube::{Api, ResourceExt, api::ListParams};
use tokio::time::{MissedTickBehavior, interval};
use turnpike_bundle::entry::ObjectRef;
use turnpike_engine::state::{awaits_volumes, unmounted};

use crate::{
    context::Context,
    engine::{Engines, Report},
    kit::backoff::brief,
};

/// Between two questions; a pod that waited at the time of the one before is asked about.
pub const EVERY: Duration = Duration::from_secs(10);
/// Pods that are asked about at the same time.
const PARALLEL: usize = 8;
/// Events of one pod that are read; they are folded, so that there are fewer.
const MOST: u32 = 200;

/// A pod that waits for its volumes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    model: ObjectRef,
    pod: String,
    uid: String,
}

/// Asks until dropped.
pub async fn run(context: Context) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = BTreeSet::new();
    loop {
        ticks.tick().await;
        let now = waiting(&context.engines.borrow());
        for Waiting { model, pod, .. } in before.difference(&now) {
            context.engine_reports.tell(model, Report::Unmounted(pod.clone(), None));
        }
        let due: Vec<Waiting> = now.intersection(&before).cloned().collect();
        let answers = due.into_iter().map(async |pod| (events(&context, &pod).await, pod));
        let mut answers = stream::iter(answers).buffer_unordered(PARALLEL);
        while let Some((events, Waiting { model, pod, .. })) = answers.next().await {
            match events {
                Ok(events) => context.engine_reports.tell(&model, Report::Unmounted(pod, unmounted(&events))),
                // What was known of it stays.
                Err(error) => tracing::warn!(%model, pod, error = brief(&error), "events of a pod cannot be read"),
            }
        }
        before = now;
    }
}

fn waiting(engines: &Engines) -> BTreeSet<Waiting> {
    let pods = engines
        .iter()
        .flat_map(|(model, engine)| engine.pods.iter().chain(&engine.fetchers).map(move |pod| (model, pod)));
    let waiting = pods.filter(|(_, (_, pod))| awaits_volumes(pod));
    waiting
        .filter_map(|(model, (name, pod))| Some(Waiting { model: model.clone(), pod: name.clone(), uid: pod.uid()? }))
        .collect()
}

async fn events(context: &Context, pod: &Waiting) -> kube::Result<Vec<Event>> {
    let api: Api<Event> = Api::namespaced(context.client.clone(), &pod.model.namespace);
    let of_pod = ListParams::default().fields(&format!("involvedObject.uid={}", pod.uid)).limit(MOST);
    Ok(api.list(&of_pod).await?.items)
}
