//! The lease protocol, model-checked: every order of asks, answers, crashes and recoveries within small bounds, run on the
//! transition functions that ship (`exchange`, `book`, `close`, `expire` and `Holder`).
//!
//! What the model adds is only what a store and a gateway do around them: keep leases by number, sum what is outstanding,
//! skip a row that is there already, lose memory, lose a disk. A lost message is one that is never delivered, a late one is
//! delivered after newer ones, and an outage of the store is a time in which nothing is delivered: every order is tried.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod properties;
mod state;
mod steps;

use stateright::{Checker as _, HasDiscoveries, Model, Property};

use self::{
    properties::{BEHIND, BOTH, COVERED, LOST, RECOVERED, SERVES_ON, USED_UP},
    state::{Budget, State},
    steps::Step,
};

/// How far one check goes.
#[derive(Clone, Debug)]
struct Protocol {
    gateways: usize,
    limit: i64,
    budget: Budget,
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.gateways, self.budget)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        state.steps(steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut next = last.clone();
        next.take(step, self.limit);
        next.tidy();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

/// Checks all that is reachable and says how much that was.
fn check(name: &str, protocol: Protocol, reached: &[&'static str]) {
    let checker = protocol.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    for (property, path) in checker.discoveries() {
        if !properties::is_goal(property) {
            println!("{name}: {property}:\n{path}");
        }
    }
    for property in properties::SAFE {
        checker.assert_no_discovery(property);
    }
    // A check that cannot reach what it is about proves nothing.
    for goal in reached {
        assert!(checker.discovery(goal).is_some(), "{name} never reaches: {goal}");
    }
    assert!(checker.is_done());
    println!("{name}: {} unique states, depth {}", checker.unique_state_count(), checker.max_depth());
}

const NONE: Budget =
    Budget { raises: 0, returns: 0, reserves: 0, crashes: 0, burnt: 0, expiries: 0, repeats: 0, ticks: 0 };

#[test]
fn three_gateways_share_a_budget_and_one_crashes() {
    let budget = Budget { raises: 3, reserves: 2, crashes: 1, ..NONE };
    check("three gateways, a crash", Protocol { gateways: 3, limit: 4, budget }, &[USED_UP, RECOVERED]);
}

#[test]
fn three_gateways_give_back_and_one_loses_its_disk() {
    let budget = Budget { raises: 2, returns: 1, reserves: 2, burnt: 1, ..NONE };
    check("three gateways, a lost disk", Protocol { gateways: 3, limit: 4, budget }, &[USED_UP, LOST]);
}

#[test]
fn three_gateways_and_one_is_given_up_while_it_serves() {
    let budget = Budget { raises: 2, reserves: 2, expiries: 1, repeats: 1, ..NONE };
    check("three gateways, a partition", Protocol { gateways: 3, limit: 3, budget }, &[COVERED, SERVES_ON]);
}

#[test]
fn three_gateways_cross_the_end_of_a_window() {
    let budget = Budget { raises: 2, reserves: 2, ticks: 1, ..NONE };
    check("three gateways, a window's end", Protocol { gateways: 3, limit: 2, budget }, &[BEHIND, BOTH]);
}

/// Each trouble at most once, and all of them at the same time.
const EVERYTHING: Budget =
    Budget { raises: 2, returns: 1, reserves: 1, crashes: 1, burnt: 1, expiries: 1, repeats: 1, ticks: 1 };

#[test]
fn two_gateways_meet_everything() {
    let reached = [LOST, RECOVERED, COVERED, SERVES_ON, BEHIND];
    let budget = Budget { repeats: 0, ..EVERYTHING };
    check("two gateways, everything", Protocol { gateways: 2, limit: 3, budget }, &reached);
}

#[test]
#[ignore = "a minute: for changes to the protocol, with --ignored"]
fn wider_bounds() {
    let budget = Budget { raises: 3, reserves: 3, crashes: 1, ..NONE };
    check("three gateways, a crash, wide", Protocol { gateways: 3, limit: 4, budget }, &[USED_UP, RECOVERED]);
    let budget = Budget { raises: 3, returns: 1, reserves: 2, burnt: 1, ..NONE };
    check("three gateways, a lost disk, wide", Protocol { gateways: 3, limit: 4, budget }, &[USED_UP, LOST]);
    let budget = Budget { raises: 3, reserves: 2, expiries: 1, repeats: 1, ..NONE };
    check("three gateways, a partition, wide", Protocol { gateways: 3, limit: 3, budget }, &[COVERED, SERVES_ON]);
}

#[test]
#[ignore = "minutes: for changes to the protocol, with --ignored"]
fn widest_bounds() {
    let budget = Budget { raises: 3, reserves: 2, ticks: 1, ..NONE };
    check("three gateways, a window's end, wide", Protocol { gateways: 3, limit: 3, budget }, &[BEHIND, BOTH]);
    check("two gateways, everything, wide", Protocol { gateways: 2, limit: 3, budget: EVERYTHING }, &[LOST, BEHIND]);
    check("three gateways, everything, wide", Protocol { gateways: 3, limit: 3, budget: EVERYTHING }, &[LOST, BEHIND]);
}
