//! What engines cost over time, whatever changes in between.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use turnpike_bundle::entry::ObjectRef;
use turnpike_operator::engine::cost::Costs;

/// 3.60 USD an hour: 1,000,000 nano-USD a second.
const HOUR: i64 = 3_600_000_000;
const SECOND: i64 = 1_000_000;

fn engine(name: &str) -> ObjectRef {
    ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() }
}

fn of(engines: &[(&str, i64)]) -> BTreeMap<ObjectRef, i64> {
    engines.iter().map(|(name, nano)| (engine(name), *nano)).collect()
}

#[test]
fn each_time_costs_what_was_seen_at_its_beginning() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut costs = Costs::new(at(0));
    assert_eq!(costs.advance(at(5), of(&[("a", HOUR)])), of(&[("a", 0)]), "what was before is not known");
    assert_eq!(costs.advance(at(15), of(&[("a", 3 * HOUR)])), of(&[("a", 10 * SECOND)]));
    assert_eq!(costs.advance(at(16), of(&[("a", 0), ("b", HOUR)])), of(&[("a", 3 * SECOND), ("b", 0)]));
    // One sleeps, the other is deleted.
    assert_eq!(costs.advance(at(76), of(&[("a", 0)])), of(&[("a", 0), ("b", 60 * SECOND)]));
    assert_eq!(costs.advance(at(77), of(&[("a", 0)])), of(&[("a", 0)]));
}

#[test]
fn looks_in_between_do_not_change_the_sum() {
    let start = Instant::now();
    let mut costs = Costs::new(start);
    let mut sum = 0;
    for at in 0..=1000 {
        sum += costs.advance(start + Duration::from_micros(at * 3_600_000), of(&[("a", HOUR)]))[&engine("a")];
    }
    assert_eq!(sum, HOUR);
}
