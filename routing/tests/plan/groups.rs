//! From group to group.

use std::{sync::Arc, time::Duration};

use turnpike_routing::{
    backend::Traits,
    failure::{Cause, Failure},
    fallback::Hop,
    features::Features,
    group::Retry,
    plan::{Next, NoMember, Plan, Wishes},
};

use super::fixture::{at, break_down, entered, failure, falls_to, group, plain, tried, turn};

fn to(target: &str) -> Next {
    Next::Fall(Hop::Object(target.into()))
}

#[test]
fn each_cause_has_its_own_fallbacks_in_order() {
    let to_three: [(&str, &[Cause]); 3] = [
        ("large", &[Cause::ContextWindow]),
        ("other", &[Cause::ServerError, Cause::RateLimit]),
        ("last", &[Cause::ServerError]),
    ];
    let fallen = |cause| {
        let group = falls_to(group("a", 1), &to_three);
        let (mut plan, _) = entered(&group);
        let mut all = vec![plan.failed(&group, &plain(), &failure(cause), turn(at(0)))];
        while let Some(Next::Fall(_)) = all.last() {
            all.push(plan.closed(at(0)));
        }
        all
    };
    assert_eq!(fallen(Cause::ContextWindow), [to("large"), Next::Stop]);
    assert_eq!(fallen(Cause::RateLimit), [to("other"), Next::Stop]);
    assert_eq!(fallen(Cause::ServerError), [to("other"), to("last"), Next::Stop]);
    assert_eq!(fallen(Cause::Client), [Next::Stop]);
}

#[test]
fn other_members_come_before_other_groups_and_those_before_a_pause() {
    let two = falls_to(group("a", 2), &[("other", &[Cause::ServerError])]);
    let (mut plan, first) = entered(&two);
    let (second, _) = tried(&plan.failed(&two, &plain(), &failure(Cause::ServerError), turn(at(0))));
    assert_ne!(first, second);
    assert_eq!(plan.failed(&two, &plain(), &failure(Cause::ServerError), turn(at(0))), to("other"));
}

#[test]
fn what_the_request_names_comes_first_and_for_any_failure_but_its_own() {
    let group = falls_to(group("a", 1), &[("other", &[Cause::Timeout])]);
    let wishes = Wishes { fallbacks: 2, ..Wishes::default() };
    let mut plan = Plan::new(wishes);
    plan.enter(&group, &plain(), turn(at(0)));
    let timeout = Failure { sent: true, ..failure(Cause::Timeout) };
    assert_eq!(plan.failed(&group, &plain(), &timeout, turn(at(0))), Next::Fall(Hop::Asked(0)));
    assert_eq!(plan.closed(at(0)), Next::Fall(Hop::Asked(1)));
    assert_eq!(plan.closed(at(0)), to("other"));
    let mut plan = Plan::new(wishes);
    plan.enter(&group, &plain(), turn(at(0)));
    assert_eq!(plan.failed(&group, &plain(), &failure(Cause::Client), turn(at(0))), Next::Stop);
}

#[test]
fn a_request_that_names_a_group_it_was_in_goes_past_it() {
    let group = group("a", 1);
    let mut plan = Plan::new(Wishes { fallbacks: 2, ..Wishes::default() });
    plan.enter(&group, &plain(), turn(at(0)));
    plan.failed(&group, &plain(), &failure(Cause::ServerError), turn(at(0)));
    // It named the same model under another name.
    assert_eq!(plan.enter(&group, &plain(), turn(at(0))), Next::Fall(Hop::Asked(1)));
}

#[test]
fn what_a_group_names_comes_after_what_the_group_before_it_named() {
    let on: &[Cause] = &[Cause::ServerError];
    let mut a = falls_to(group("a", 1), &[("b", on), ("c", on)]);
    a.retry = Retry { by_cause: Vec::new() };
    let mut b = falls_to(group("b", 1), &[("d", on), ("a", on), ("c", on)]);
    b.retry = a.retry.clone();
    let (mut plan, _) = entered(&a);
    assert_eq!(plan.failed(&a, &plain(), &failure(Cause::ServerError), turn(at(0))), to("b"));
    tried(&plan.enter(&b, &plain(), turn(at(0))));
    assert_eq!(plan.failed(&b, &plain(), &failure(Cause::ServerError), turn(at(0))), to("c"));
    assert_eq!(plan.closed(at(0)), to("d"));
    assert_eq!(plan.closed(at(0)), Next::Stop);
}

#[test]
fn five_groups_are_enough() {
    let names: Vec<String> = (0..9).map(|index| format!("ns/{index}")).collect();
    let on: &[Cause] = &[Cause::ServerError];
    let targets: Vec<(&str, &[Cause])> = names.iter().map(|name| (name.as_str(), on)).collect();
    let group = falls_to(group("a", 1), &targets);
    let (mut plan, _) = entered(&group);
    let mut next = plan.failed(&group, &plain(), &failure(Cause::ServerError), turn(at(0)));
    let mut hops = 0;
    while let Next::Fall(_) = next {
        hops += 1;
        next = plan.closed(at(0));
    }
    assert_eq!(hops, 5);
}

#[test]
fn a_prompt_that_is_too_long_goes_to_a_larger_model_without_an_attempt() {
    let mut small = falls_to(group("small", 1), &[("large", &[Cause::ContextWindow])]);
    small.members[0].traits = Arc::new(Traits { context_window: Some(1000), ..Traits::default() });
    let long = Features { prompt_tokens: 2000, ..Features::default() };
    let mut plan = Plan::default();
    assert_eq!(plan.enter(&small, &long, turn(at(0))), to("large"));
    assert_eq!(plan.closed(at(0)), Next::Refuse(NoMember::ContextWindow(1000)), "nothing was tried");
    small.fallbacks = Box::default();
    assert_eq!(Plan::default().enter(&small, &long, turn(at(0))), Next::Refuse(NoMember::ContextWindow(1000)));
}

#[test]
fn where_all_are_left_alone_the_fallback_is_asked_at_once() {
    let broken = falls_to(group("a", 2), &[("other", &[Cause::ServerError])]);
    for member in &broken.members {
        break_down(member, at(0));
    }
    assert_eq!(Plan::default().enter(&broken, &plain(), turn(at(1))), to("other"));
    // By their own word: what fits is the fallback for rate limits.
    let limited = falls_to(group("a", 1), &[("other", &[Cause::RateLimit])]);
    let rest = Failure { retry_after: Some(Duration::from_secs(30)), ..failure(Cause::RateLimit) };
    limited.members[0].live.health.failed(&limited.members[0].traits, &rest, (at(0), at(0)));
    assert_eq!(Plan::default().enter(&limited, &plain(), turn(at(1))), to("other"));
    // The fallback, too, is in trouble: better a member that failed than nobody.
    let mut plan = Plan::default();
    plan.enter(&broken, &plain(), turn(at(1)));
    let other = group("other", 1);
    break_down(&other.members[0], at(0));
    tried(&plan.enter(&other, &plain(), turn(at(1))));
}

#[test]
fn a_fallback_gets_no_more_than_its_share() {
    let mut group = falls_to(group("a", 1), &[("other", &[Cause::ColdStart])]);
    group.fallbacks[0].max_percent = Some(10);
    group.retry = Retry { by_cause: Vec::new() };
    let fallen = (0..1000).filter(|_| {
        let (mut plan, _) = entered(&group);
        plan.failed(&group, &plain(), &failure(Cause::ColdStart), turn(at(0))) == to("other")
    });
    // The first ones come when there were too few requests for a tenth of them to be one.
    assert!((98..=100).contains(&fallen.count()));
}

#[test]
fn from_a_group_that_has_not_started_requests_fall_as_from_one_that_does_not_work() {
    let refused = Next::Refuse(NoMember::Cold);
    for (on, next) in [(Cause::ColdStart, to("other")), (Cause::ServerError, to("other")), (Cause::RateLimit, refused)]
    {
        let mut group = falls_to(group("a", 0), &[("other", &[on])]);
        group.is_cold = true;
        assert_eq!(Plan::default().enter(&group, &plain(), turn(at(0))), next, "{on:?}");
    }
}
