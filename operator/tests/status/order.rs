//! What goes first, and what may wait.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use turnpike_bundle::problem::{ObjectId, ObjectKind};
use turnpike_operator::{
    publish::Compiled,
    status::{
        condition::Waiting,
        plan::{Group, Plan},
        survey::{Draft, Status},
    },
};

use crate::place::at;

fn id(name: &str) -> ObjectId {
    ObjectId { kind: ObjectKind::Budget, object: at(name) }
}

fn draft(generation: i64, waiting: Option<Waiting>) -> Draft {
    let after = Status::Budget(turnpike_crds::budget::BudgetStatus::default());
    Draft { uid: None, generation, before: None, after, figures_only: false, waiting, compiled: Compiled::default() }
}

fn names(plan: &Plan, now: Instant) -> Vec<String> {
    plan.due(now).0.into_iter().map(|(_, id)| id.object.name).collect()
}

#[test]
fn what_loads_within_a_moment_is_written_once() {
    let start = Instant::now();
    let mut plan = Plan::default();
    let mut drafts = BTreeMap::from([(id("a"), draft(1, Some(Waiting::Work))), (id("b"), draft(1, None))]);
    plan.note(&drafts, start);
    assert_eq!(names(&plan, start), ["b"]);
    assert_eq!(plan.due(start).1, Some(start + Duration::from_secs(3)));
    // Loaded: nothing is waited for any more.
    drafts.insert(id("a"), draft(1, None));
    plan.note(&drafts, start + Duration::from_millis(300));
    assert_eq!(names(&plan, start + Duration::from_millis(300)), ["b", "a"]);
}

#[test]
fn what_does_not_load_is_told_after_a_while_and_an_edit_starts_anew() {
    let start = Instant::now();
    let mut plan = Plan::default();
    plan.note(&BTreeMap::from([(id("a"), draft(1, Some(Waiting::Work)))]), start);
    let later = start + Duration::from_secs(2);
    plan.note(&BTreeMap::from([(id("a"), draft(2, Some(Waiting::Work)))]), later);
    assert_eq!(names(&plan, start + Duration::from_secs(4)), [""; 0]);
    assert_eq!(names(&plan, later + Duration::from_secs(3)), ["a"]);
    plan.note(&BTreeMap::new(), later);
    assert_eq!(plan.due(later + Duration::from_mins(5)), (Vec::new(), None));
}

#[test]
fn an_edit_overtakes_a_mass() {
    let start = Instant::now();
    let mut plan = Plan::default();
    let mut drafts: BTreeMap<ObjectId, Draft> = (0..1000).map(|at| (id(&format!("{at:04}")), draft(1, None))).collect();
    plan.note(&drafts, start);
    drafts.insert(id("0999"), draft(2, None));
    drafts.insert(id("new"), draft(1, None));
    let later = start + Duration::from_secs(1);
    plan.note(&drafts, later);
    let (due, _) = plan.due(later);
    assert_eq!(due[0], (Group::Few, id("0999")));
    assert_eq!(due[1], (Group::Few, id("new")));
    assert_eq!((due[2].clone(), due.len()), ((Group::Mass, id("0000")), 1001));
}

#[test]
fn a_mass_waits_for_its_gateways_for_as_long_as_a_start_may_take() {
    let start = Instant::now();
    let mut plan = Plan::default();
    for (name, count, seconds) in [("a few", 64, 10), ("a mass", 65, 60)] {
        let drafts: BTreeMap<ObjectId, Draft> =
            (0..count).map(|at| (id(&format!("{name}-{at}")), draft(1, Some(Waiting::Gateway)))).collect();
        plan.note(&drafts, start);
        assert_eq!(plan.due(start), (Vec::new(), Some(start + Duration::from_secs(seconds))), "{name}");
    }
}
