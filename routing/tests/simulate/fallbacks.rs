//! Other groups take what a group cannot, as much as they may, and never in a circle.

use std::{sync::Arc, time::Duration};

use turnpike_routing::{
    backend::Live,
    failure::Cause,
    group::{Fallback, Group, Strategy},
};

use super::{
    backend::Mood::{self, Cold, Dead, Limited, Well},
    world::{Setting, member},
};

const FINE: &[(u64, Mood)] = &[(0, Well(100))];

/// To which backend's group, for what, and how many in a hundred.
type To<'a> = (usize, &'a [Cause], Option<u8>);

/// A group of one backend for each, that falls back to those.
fn groups(lives: &[Arc<Live>], fallbacks: &[&[To]]) -> Vec<Group> {
    let group = |(backend, fallbacks): (usize, &&[To])| Group {
        ids: Box::new([id(backend)]),
        strategy: Strategy::Weighted,
        members: Box::new([member(backend, lives)]),
        fallbacks: fallbacks
            .iter()
            .map(|(target, on, max_percent)| Fallback {
                target: id(*target),
                on: on.to_vec(),
                max_percent: *max_percent,
            })
            .collect(),
        ..Group::default()
    };
    fallbacks.iter().enumerate().map(group).collect()
}

fn id(backend: usize) -> Arc<str> {
    format!("ns/{backend}").into()
}

#[test]
fn no_more_than_the_share_of_an_hour_overflows() {
    let dead_for_an_hour: &[(u64, Mood)] = &[(0, Well(100)), (3600, Dead), (7200, Well(100))];
    let report = Setting { rate: 2, seconds: 3 * 3600, ..Setting::of(&[dead_for_an_hour, FINE]) }
        .run(|lives| groups(lives, &[&[(1, &[Cause::ServerError], Some(5))], &[]]));
    let (fell, an_hour) = (report.fell[&id(1)], report.requests / 3);
    // The begun minute is counted in.
    assert!(fell * 1000 <= an_hour * 52, "{fell} of {an_hour}");
    assert!(fell * 100 >= an_hour * 9 / 2, "{fell} of {an_hour}");
}

#[test]
fn a_chain_goes_on_until_somebody_answers_and_ends_where_it_began() {
    let on: &[Cause] = &[Cause::ServerError];
    let dead: &[(u64, Mood)] = &[(0, Dead)];
    let circle = |lives: &[Arc<Live>]| {
        groups(lives, &[&[(1, on, None)], &[(0, on, None), (2, on, None)], &[(0, on, None), (1, on, None)]])
    };
    let report = Setting { seconds: 70, ..Setting::of(&[dead, dead, FINE]) }.run(circle);
    assert!(report.failed.is_empty());
    // Once a minute has shown that the first two are dead, nobody asks them but one on trial.
    assert!(report.percentile(99, 1..70) < Duration::from_millis(160));
    assert!(report.attempts_at(0, 1..70) + report.attempts_at(1, 1..70) <= 6);
    let report = Setting { seconds: 20, ..Setting::of(&[dead, dead, dead]) }.run(circle);
    assert_eq!(report.failed.len() as u64, report.requests);
    assert!(report.fell.values().all(|fell| *fell <= report.requests), "{:?}", report.fell);
}

#[test]
fn an_engine_that_starts_is_stood_in_for() {
    let report = Setting::of(&[&[(0, Cold), (30, Well(100))], FINE])
        .run(|lives| groups(lives, &[&[(1, &[Cause::ColdStart], None)], &[]]));
    assert!(report.failed.is_empty());
    assert_eq!(report.attempts_at(1, 31..100), 0, "it serves as soon as it can");
}

#[test]
fn what_is_above_a_rate_goes_to_the_fallback() {
    let limited: &[(u64, Mood)] = &[(0, Limited { rate: 100, retry_after: Some(1) })];
    let report = Setting::of(&[limited, FINE]).run(|lives| groups(lives, &[&[(1, &[Cause::RateLimit], None)], &[]]));
    assert!(report.failed.is_empty());
    // No more than what is sent in the moment before a refusal arrives.
    assert!(report.disturbed[0] <= 100, "{}", report.disturbed[0]);
    assert!(report.attempts_at(0, 0..100) > 2000, "{}", report.attempts_at(0, 0..100));
}
