//! What the engine of a model adds to its status.

use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::{
    ConditionType, ModelDeployment, Reason, Truth,
    model_deployment::{Backends, ModelDeploymentStatus},
};
use turnpike_engine::{Observed, State, Verdict};

use crate::{
    publish::Compiled,
    status::{
        View,
        condition::{Aspect, Common},
        message,
    },
};

/// Fills the columns and adds `EngineReady`, `CacheReady` and `ScalingReady`; Ready says so where no engine answers. Nothing for
/// a model without an engine.
pub(super) fn fill(
    (view, object, model): (View<'_>, &ObjectRef, &ModelDeployment),
    compiled: &Compiled,
    status: &mut ModelDeploymentStatus,
    common: &mut Common,
) {
    let nothing = Observed::default();
    let observed = view.engines.get(object);
    let Some(state) = turnpike_engine::state(model, observed.map_or(&nothing, AsRef::as_ref)) else { return };
    // Nothing is made of a spec that cannot be used, and what stands in the way is told already.
    if observed.is_some_and(|seen| seen.is_there()) || compiled.digest.is_some() {
        join(&state, common);
    }
    status.replicas = Some(state.replicas);
    status.ready_replicas = Some(state.ready_replicas);
    let (healthy, total) = (state.ready_replicas, state.replicas);
    status.backends = Some(Backends { healthy, cooling: 0, total });
    status.backends_text = Some(format!("{healthy}/{total}"));
    status.replicas_text = Some(state.replicas_text);
    status.progress = state.progress;
    status.adapters = state.adapters;
    status.selector = Some(state.selector);
    status.image = state.image;
}

fn join(state: &State, common: &mut Common) {
    let State { engine, cache, scaling, is_updating, is_stuck, .. } = state;
    let message = || message::bounded(engine.message.clone());
    if engine.reason == Reason::ScaledToZero {
        common.ready_for(Reason::ScaledToZero, message());
    } else if engine.truth != Truth::True {
        let progress = if *is_stuck { ConditionType::Stalled } else { ConditionType::Reconciling };
        common.out_of_order(progress, engine.reason, message());
    } else if *is_updating {
        common.goes_on(Reason::Updating, message());
    }
    common.aspects.push(aspect(ConditionType::EngineReady, engine));
    common.aspects.extend(cache.as_ref().map(|cache| aspect(ConditionType::CacheReady, cache)));
    common.aspects.extend(scaling.as_ref().map(|scaling| aspect(ConditionType::ScalingReady, scaling)));
}

fn aspect(kind: ConditionType, verdict: &Verdict) -> Aspect {
    Aspect::new(kind, verdict.truth, verdict.reason, message::bounded(verdict.message.clone()))
}

/// Whether two statuses differ in words alone, such as how far a download is: that may wait for more of its kind.
pub(super) fn differ_in_words(before: &ModelDeploymentStatus, after: &ModelDeploymentStatus) -> bool {
    let bare = |status: &ModelDeploymentStatus| {
        let mut status = ModelDeploymentStatus { progress: None, ..status.clone() };
        status.conditions.iter_mut().for_each(|condition| condition.message.clear());
        status
    };
    before != after && bare(before) == bare(after)
}
