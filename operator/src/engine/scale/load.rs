//! Asks the pods of engines whose replicas follow demand how busy they are: others than gateways may call them, and a gateway may
//! be silent. A pod that does not tell is left out; then what gateways say counts alone.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::model_deployment::Engine;
use turnpike_engine::{load::load, names, scale::Demand, state::is_ready};

use super::plan::scaled;
use crate::{
    context::Context,
    engine::{
        Engines,
        ask::{Question, address, ask, key},
    },
    world::World,
};

/// Time between questions: an answer of vLLM's is long, and gateways tell more often.
const EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pods that are asked at the same time.
const PARALLEL: usize = 32;

/// What the pods of each engine say together, and when they were asked.
pub type Loads = BTreeMap<ObjectRef, (Instant, Demand)>;

/// A pod to ask.
struct Target {
    model: ObjectRef,
    engine: Engine,
    address: SocketAddr,
    /// llama.cpp asks for it.
    key: Option<String>,
}

/// Asks until dropped.
pub(super) async fn run(context: Context, sender: watch::Sender<Arc<Loads>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let world = Arc::clone(&context.world.borrow());
        let targets = targets(&world, &context.engines.borrow());
        let answers = targets.into_iter().map(async |target| (said(&target).await, target.model));
        let mut answers = stream::iter(answers).buffer_unordered(PARALLEL);
        let mut loads = Loads::new();
        while let Some((demand, model)) = answers.next().await {
            if let Some(demand) = demand {
                let (_, sum) = loads.entry(model).or_insert((began, Demand::default()));
                *sum = [*sum, demand].into_iter().sum();
            }
        }
        sender.send_replace(Arc::new(loads));
    }
}

fn targets(world: &World, engines: &Engines) -> Vec<Target> {
    let mut targets = Vec::new();
    for (object, model, _) in scaled(world) {
        let (Some(spec), Some(observed)) = (&model.spec.vllm, engines.get(object)) else { continue };
        let ready = observed.pods.values().filter(|pod| is_ready(pod));
        targets.extend(ready.filter_map(|pod| address(pod, names::PORT)).map(|address| {
            let key = key(world, object, spec);
            Target { model: object.clone(), engine: spec.engine, address, key }
        }));
    }
    targets
}

async fn said(target: &Target) -> Option<Demand> {
    let Target { address, key, .. } = target;
    let question =
        Question { address: *address, body: None, path: "/metrics", key: key.as_deref(), patience: PATIENCE };
    let answer = ask(question).await;
    let body =
        answer.inspect_err(|error| tracing::debug!(%address, %error, "an engine does not tell its load")).ok()?;
    load(target.engine, std::str::from_utf8(&body).ok()?)
}
