//! When a member is left alone, for how long, and how it comes back.

use std::time::Duration;

use turnpike_routing::{
    failure::{Cause, Failure},
    group::Member,
    health::Standing,
};

use super::fixture::{at, break_down, failure, member};

fn fail(member: &Member, cause: Cause, second: u64) {
    member.live.health.failed(&member.traits, &failure(cause), (at(second), at(second)));
}

fn succeed(member: &Member, began: u64, second: u64) {
    member.live.health.succeeded(at(began), at(second));
}

fn standing(member: &Member, second: u64) -> Standing {
    member.live.health.standing(at(second))
}

fn cooling(until: u64) -> Standing {
    Standing::Cooling { until: at(until) }
}

#[test]
fn more_failures_in_a_row_than_are_borne() {
    for cause in [Cause::ServerError, Cause::Timeout, Cause::Authentication, Cause::NotFound] {
        let member = member("a");
        (0..3).for_each(|second| fail(&member, cause, second));
        assert_eq!(standing(&member, 3), Standing::Healthy, "{cause:?}");
        fail(&member, cause, 3);
        assert_eq!(standing(&member, 3), cooling(63), "{cause:?}");
    }
    let slowly = member("a");
    (0..10).for_each(|minute| fail(&slowly, Cause::ServerError, minute * 31));
    assert_eq!(standing(&slowly, 300), Standing::Healthy, "never four in a minute");
}

#[test]
fn failures_that_are_not_its_own_never_count() {
    let member = member("a");
    for cause in [Cause::Client, Cause::ContextWindow, Cause::ContentPolicy, Cause::ColdStart] {
        (0..100).for_each(|_| fail(&member, cause, 0));
    }
    assert_eq!(standing(&member, 0), Standing::Healthy);
}

#[test]
fn a_third_of_failures_is_too_much_a_few_are_not() {
    let one_in = |share: u64| {
        let member = member("a");
        for n in 0..30 {
            if n % share == 0 { fail(&member, Cause::ServerError, 1) } else { succeed(&member, 1, 1) }
        }
        standing(&member, 1)
    };
    assert_eq!(one_in(3), cooling(61));
    assert_eq!(one_in(5), Standing::Healthy);
}

#[test]
fn retry_after_is_kept_to_and_a_limit_without_it_rests_a_second() {
    let member = member("a");
    fail(&member, Cause::RateLimit, 0);
    assert_eq!(standing(&member, 0), cooling(1));
    let asks = |seconds| Failure { retry_after: Some(Duration::from_secs(seconds)), ..failure(Cause::RateLimit) };
    member.live.health.failed(&member.traits, &asks(120), (at(0), at(0)));
    member.live.health.failed(&member.traits, &asks(5), (at(0), at(0)));
    assert_eq!(standing(&member, 0), cooling(120), "the longer one holds");
    assert_eq!(member.live.health.told(at(0)), Some(at(120)));
    // It said when; nobody has to try.
    assert_eq!(standing(&member, 125), Standing::SlowStart { share: 550 });
    assert_eq!(standing(&member, 130), Standing::Healthy);
    member.live.health.failed(&member.traits, &asks(1_000_000), (at(200), at(200)));
    assert_eq!(standing(&member, 200), cooling(3800), "an hour at most");
}

#[test]
fn one_request_is_on_trial_then_its_share_grows() {
    let member = member("a");
    break_down(&member, at(0));
    assert_eq!(standing(&member, 60), Standing::Trial);
    let health = &member.live.health;
    assert!(health.try_out(at(60)));
    assert_eq!(standing(&member, 60), cooling(70), "for the others");
    // A success from before its rest says nothing.
    succeed(&member, 0, 61);
    assert_eq!(standing(&member, 61), cooling(70));
    succeed(&member, 60, 62);
    assert_eq!(standing(&member, 62), Standing::SlowStart { share: 100 });
    assert_eq!(standing(&member, 67), Standing::SlowStart { share: 550 });
    assert_eq!(standing(&member, 72), Standing::Healthy);
}

#[test]
fn a_failed_trial_and_one_without_an_end() {
    let failed = member("a");
    break_down(&failed, at(0));
    assert!(failed.live.health.try_out(at(60)));
    fail(&failed, Cause::ServerError, 61);
    assert_eq!(standing(&failed, 61), cooling(121));
    let silent = member("b");
    break_down(&silent, at(0));
    assert!(silent.live.health.try_out(at(60)));
    assert_eq!(standing(&silent, 70), Standing::Trial, "the next one may try");
    assert!(silent.live.health.try_out(at(70)));
}

#[test]
fn an_answer_to_a_request_sent_for_want_of_others_ends_a_rest() {
    let member = member("a");
    break_down(&member, at(0));
    succeed(&member, 5, 6);
    assert_eq!(standing(&member, 6), Standing::SlowStart { share: 100 });
}

#[test]
fn two_failed_probes_and_the_one_that_is_answered() {
    let member = member("a");
    let health = &member.live.health;
    health.probe_missed(&member.traits, at(0));
    assert_eq!(standing(&member, 0), Standing::Healthy);
    health.probe_missed(&member.traits, at(30));
    assert_eq!(standing(&member, 30), cooling(90));
    health.probe_answered(at(60));
    assert_eq!(standing(&member, 60), Standing::Trial, "a request must still show it");
    // Not so what the backend asked for.
    let limited = Failure { retry_after: Some(Duration::from_secs(100)), ..failure(Cause::RateLimit) };
    health.failed(&member.traits, &limited, (at(61), at(61)));
    health.probe_answered(at(90));
    assert_eq!(standing(&member, 90), cooling(161));
}

#[test]
fn a_cooldown_of_zero_never_cools() {
    let mut member = member("a");
    let traits = turnpike_routing::backend::Traits { cooldown: Duration::ZERO, ..(*member.traits).clone() };
    member.traits = std::sync::Arc::new(traits);
    break_down(&member, at(0));
    assert_eq!(standing(&member, 0), Standing::Healthy);
}
