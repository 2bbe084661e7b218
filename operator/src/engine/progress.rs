//! How much of a model's files pods have fetched: asked of the containers that fetch, while they do.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use turnpike_bundle::entry::ObjectRef;
use turnpike_engine::names::PROGRESS_PORT;

use crate::{
    context::Context,
    engine::{
        Engines, Report,
        ask::{Question, address, ask},
    },
};

/// Between two questions.
const EVERY: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(2);
/// Pods that are asked at the same time.
const PARALLEL: usize = 16;
/// The container that fetches.
const CONTAINER: &str = "fetch";

#[derive(Deserialize)]
struct Progress {
    percent: f64,
}

/// A pod that fetches files.
pub type Fetching = (ObjectRef, String);

/// Asks until dropped.
pub async fn run(context: Context) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: BTreeSet<Fetching> = BTreeSet::new();
    loop {
        ticks.tick().await;
        let wanted = fetching(&context.engines.borrow());
        let names: BTreeSet<Fetching> = wanted.iter().map(|(pod, _)| pod.clone()).collect();
        for (model, pod) in told.difference(&names) {
            context.engine_reports.tell(model, Report::Fetched(pod.clone(), None));
        }
        told = names;
        let answers = wanted.into_iter().map(async |(pod, address)| (pod, percent(address).await));
        let mut answers = stream::iter(answers).buffer_unordered(PARALLEL);
        while let Some(((model, pod), percent)) = answers.next().await {
            // Who does not answer has not lost what it said last.
            if let Some(percent) = percent {
                context.engine_reports.tell(&model, Report::Fetched(pod, Some(percent)));
            }
        }
    }
}

/// The pods whose container fetches now, and where they tell how far they are.
pub fn fetching(engines: &Engines) -> Vec<(Fetching, SocketAddr)> {
    let pods = engines
        .iter()
        .flat_map(|(model, engine)| engine.pods.iter().chain(&engine.fetchers).map(move |pod| (model, pod)));
    let running = pods.filter(|(_, (_, pod))| is_fetching(pod));
    running
        .filter_map(|(model, (name, pod))| Some(((model.clone(), name.clone()), address(pod, PROGRESS_PORT)?)))
        .collect()
}

fn is_fetching(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let mut statuses = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    statuses
        .any(|status| status.name == CONTAINER && status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

async fn percent(address: SocketAddr) -> Option<u8> {
    let question = Question { address, body: None, path: "/progress", key: None, patience: PATIENCE };
    let body =
        ask(question).await.inspect_err(|error| tracing::debug!(%address, %error, "no progress is told")).ok()?;
    let percent = serde_json::from_slice::<Progress>(&body).ok()?.percent;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
    let whole = percent.clamp(0.0, 100.0).floor() as u8;
    Some(whole)
}
