//! Waits grow, stay bounded, differ between objects, and are short after a conflict.

use std::time::Duration;

use tokio::time::Instant;
use turnpike_operator::kit::backoff::{Backoff, Failure, Retries};

fn waits(failure: Failure, jitter: f64, count: usize) -> Vec<u128> {
    let mut backoff = Backoff::default();
    (0..count).map(|_| backoff.fail(failure, jitter).as_millis()).collect()
}

#[test]
fn waits_double_up_to_a_minute() {
    assert_eq!(waits(Failure::Error, 1.0, 10), [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000]);
    assert_eq!(waits(Failure::Error, 0.0, 3), [100, 200, 400], "jitter takes at most half");
    assert_eq!(waits(Failure::Error, 1.0, 100)[99], 60000, "forever");
}

#[test]
fn a_conflict_is_tried_again_within_50_ms_and_a_lasting_one_is_not_hammered() {
    assert_eq!(waits(Failure::Conflict, 1.0, 12)[..4], [50, 100, 200, 400]);
    assert_eq!(waits(Failure::Conflict, 1.0, 12)[11], 60000);
}

#[test]
fn a_conflict_after_errors_is_still_tried_soon() {
    let mut backoff = Backoff::default();
    backoff.fail(Failure::Error, 1.0);
    backoff.fail(Failure::Error, 1.0);
    assert_eq!(backoff.fail(Failure::Conflict, 1.0), Duration::from_millis(50));
}

#[test]
fn objects_wait_apart_and_success_forgets() {
    let mut retries = Retries::default();
    let start = Instant::now();
    let first = retries.fail("a", Failure::Error, start, 1.0);
    retries.fail("b", Failure::Conflict, start, 1.0);
    assert_eq!(first, start + Duration::from_millis(200));
    assert!(retries.waits(&"a", start) && !retries.waits(&"c", start));
    assert_eq!(retries.next(), Some(start + Duration::from_millis(50)));
    assert_eq!(retries.due(start + Duration::from_millis(60)), ["b"]);
    retries.forget(&"b");
    assert_eq!(retries.next(), Some(first));
    assert_eq!(retries.fail("b", Failure::Conflict, start, 1.0), start + Duration::from_millis(50), "as if new");
}

#[test]
fn answers_are_told_apart() {
    let answer = |code, reason: &str| {
        let status = kube::core::Status { code, reason: reason.to_owned(), ..kube::core::Status::default() };
        Failure::of(&kube::Error::Api(Box::new(status)))
    };
    assert_eq!(answer(409, "Conflict"), Failure::Conflict);
    assert_eq!(answer(409, "AlreadyExists"), Failure::Error);
    assert_eq!(answer(503, "ServiceUnavailable"), Failure::Error);
}
