//! Sets replicas of engines by what clients want of them: asks the gateways each second, and the engines
//! themselves less often, decides, patches.
//!
//! ```text
//!  gateways ─ GET /demand ─▶ demand ─┬▶ plan (pure; turnpike_engine::scale) ─▶ Deployment's /scale, events, reports
//!  pods ─ GET /metrics ─▶ load ──────┘
//! ```
//!
//! Nothing of it is stored: after a restart the replicas that run count as wanted for a whole `scaleDownDelay`.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    context::Context,
    engine::Report,
    gateways::{Gateways, Tokens},
    kit::{apply::counted, backoff::brief},
    metrics::Verb,
};
use demand::Askers;
use load::Loads;
use plan::{Change, Note, Scaling, Steps, View};

pub mod demand;
pub mod load;
pub mod plan;

/// Time between decisions.
const EVERY: Duration = Duration::from_secs(1);
/// How long a write may take before the next decision.
const WRITE: Duration = Duration::from_secs(3);

/// Decides until dropped. Gateways and pods are asked only while an engine's replicas follow demand.
pub async fn run(context: Context, tokens: watch::Receiver<Tokens>) {
    let (sender, loads) = watch::channel(Arc::default());
    tokio::select! {
        () = load::run(context.clone(), sender) => {}
        () = follow(context, tokens, loads) => {}
    }
}

async fn follow(mut context: Context, tokens: watch::Receiver<Tokens>, loads: watch::Receiver<Arc<Loads>>) {
    let (mut askers, mut scaling) = (Askers::new(tokens), Scaling::new(Instant::now()));
    let nobody = Gateways::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let world = Arc::clone(&context.world.borrow());
        let (engines, gateways) = (Arc::clone(&context.engines.borrow()), Arc::clone(&context.gateways.borrow()));
        let is_needed = plan::scaled(&world).next().is_some();
        askers.follow(if is_needed { &gateways } else { &nobody });
        let (now, loads) = (Instant::now(), Arc::clone(&loads.borrow()));
        let heard = askers.heard();
        let view = View { now, world: &world, engines: &engines, gateways: &gateways, heard, loads: &loads };
        let steps = scaling.decide(view);
        act(&context, &mut scaling, steps).await;
        if !is_needed && context.world.changed().await.is_err() {
            return;
        }
    }
}

async fn act(context: &Context, scaling: &mut Scaling, steps: Steps) {
    for (gauge, value) in
        [(&context.metrics.engine_requests, steps.load), (&context.metrics.engine_replicas_wanted, steps.wanted)]
    {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    let tell = |note: Note| context.events.publish(note.regarding, note.kind, note.reason, "Scale", note.text);
    steps.notes.into_iter().for_each(tell);
    for (model, why) in steps.reports {
        context.engine_reports.tell(&model, Report::Unscalable(why));
    }
    let writes = steps.changes.into_iter().map(|change| async { (set(context, &change).await, change) });
    for (refused, change) in join_all(writes).await {
        let is_set = refused.is_none();
        scaling.set(&change.model, refused, Instant::now());
        change.note.into_iter().filter(|_| is_set).for_each(tell);
    }
}

/// Sets replicas; returns why it could not.
async fn set(context: &Context, change: &Change) -> Option<String> {
    let Change { model, deployment, from, to, .. } = change;
    let api = Api::<Deployment>::namespaced(context.client.clone(), &model.namespace);
    // Not the manager of what is applied: that one gives up `replicas` when a model begins to be scaled.
    let params = PatchParams { field_manager: Some(context.names.replicas_manager()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "spec": { "replicas": to } }));
    let write = async {
        let patched = counted::<Deployment, _>(context, Verb::Patch, api.patch_scale(deployment, &params, &patch));
        timeout(WRITE, patched).await
    };
    match write.await {
        Ok(Ok(_)) => {
            tracing::info!(%model, from, to, "replicas of an engine are set by demand");
            None
        }
        Ok(Err(error)) => {
            let why = brief(&error);
            tracing::warn!(%model, from, to, error = why, "replicas of an engine could not be set");
            Some(format!("the apiserver refused to set replicas to {to}: {why}"))
        }
        Err(_) => Some(format!("the apiserver did not answer when replicas were to be set to {to}")),
    }
}
