//! What must hold, and what must be reached for a check to be worth something.

use stateright::{Expectation, Property};

use super::{
    Protocol,
    state::{Life, State},
};

/// Names of what must always hold.
pub(super) const SAFE: [&str; 5] =
    ["never overspent", "use is covered", "nothing negative", "nothing stays blocked", "nothing before its window"];

type Condition = fn(&Protocol, &State) -> bool;

const ALWAYS: [Condition; 5] = [never_overspent, covered, nothing_negative, nothing_blocked, nothing_early];

pub(super) const USED_UP: &str = "the limit is used to the last unit";
pub(super) const COVERED: &str = "a row covers what was unattributed";
pub(super) const BEHIND: &str = "an old window's lease is used in the new one";
pub(super) const BOTH: &str = "both windows are used";
pub(super) const RECOVERED: &str = "a crash with an attempt under way is recovered";
pub(super) const LOST: &str = "use is lost with a disk";
pub(super) const SERVES_ON: &str = "a given up gateway serves on";
pub(super) const EARLY: &str = "a lease is asked for before its window begins";

/// What must be reachable, for a check to be worth something.
const GOALS: [(&str, Condition); 8] = [
    (EARLY, |_, state| state.now == 0 && state.leases(1).next().is_some()),
    (USED_UP, |model, state| state.spent[0] == model.limit && state.real[0] == model.limit),
    (COVERED, |_, state| state.leases(0).any(|lease| lease.closed && lease.unattributed > 0 && lease.booked > 0)),
    (BEHIND, |_, state| {
        state.now == 1
            && state.gateways.iter().any(|g| g.clock == 0 && g.sides.iter().any(|side| !side.held.is_empty()))
    }),
    (BOTH, |_, state| state.real[0] > 0 && state.real[1] > 0),
    (RECOVERED, |_, state| state.gateways.iter().any(|g| g.life == Life::Recovered) && state.spent[0] > 0),
    (LOST, |_, state| state.lost[0] > 0 && state.unattributed(0) > 0),
    (SERVES_ON, |_, state| {
        state.gateways.iter().any(|g| {
            g.life == Life::Runs
                && g.kept.iter().any(|kept| kept.lease.closed)
                && g.sides.iter().any(|side| !side.held.is_empty())
        })
    }),
];

pub(super) fn all() -> Vec<Property<Protocol>> {
    let safe = SAFE.into_iter().zip(ALWAYS);
    let safe = safe.map(|(name, condition)| Property { expectation: Expectation::Always, name, condition });
    let goals = GOALS.into_iter();
    let goals = goals.map(|(name, condition)| Property { expectation: Expectation::Sometimes, name, condition });
    safe.chain(goals).collect()
}

/// In no window is more let through than its limit, counting all that attempts under way may yet use.
fn never_overspent(model: &Protocol, state: &State) -> bool {
    state.real.iter().all(|real| *real <= model.limit)
}

/// The store never believes that more is left than is.
fn covered(model: &Protocol, state: &State) -> bool {
    (0..2).all(|slot| {
        let believed = state.spent[slot] + state.outstanding(slot);
        state.real[slot] <= believed && believed <= model.limit
    })
}

fn nothing_negative(_: &Protocol, state: &State) -> bool {
    let leases = (0..2).flat_map(|slot| state.leases(slot)).all(|lease| {
        lease.granted >= 0 && lease.booked >= 0 && lease.unattributed >= 0 && lease.booked <= lease.granted
    });
    let sides = state.gateways.iter().flat_map(|gateway| &gateway.sides);
    leases && sides.into_iter().all(|side| side.free >= 0) && state.spent.iter().all(|spent| *spent >= 0)
}

/// However far ahead a holder's clock is, a window is opened by the store's.
fn nothing_early(_: &Protocol, state: &State) -> bool {
    state.now > 0 || state.real[1] == 0 && state.leases(1).all(|lease| lease.granted == 0)
}

/// From here, when attempts end, rows are written, and gateways say their last words, are recovered or are given up: no lease
/// keeps anything back, and what is spent is what was used, but for what is visibly unattributed.
fn nothing_blocked(model: &Protocol, state: &State) -> bool {
    let quiet = quieten(state.clone(), model.limit);
    // Whose files were read, of them everything is known.
    let mut known = quiet.gateways.iter().filter(|gateway| gateway.life == Life::Recovered).flat_map(|g| &g.kept);
    if known.any(|kept| kept.lease.unattributed != 0) {
        return false;
    }
    (0..2).all(|slot| {
        quiet.outstanding(slot) == 0
            && quiet.spent[slot] - quiet.unattributed(slot) == quiet.real[slot] - quiet.lost[slot]
    })
}

fn quieten(mut state: State, limit: i64) -> State {
    for g in 0..state.gateways.len() {
        // Messages on their way are lost; that they arrive first is another state's case. Those of the dead arrive late.
        if state.gateways[g].life == Life::Runs {
            state.gateways[g].asks.clear();
        }
        for s in 0..state.gateways[g].sides.len() {
            while let Some(held) = state.gateways[g].sides[s].held.first().copied() {
                state.settle(g, s, 0, held);
            }
            state.finish(g, s);
        }
        let rows = state.gateways[g].rows.len();
        (0..rows).for_each(|_| state.append(g));
        if state.gateways[g].life == Life::Crashed {
            state.recover(g);
        }
        for (number, slot, wish) in std::mem::take(&mut state.gateways[g].asks) {
            state.deliver(g, (number, slot), wish, limit);
        }
        if state.gateways[g].life == Life::Burnt {
            state.expire(g);
        }
    }
    state
}
