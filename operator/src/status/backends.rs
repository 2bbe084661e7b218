//! How many of a model's backends take requests, and whether any does.

use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::{
    ConditionType, ModelDeployment, Reason,
    model_deployment::{Backends, ModelDeploymentStatus},
};

use super::{View, condition::Common, fleet::Backend, message};

/// Routes of routes are followed this far, as gateways do.
const MAX_ROUTE_DEPTH: u32 = 4;

/// All backends behind one model.
#[derive(Debug, Default)]
struct Tally<'a> {
    /// Each once, however many routes lead to it.
    counted: Vec<ObjectRef>,
    cooling: i32,
    down: Vec<&'a str>,
}

/// Fills `status.backends` and `status.backendsText`, and has Ready say so where none of the backends is there. What gateways
/// have not told stays as it was.
pub fn fill(
    (view, object, model): (View<'_>, &ObjectRef, &ModelDeployment),
    before: Option<&ModelDeploymentStatus>,
    status: &mut ModelDeploymentStatus,
    common: &mut Common,
) {
    let mut tally = Tally::default();
    if tally.count(view, object, model, 0).is_none() {
        status.backends = before.and_then(|before| before.backends.clone());
        status.backends_text = before.and_then(|before| before.backends_text.clone());
        return;
    }
    let total = i32::try_from(tally.counted.len()).unwrap_or(i32::MAX);
    if total == 0 {
        return;
    }
    let Tally { cooling, down, .. } = tally;
    let healthy = total - cooling;
    status.backends = Some(Backends { healthy, cooling, total });
    status.backends_text = Some(format!("{healthy}/{total}"));
    if let Some(reason) = down.first().filter(|_| down.len() == tally.counted.len()) {
        let what = if total == 1 { "The backend does not answer" } else { "No backend answers" };
        let message = format!("{what}: {reason}; gateways ask it again by themselves, and fallbacks serve meanwhile");
        common.out_of_order(ConditionType::Reconciling, Reason::BackendUnhealthy, message::bounded(message));
    }
}

impl<'a> Tally<'a> {
    /// `None` = gateways have not said how they stand.
    fn count(&mut self, view: View<'a>, object: &ObjectRef, model: &ModelDeployment, depth: u32) -> Option<()> {
        let spec = &model.spec;
        if let Some(route) = &spec.route {
            let targets = route.targets.iter().filter(|_| depth < MAX_ROUTE_DEPTH);
            let tiers = route
                .complexity
                .iter()
                .flat_map(|complexity| [&complexity.simple, &complexity.medium, &complexity.complex]);
            for name in targets.map(|target| &target.model_ref.name).chain(tiers) {
                let target = ObjectRef { namespace: object.namespace.clone(), name: name.clone() };
                if let Some(model) = view.world.models.get(&target) {
                    self.count(view, &target, model, depth + 1)?;
                }
            }
            return Some(());
        }
        if spec.provider.is_none() || self.counted.contains(object) {
            return Some(());
        }
        let backend = view.fleet.backend(&object.to_string())?;
        self.counted.push(object.clone());
        match backend {
            Backend::Healthy => {}
            Backend::Cooling => self.cooling += 1,
            Backend::Down { reason } => {
                self.cooling += 1;
                self.down.push(reason);
            }
        }
        Some(())
    }
}
