//! Every way ends, whatever fails: within bounds on attempts, groups and pauses.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::prelude::*;
use turnpike_routing::{
    Moment,
    failure::{Cause, Failure},
    fallback::Hop,
    group::{Fallback, Group, Retry},
    health::Standing,
    plan::{Next, Plan, Turn, Wishes},
};

use super::fixture::{ALL, group, member, plain};

fn cause() -> impl Strategy<Value = Cause> {
    (0..ALL.len()).prop_map(|index| ALL[index])
}

fn failure() -> impl Strategy<Value = Failure> {
    (cause(), any::<bool>(), proptest::option::of(0..100u64)).prop_map(|(cause, sent, retry_after)| Failure {
        cause,
        sent,
        retry_after: retry_after.map(Duration::from_secs),
    })
}

/// Members, retries by cause, fallbacks.
type Drawn = (usize, Vec<(Cause, u8)>, Vec<(usize, Vec<Cause>, Option<u8>)>);

fn drawn() -> impl Strategy<Value = Drawn> {
    let to = (0..6usize, proptest::collection::vec(cause(), 1..5), proptest::option::of(1..101u8));
    (0..4usize, proptest::collection::vec((cause(), 0..5u8), 0..9), proptest::collection::vec(to, 0..5))
}

fn made(drawn: Vec<Drawn>) -> Vec<Group> {
    let id = |index: usize| Arc::<str>::from(format!("ns/{index}"));
    let each = |(index, (members, by_cause, fallbacks)): (usize, Drawn)| Group {
        retry: Retry { by_cause },
        fallbacks: fallbacks
            .into_iter()
            .map(|(target, on, max_percent)| Fallback { target: id(target), on, max_percent })
            .collect(),
        ..group(&id(index), members)
    };
    drawn.into_iter().enumerate().map(each).collect()
}

/// What happens to a backend, and seconds until the next thing does.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Failed(Failure),
    Succeeded,
    Tried,
    Outrun,
    Probed { answers: bool },
}

fn seen() -> impl Strategy<Value = (Seen, u64)> {
    let one = prop_oneof![
        failure().prop_map(Seen::Failed),
        Just(Seen::Succeeded),
        Just(Seen::Tried),
        Just(Seen::Outrun),
        any::<bool>().prop_map(|answers| Seen::Probed { answers }),
    ];
    (one, 0..40u64)
}

proptest! {
    #[test]
    fn a_backend_comes_back_whatever_it_did(seen in proptest::collection::vec(seen(), 0..60)) {
        let member = member("a");
        let (health, traits) = (&member.live.health, &member.traits);
        let mut now = Moment(1_000_000);
        let later = |now: Moment, seconds| now.after(Duration::from_secs(seconds));
        for (what, wait) in seen {
            match what {
                Seen::Failed(failure) => {
                    health.failed(traits, &failure, (now, later(now, 1)));
                }
                Seen::Succeeded => health.succeeded(now, later(now, 1)),
                Seen::Tried => {
                    health.try_out(now);
                }
                Seen::Outrun => health.outrun(traits, now),
                Seen::Probed { answers: true } => health.probe_answered(now),
                Seen::Probed { answers: false } => health.probe_missed(traits, now),
            }
            if let Standing::Cooling { until } = health.standing(now) {
                prop_assert!(until <= later(now, 100 + 1), "longer than any cooldown or Retry-After: {until:?} at {now:?}");
            }
            now = later(now, wait + 1);
        }
        // Two hours later one request is tried, and goes well.
        now = later(now, 7200);
        let rests = matches!(health.standing(now), Standing::Cooling { .. });
        prop_assert!(!rests, "still");
        prop_assert!(health.try_out(now));
        health.succeeded(now, later(now, 1));
        prop_assert_eq!(health.standing(later(now, 12)), Standing::Healthy);
    }

    #[test]
    fn ends(
        groups in proptest::collection::vec(drawn(), 6).prop_map(made),
        failures in proptest::collection::vec(failure(), 1..20),
        wishes in (proptest::option::of(0..20u8), 0..4usize),
        seed: u64,
    ) {
        let named = Wishes { fallbacks: wishes.1, ..Wishes::default() };
        let mut plan = Plan::new(Wishes { retries: wishes.0, ..named });
        let mut now = Moment(1_000_000);
        let end = now.after(Duration::from_mins(10));
        let mut failures = failures.iter().cycle();
        let mut attempts = BTreeMap::<usize, usize>::new();
        let mut entered = vec![0];
        let turn = |now: Moment, draw: u64| Turn { now, left: end.since(now), draw: seed.wrapping_mul(draw | 1) };
        let mut next = plan.enter(&groups[0], &plain(), turn(now, 1));
        for step in 2.. {
            let group = *entered.last().unwrap();
            next = match next {
                Next::Try { member, after } => {
                    prop_assert!(member < groups[group].members.len());
                    prop_assert!(after < end.since(now) && after <= Duration::from_millis(60_250), "{after:?}");
                    now = now.after(after);
                    *attempts.entry(group).or_default() += 1;
                    plan.failed(&groups[group], &plain(), failures.next().unwrap(), turn(now, step))
                }
                Next::Fall(hop) => {
                    let to = match hop {
                        Hop::Asked(index) => {
                            prop_assert!(index < wishes.1);
                            index + 1
                        }
                        Hop::Object(id) => groups.iter().position(|group| group.ids.contains(&id)).unwrap(),
                    };
                    let back = entered.contains(&to);
                    entered.push(to);
                    let next = plan.enter(&groups[to], &plain(), turn(now, step));
                    prop_assert!(!back || !matches!(next, Next::Try { .. }), "in group {to} twice");
                    next
                }
                Next::Refuse(_) | Next::Stop => break,
            };
        }
        prop_assert!(entered.len() <= 6, "{entered:?}");
        prop_assert!(attempts.values().all(|attempts| *attempts <= 11), "{attempts:?}");
    }
}
