//! What must hold of what counts over the time before now, and what must be reached.

use stateright::{Expectation, Property};
use turnpike_ledger::exchange::Lease;

use super::{Gateway, Rolling, Told, WINDOW, World, at};
use crate::state::Life;

pub(crate) const SAFE: [&str; 3] = ["never too much in any window", "use is covered", "nothing stays blocked"];
pub(crate) const FULL: &str = "a window is used to the last unit";
pub(crate) const AGAIN: &str = "what has left the window is used again";
pub(crate) const LOST: &str = "use of a lost gateway is booked";
pub(crate) const COVERED: &str = "a row moves what was unattributed";

type Condition = fn(&Rolling, &World) -> bool;

const ALWAYS: [Condition; 3] = [never_too_much, covered, nothing_blocked];
const GOALS: [(&str, Condition); 4] = [
    (FULL, |model, world| world.real.windows(2).any(|slots| slots.iter().sum::<i64>() == model.limit)),
    (AGAIN, |model, world| world.real.iter().sum::<i64>() > model.limit),
    (LOST, |_, world| world.gateways.iter().any(|g| g.life == Life::Burnt && g.lease.closed && g.lease.granted > 0)),
    (COVERED, |_, world| {
        let was_given_up = |g: &Gateway| g.life == Life::Runs && g.lease.closed && g.lease.booked > 0;
        world.gateways.iter().any(was_given_up)
    }),
];

pub(super) fn all() -> Vec<Property<Rolling>> {
    let safe = SAFE.into_iter().zip(ALWAYS);
    let safe = safe.map(|(name, condition)| Property { expectation: Expectation::Always, name, condition });
    let goals = GOALS.into_iter();
    let goals = goals.map(|(name, condition)| Property { expectation: Expectation::Sometimes, name, condition });
    safe.chain(goals).collect()
}

/// Of a window as every clock within the skew sees it.
fn never_too_much(model: &Rolling, world: &World) -> bool {
    (0..=world.now).all(|end| {
        let begin = (end - (WINDOW - model.skew)).max(0);
        world.real[at(begin)..=at(end)].iter().sum::<i64>() <= model.limit
    })
}

fn covered(model: &Rolling, world: &World) -> bool {
    let leases = world.gateways.iter().map(|gateway| gateway.lease);
    let sound = |lease: Lease| lease.booked >= 0 && lease.unattributed >= 0 && lease.booked <= lease.granted;
    world.counted() + world.outstanding() <= model.limit
        && world.spent.iter().all(|spent| *spent >= 0)
        && world.gateways.iter().all(|gateway| gateway.free >= 0)
        && leases.into_iter().all(sound)
}

/// When all has ended nothing is kept back, and once a window has passed all of the limit is there again.
fn nothing_blocked(model: &Rolling, world: &World) -> bool {
    let mut quiet = world.clone();
    quiet.quieten(model);
    let unattributed: i64 = quiet.gateways.iter().map(|gateway| gateway.lease.unattributed).sum();
    let (booked, real): (i64, i64) = (quiet.spent.iter().sum(), quiet.real.iter().sum());
    let is_told = booked >= real && (model.told == Told::ByExchanges || booked - unattributed <= real);
    quiet.now += WINDOW + model.skew + 1;
    is_told && quiet.outstanding() == 0 && quiet.counted() == 0
}
