//! Looks at the claims that specs name: they have no label of ours to be watched by. One that is not bound is asked for often,
//! since an engine waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use tokio::time::{MissedTickBehavior, interval};
use turnpike_bundle::entry::ObjectRef;
use turnpike_engine::{children::named_claims, observed::Claims, state::is_bound};

use crate::{context::Context, engine::Report, kit::backoff::brief};

/// Between two looks at what is not bound.
const EVERY: Duration = Duration::from_secs(5);
/// Every so many looks, all are looked at.
const ALL: u32 = 6;
/// Claims that are asked for at the same time.
const PARALLEL: usize = 8;

/// What is known of claims, by namespace and name.
type Known = BTreeMap<ObjectRef, Option<Arc<PersistentVolumeClaim>>>;

/// Looks until dropped.
pub async fn run(context: Context) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut known, mut told) = (Known::new(), BTreeMap::new());
    for look in 0_u32.. {
        ticks.tick().await;
        let named = named(&context);
        let wanted: BTreeSet<&ObjectRef> = named.values().flatten().collect();
        known.retain(|claim, _| wanted.contains(claim));
        let is_due = |claim: &ObjectRef| {
            let is_settled = known.get(claim).and_then(Option::as_ref).is_some_and(|claim| is_bound(claim));
            look.is_multiple_of(ALL) || !is_settled
        };
        let due: Vec<ObjectRef> = wanted.into_iter().filter(|claim| is_due(claim)).cloned().collect();
        let answers = due.into_iter().map(async |claim| (get(&context, &claim).await, claim));
        let answers: Vec<_> = stream::iter(answers).buffer_unordered(PARALLEL).collect().await;
        for (found, claim) in answers {
            match found {
                Ok(found) => drop(known.insert(claim, found.map(Arc::new))),
                // What was known of it stays.
                Err(error) => tracing::warn!(
                    namespace = claim.namespace,
                    name = claim.name,
                    error = brief(&error),
                    "a claim cannot be looked at"
                ),
            }
        }
        told = tell(&context, &named, &known, &told);
    }
}

async fn get(context: &Context, claim: &ObjectRef) -> kube::Result<Option<PersistentVolumeClaim>> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &claim.namespace);
    let mut found = api.get_opt(&claim.name).await?;
    if let Some(claim) = &mut found {
        claim.metadata.managed_fields = None;
    }
    Ok(found)
}

/// The claims that each engine's spec names.
fn named(context: &Context) -> BTreeMap<ObjectRef, Vec<ObjectRef>> {
    let world = context.world.borrow();
    let engines = world.models.iter().filter_map(|(at, model)| Some((at, model.spec.vllm.as_ref()?)));
    let claims = |at: &ObjectRef, names: BTreeSet<&str>| {
        let place = |name: &str| ObjectRef { namespace: at.namespace.clone(), name: name.to_owned() };
        names.into_iter().map(place).collect::<Vec<_>>()
    };
    let named = engines.map(|(at, spec)| (at.clone(), claims(at, named_claims(spec))));
    named.filter(|(_, claims)| !claims.is_empty()).collect()
}

/// Tells what differs from what was told.
fn tell(
    context: &Context,
    named: &BTreeMap<ObjectRef, Vec<ObjectRef>>,
    known: &Known,
    before: &BTreeMap<ObjectRef, Claims>,
) -> BTreeMap<ObjectRef, Claims> {
    let of = |claims: &Vec<ObjectRef>| -> Claims {
        claims.iter().filter_map(|claim| Some((claim.name.clone(), known.get(claim)?.clone()))).collect()
    };
    let now: BTreeMap<ObjectRef, Claims> = named.iter().map(|(model, claims)| (model.clone(), of(claims))).collect();
    for (model, claims) in &now {
        if before.get(model) != Some(claims) {
            context.engine_reports.tell(model, Report::Claims(claims.clone()));
        }
    }
    for model in before.keys().filter(|model| !now.contains_key(*model)) {
        context.engine_reports.tell(model, Report::Claims(Claims::new()));
    }
    now
}
