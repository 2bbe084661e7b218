//! Replicas follow demand without flapping: single decisions, properties of any demand, and whole days as curves.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics, as an assertion does"
)]

use std::time::Duration;

use proptest::prelude::*;
use turnpike_crds::model_deployment::Autoscaling;
use turnpike_engine::scale::{Decision, Demand, LOAD_STALE, Rules, SCALE_DOWN_DELAY, STALE, Sample, Scaler, Total};

#[path = "scale/curves.rs"]
mod curves;

const RULES: Rules = Rules { min: 0, max: 8, target: 10, delay: Duration::from_mins(5) };

fn secs(at: u64) -> Duration {
    Duration::from_secs(at)
}

fn load(in_flight: u64) -> Total {
    Total { demand: Demand { in_flight, ..Demand::default() }, is_complete: true }
}

/// A scaler that has seen so much load for a minute with so many replicas, which is now one minute old.
fn seasoned(in_flight: u64, replicas: u32) -> Scaler {
    let mut scaler = Scaler::default();
    for at in 0..=60 {
        scaler.decide(secs(at), &load(in_flight), replicas, &RULES);
    }
    scaler
}

fn replicas(in_flight: u64, current: u32) -> u32 {
    Scaler::default().decide(secs(0), &load(in_flight), current, &RULES).replicas
}

#[test]
fn more_demand_than_replicas_bear_brings_as_many_as_the_target_asks_for_at_once() {
    let cases = [(0, 0, 0), (1, 0, 1), (10, 0, 1), (11, 0, 2), (25, 1, 3), (1000, 1, 8)];
    for (in_flight, current, expected) in cases {
        assert_eq!(replicas(in_flight, current), expected, "{in_flight} in flight on {current}");
    }
}

#[test]
fn a_tenth_above_the_target_is_borne() {
    assert_eq!((replicas(11, 1), replicas(12, 1)), (1, 2));
    assert_eq!((replicas(44, 4), replicas(45, 4)), (4, 5));
}

#[test]
fn what_waits_counts_like_what_is_in_flight_and_what_was_wanted_brings_one() {
    let ask = |demand| Scaler::default().decide(secs(0), &Total { demand, is_complete: true }, 0, &RULES).replicas;
    assert_eq!(ask(Demand { waiting: 1, ..Demand::default() }), 1);
    assert_eq!(ask(Demand { waiting: 35, ..Demand::default() }), 4);
    assert_eq!(ask(Demand { wanted: true, ..Demand::default() }), 1);
}

#[test]
fn a_replica_goes_only_when_nobody_wanted_it_for_a_whole_delay() {
    let mut scaler = seasoned(38, 4);
    let at = |scaler: &mut Scaler, at| scaler.decide(secs(at), &load(5), 4, &RULES).replicas;
    let first = (61..=400).find(|now| at(&mut scaler, *now) < 4);
    // Last wanted at 60 s.
    assert_eq!(first, Some(361));
}

#[test]
fn replicas_go_down_to_the_most_that_was_wanted_meanwhile() {
    let mut scaler = seasoned(38, 4);
    for now in 61..=300 {
        scaler.decide(secs(now), &load(if now == 200 { 18 } else { 0 }), 4, &RULES);
    }
    for now in 301..=370 {
        scaler.decide(secs(now), &load(0), 4, &RULES);
    }
    assert_eq!(scaler.decide(secs(371), &load(0), 4, &RULES).replicas, 2);
}

#[test]
fn one_more_stays_where_the_rest_would_be_full_to_the_brim() {
    let after = |in_flight| {
        let mut scaler = seasoned(20, 2);
        (61..=700).map(|now| scaler.decide(secs(now), &load(in_flight), 2, &RULES).replicas).last()
    };
    assert_eq!((after(10), after(9)), (Some(2), Some(1)));
    let one_each = Rules { target: 1, ..RULES };
    let mut scaler = Scaler::default();
    let last = (0..=700).map(|now| scaler.decide(secs(now), &load(1), 2, &one_each).replicas).last();
    assert_eq!(last, Some(1));
}

#[test]
fn a_gateway_that_is_not_heard_keeps_every_replica_and_others_still_bring_more() {
    let unknown = |in_flight| Total { is_complete: false, ..load(in_flight) };
    let mut scaler = seasoned(38, 4);
    for now in 61..=2000 {
        assert_eq!(scaler.decide(secs(now), &unknown(0), 4, &RULES).replicas, 4);
    }
    assert_eq!(scaler.decide(secs(2001), &unknown(60), 4, &RULES).replicas, 6);
    // From the moment it is heard again a whole delay passes.
    let first = (2002..=3000).find(|now| scaler.decide(secs(*now), &load(0), 6, &RULES).replicas < 6);
    assert_eq!(first, Some(2302));
}

#[test]
fn of_what_gateways_and_engines_say_the_greater_counts_and_never_both() {
    let gateways =
        |in_flight, is_complete| Total { demand: Demand { in_flight, waiting: 2, wanted: true }, is_complete };
    let engine =
        |in_flight, waiting| Some(Sample { at: secs(10), demand: Demand { in_flight, waiting, wanted: false } });
    for (said, in_flight, waiting) in [(None, 8, 2), (engine(5, 5), 8, 2), (engine(7, 4), 7, 4), (engine(0, 11), 0, 11)]
    {
        let total = gateways(8, true).or_engine(secs(12), said);
        let expected = Total { demand: Demand { in_flight, waiting, wanted: true }, is_complete: true };
        assert_eq!(total, expected, "{said:?}");
    }
    let silent = gateways(0, false).or_engine(secs(12), engine(30, 0));
    assert_eq!((silent.demand.load(), silent.is_complete), (30, false), "replicas still do not fall");
    let last = secs(10) + LOAD_STALE;
    assert_eq!(gateways(8, true).or_engine(last, engine(30, 0)).demand.load(), 30);
    assert_eq!(gateways(8, true).or_engine(last + secs(1), engine(30, 0)).demand.load(), 10, "it is out of date");
}

#[test]
fn after_a_restart_or_a_pause_the_replicas_that_run_are_taken_as_wanted() {
    let mut scaler = Scaler::default();
    let first = (1000..=2000).find(|now| scaler.decide(secs(*now), &load(0), 3, &RULES).replicas < 3);
    assert_eq!(first, Some(1301));
    let mut paused = seasoned(0, 3);
    let after = 60 + 3600;
    assert_eq!(paused.decide(secs(after), &load(0), 3, &RULES).replicas, 3);
    assert_eq!(paused.decide(secs(after + 301), &load(0), 3, &RULES).replicas, 3, "silence passed for calm");
}

#[test]
fn rules_that_change_act_at_once() {
    let unknown = Total::default();
    let decide =
        |min, max, current| Scaler::default().decide(secs(0), &unknown, current, &Rules { min, max, ..RULES }).replicas;
    assert_eq!(decide(2, 8, 0), 2);
    assert_eq!(decide(0, 3, 5), 3);
}

#[test]
fn demand_beyond_the_most_replicas_is_said() {
    let decision = Scaler::default().decide(secs(0), &load(95), 8, &RULES);
    assert_eq!(decision, Decision { replicas: 8, wanted: 10 });
    assert!(decision.is_short());
    assert!(!Scaler::default().decide(secs(0), &load(80), 8, &RULES).is_short());
}

#[test]
fn the_total_is_complete_while_every_gateway_was_heard_lately() {
    let sample =
        |at, in_flight, wanted| Some(Sample { at: secs(at), demand: Demand { in_flight, waiting: 1, wanted } });
    let total = Total::of(secs(10), [sample(10, 3, false), sample(5, 4, true)]);
    let demand = Demand { in_flight: 7, waiting: 2, wanted: true };
    assert_eq!(total, Total { demand, is_complete: true });
    let late = Total::of(secs(10) + STALE, [sample(10, 3, false), sample(9, 4, true)]);
    assert_eq!(late, Total { demand: Demand { in_flight: 3, waiting: 1, wanted: false }, is_complete: false });
    assert!(!Total::of(secs(10), [sample(10, 3, false), None]).is_complete, "one that never answered");
    assert!(!Total::of(secs(10), []).is_complete, "no gateway at all");
}

#[test]
fn rules_are_read_with_their_defaults() {
    let spec = Autoscaling { min_replicas: 1, max_replicas: 4, ..Autoscaling::default() };
    assert_eq!(Rules::of(&spec), Rules { min: 1, max: 4, target: 32, delay: SCALE_DOWN_DELAY });
    let spec = Autoscaling {
        max_replicas: 2,
        target_in_flight: Some(5),
        scale_down_delay: Some("90s".into()),
        ..Autoscaling::default()
    };
    assert_eq!(Rules::of(&spec), Rules { min: 0, max: 2, target: 5, delay: secs(90) });
}

/// One second: how long since the last one, what is in flight, what is known, and whether the operator starts anew.
fn second() -> impl Strategy<Value = (u64, Demand, bool, bool)> {
    let demand = (0_u64..200, prop_oneof![4 => Just(0_u64), 1 => 1_u64..50], any::<bool>())
        .prop_map(|(in_flight, waiting, wanted)| Demand { in_flight, waiting, wanted });
    (1_u64..9, demand, prop::bool::weighted(0.9), prop::bool::weighted(0.02))
}

proptest! {
    #[test]
    fn whatever_happens_replicas_stay_within_the_rules_and_never_fall_soon_after_they_rose(
        seconds in prop::collection::vec(second(), 1..400),
        (min, more, target, delay) in (0_u32..3, 1_u32..10, 1_u32..40, 10_u64..120),
    ) {
        let rules = Rules { min, max: min + more, target, delay: secs(delay) };
        let (mut scaler, mut now, mut current, mut rose) = (Scaler::default(), 0, min, None);
        for (passed, demand, is_complete, restarts) in seconds {
            now += passed;
            if restarts {
                scaler = Scaler::default();
            }
            let Decision { replicas, wanted } =
                scaler.decide(secs(now), &Total { demand, is_complete }, current, &rules);
            prop_assert!((rules.min..=rules.max).contains(&replicas));
            let borne = u64::from(replicas) * u64::from(target) * 11;
            prop_assert!(replicas == rules.max || demand.load() * 10 <= borne, "overload is borne at most a tenth");
            prop_assert!(replicas > 0 || (demand.load() == 0 && !demand.wanted), "demand keeps one at least");
            prop_assert!(replicas >= wanted.min(rules.max));
            if replicas < current {
                prop_assert!(is_complete, "down without knowing");
                prop_assert!(rose.is_none_or(|rose| now - rose > delay), "down {} s after up", now - rose.unwrap_or(0));
            } else if replicas > current {
                rose = Some(now);
            }
            current = replicas;
        }
    }
}
