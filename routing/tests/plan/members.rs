//! Within one group.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use turnpike_routing::{
    failure::{Cause, Failure},
    group::Retry,
    health::Standing,
    plan::{Next, NoMember, Plan, Turn, Wishes},
};

use super::fixture::{ALL, at, break_down, entered, failure, group, plain, tried, turn};

#[test]
fn each_retry_goes_to_a_member_that_has_not_failed_and_without_a_pause() {
    let group = group("a", 3);
    let (mut plan, first) = entered(&group);
    let (second, pause) = tried(&plan.failed(&group, &plain(), &failure(Cause::ServerError), turn(at(0))));
    let (third, no_pause) = tried(&plan.failed(&group, &plain(), &failure(Cause::RateLimit), turn(at(0))));
    assert_eq!((pause, no_pause), (Duration::ZERO, Duration::ZERO));
    let mut asked = [first, second, third];
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2]);
    assert_eq!(plan.failed(&group, &plain(), &failure(Cause::ServerError), turn(at(0))), Next::Stop, "two retries");
}

#[test]
fn causes_have_their_own_number_of_retries() {
    let retries = |cause, sent, by_cause: &[(Cause, u8)], wish| {
        let mut group = group("a", 5);
        group.retry = Retry { by_cause: by_cause.to_vec() };
        let mut plan = Plan::new(Wishes { retries: wish, ..Wishes::default() });
        let mut next = plan.enter(&group, &plain(), turn(at(0)));
        let mut attempts = 0;
        while let Next::Try { .. } = next {
            attempts += 1;
            next = plan.failed(&group, &plain(), &Failure { sent, ..failure(cause) }, turn(at(attempts)));
        }
        attempts - 1
    };
    let default = Retry::default().by_cause;
    let seen = ALL.map(|cause| (cause, retries(cause, true, &default, None), retries(cause, true, &default, Some(1))));
    assert_eq!(
        seen,
        [
            (Cause::Client, 0, 0),
            (Cause::ContextWindow, 0, 0),
            // The same prompt would be refused again, and what a slow backend does may cost twice: only by policy.
            (Cause::ContentPolicy, 0, 0),
            (Cause::Authentication, 0, 1),
            (Cause::NotFound, 2, 1),
            (Cause::RateLimit, 2, 1),
            (Cause::Timeout, 0, 0),
            (Cause::ServerError, 2, 1),
            (Cause::ColdStart, 2, 1),
        ]
    );
    assert_eq!(retries(Cause::Timeout, false, &default, None), 2, "the backend was not reached in time");
    assert_eq!(retries(Cause::Timeout, true, &[(Cause::Timeout, 1)], None), 1);
    assert_eq!(retries(Cause::Timeout, true, &[(Cause::Timeout, 1)], Some(3)), 3);
    assert_eq!(retries(Cause::ServerError, true, &default, Some(0)), 0);
    assert_eq!(retries(Cause::ServerError, true, &default, Some(200)), 10, "nobody wants more than ten");
}

#[test]
fn refused_credentials_are_tried_at_another_member_only() {
    let mut lone = group("a", 1);
    lone.retry = Retry { by_cause: vec![(Cause::Authentication, 2)] };
    let (mut plan, _) = entered(&lone);
    assert_eq!(plan.failed(&lone, &plain(), &failure(Cause::Authentication), turn(at(0))), Next::Stop);
    let mut two = group("a", 2);
    two.retry = lone.retry;
    let (mut plan, first) = entered(&two);
    let (second, _) = tried(&plan.failed(&two, &plain(), &failure(Cause::Authentication), turn(at(0))));
    assert_ne!(first, second);
    assert_eq!(plan.failed(&two, &plain(), &failure(Cause::Authentication), turn(at(0))), Next::Stop);
}

#[test]
fn a_lone_member_is_asked_again_after_a_pause_that_grows() {
    let lone = group("a", 1);
    let mut most = [Duration::ZERO; 2];
    for luck in 0..500 {
        let (mut plan, _) = entered(&lone);
        for (retry, most) in most.iter_mut().enumerate() {
            let turn = turn(at(60 * luck + retry as u64));
            let (_, pause) = tried(&plan.failed(&lone, &plain(), &failure(Cause::ServerError), turn));
            *most = (*most).max(pause);
        }
    }
    assert!(most[0] > Duration::from_millis(230) && most[0] <= Duration::from_millis(250), "{most:?}");
    assert!(most[1] > Duration::from_millis(460) && most[1] <= Duration::from_millis(500), "{most:?}");
}

#[test]
fn retry_after_is_waited_for_where_there_is_time() {
    let limited = |seconds| Failure { retry_after: Some(Duration::from_secs(seconds)), ..failure(Cause::RateLimit) };
    let lone = group("a", 1);
    let (mut plan, _) = entered(&lone);
    let (_, pause) = tried(&plan.failed(&lone, &plain(), &limited(7), turn(at(0))));
    assert!((Duration::from_secs(7)..Duration::from_millis(7_300)).contains(&pause), "{pause:?}");
    // Longer than the request has, and longer than anybody waits.
    for (seconds, left) in [(7, 5), (61, 600)] {
        let lone = group("a", 1);
        let (mut plan, _) = entered(&lone);
        let turn = Turn { left: Duration::from_secs(left), ..turn(at(0)) };
        assert_eq!(plan.failed(&lone, &plain(), &limited(seconds), turn), Next::Stop);
    }
    // The other member did not ask for anything.
    let two = group("a", 2);
    let (mut plan, _) = entered(&two);
    let (_, pause) = tried(&plan.failed(&two, &plain(), &limited(7), turn(at(0))));
    assert_eq!(pause, Duration::ZERO);
}

#[test]
fn retries_are_a_fifth_of_requests_and_ten() {
    let group = group("a", 2);
    let mut retries = 0;
    for _ in 0..1000 {
        let (mut plan, _) = entered(&group);
        // Refused for the client's sake by the second, so that no backend is left alone.
        if let Next::Try { .. } = plan.failed(&group, &plain(), &failure(Cause::ColdStart), turn(at(0))) {
            retries += 1;
        }
    }
    assert_eq!(retries, 210);
}

#[test]
fn the_budget_holds_among_threads() {
    let group = group("a", 2);
    let retries = AtomicU64::new(0);
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for n in 0..5000 {
                    let now = at(n / 1000);
                    let mut plan = Plan::default();
                    plan.enter(&group, &plain(), turn(now));
                    if let Next::Try { .. } = plan.failed(&group, &plain(), &failure(Cause::ColdStart), turn(now)) {
                        retries.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    let retries = retries.into_inner();
    // Two may ask at once before either is counted.
    assert!((3000..=4100).contains(&retries), "{retries} of 20,000");
}

#[test]
fn where_all_are_left_alone_somebody_is_asked_all_the_same() {
    let group = group("a", 3);
    for member in &group.members {
        break_down(member, at(0));
    }
    let mut plan = Plan::default();
    let next = plan.enter(&group, &plain(), turn(at(1)));
    assert!(matches!(next, Next::Try { after: Duration::ZERO, .. }), "{next:?}");
}

#[test]
fn a_time_limit_below_what_a_member_usually_takes_says_nothing_of_it() {
    let usual = Duration::from_secs(8);
    for (limit, standing) in [(2, Standing::Healthy), (9, Standing::Cooling { until: at(100 + 9 + 60) })] {
        let lone = group("a", 1);
        let seen = lone.members[0].live.begin(at(0), 0);
        seen.first_token(at(0).after(usual));
        seen.succeeded(at(0).after(usual), 1, 1);
        for _ in 0..4 {
            let mut plan = Plan::default();
            plan.enter(&lone, &plain(), turn(at(100)));
            let timeout = Failure { sent: true, ..failure(Cause::Timeout) };
            assert_eq!(plan.failed(&lone, &plain(), &timeout, turn(at(100 + limit))), Next::Stop);
        }
        assert_eq!(lone.members[0].live.health.standing(at(100 + limit)), standing, "after {limit} s");
    }
}

#[test]
fn who_cannot_take_it_is_named() {
    let mut group = group("a", 1);
    group.members[0].weight = 0;
    assert_eq!(Plan::default().enter(&group, &plain(), turn(at(0))), Next::Refuse(NoMember::Empty));
}

#[test]
fn a_second_attempt_beside_a_slow_one_is_at_another_member_within_the_budget() {
    let pair = group("a", 2);
    let (mut plan, first) = entered(&pair);
    let second = plan.hedge(&pair, &plain(), turn(at(0))).unwrap();
    assert_ne!(first, second);
    assert_eq!(plan.hedge(&pair, &plain(), turn(at(0))), None, "one is enough");
    // The first fails, the second goes on and fails, too: no member is left, but a pause and the first again.
    plan.lost(&pair, first, &failure(Cause::ServerError), at(0));
    let (_, pause) = tried(&plan.failed(&pair, &plain(), &failure(Cause::ServerError), turn(at(0))));
    assert!(pause > Duration::ZERO);
    let lone = group("b", 1);
    let (mut plan, _) = entered(&lone);
    assert_eq!(plan.hedge(&lone, &plain(), turn(at(0))), None);
    let busy = group("c", 2);
    let hedged = (0..100).filter(|_| entered(&busy).0.hedge(&busy, &plain(), turn(at(0))).is_some()).count();
    assert_eq!(hedged, 30, "a fifth and ten");
}
