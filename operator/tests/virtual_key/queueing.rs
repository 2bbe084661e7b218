//! When objects are looked at.

use std::time::Duration;

use tokio::time::Instant;
use turnpike_bundle::entry::ObjectRef;
use turnpike_operator::{
    kit::backoff::Failure,
    virtual_key::queue::{Outcome, Queue},
};

fn at(name: &str) -> ObjectRef {
    ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() }
}

#[test]
fn an_object_is_worked_on_once_at_a_time_and_again_if_it_changed() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.now(at("a"), now);
    queue.now(at("a"), now);
    assert_eq!(queue.take(now), Some(at("a")));
    assert_eq!(queue.take(now), None);
    queue.now(at("a"), now);
    assert_eq!(queue.take(now), None);
    queue.done(at("a"), Outcome::Done(None), now, 0.0);
    assert_eq!(queue.take(now), None);
    assert_eq!(queue.take(now + Duration::from_millis(50)), Some(at("a")));
    queue.done(at("a"), Outcome::Done(None), now, 0.0);
    assert_eq!((queue.take(now), queue.wake(now)), (None, None));
}

#[test]
fn the_earliest_time_counts_and_the_longest_due_goes_first() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let later = |seconds| now + Duration::from_secs(seconds);
    queue.at(at("a"), later(9));
    queue.at(at("b"), later(5));
    queue.at(at("a"), later(3));
    queue.at(at("a"), later(7));
    assert_eq!(queue.wake(now), Some(later(3)));
    assert_eq!(queue.take(later(2)), None);
    assert_eq!(queue.take(later(6)), Some(at("a")));
    assert_eq!(queue.take(later(6)), Some(at("b")));
    queue.done(at("a"), Outcome::Done(Some(later(8))), later(6), 0.0);
    queue.forget(&at("a"));
    assert_eq!(queue.wake(now), None);
}

#[test]
fn failures_wait_longer_each_time_and_conflicts_less() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let mut waits = Vec::new();
    for failure in [Failure::Conflict, Failure::Error, Failure::Error, Failure::Error] {
        queue.at(at("a"), now);
        queue.take(now).unwrap();
        queue.done(at("a"), Outcome::Failed(failure), now, 1.0);
        waits.push(queue.wake(now).unwrap() - now);
    }
    assert!(queue.has_failed(&at("a")));
    assert_eq!(waits.iter().map(Duration::as_millis).collect::<Vec<_>>(), [50, 200, 400, 800]);
    queue.now(at("a"), now);
    assert_eq!(queue.take(now), Some(at("a")), "a change does not wait");
    queue.done(at("a"), Outcome::Done(None), now, 1.0);
    assert!(!queue.has_failed(&at("a")));
}

#[test]
fn the_backlog_is_paced_and_what_is_urgent_overtakes_it() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    for number in 0..10_000 {
        queue.some_time(at(&format!("k{number:05}")));
    }
    let mut now = start;
    let mut taken = 0;
    while let Some(wake) = queue.wake(now) {
        now = now.max(wake);
        while let Some(object) = queue.take(now) {
            queue.done(object, Outcome::Done(None), now, 0.0);
            taken += 1;
        }
        if taken == 5000 {
            queue.now(at("urgent"), now);
            assert_eq!(queue.take(now), Some(at("urgent")));
            queue.done(at("urgent"), Outcome::Done(None), now, 0.0);
        }
    }
    assert_eq!(taken, 10_000);
    let took = (now - start).as_secs();
    assert!((100..240).contains(&took), "{took} s");
    queue.some_time(at("alone"));
    assert_eq!(queue.take(now + Duration::from_secs(1)), Some(at("alone")), "after a quiet time one goes at once");
}
