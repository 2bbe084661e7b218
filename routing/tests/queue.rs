//! Keys take turns, waits are bounded, nobody is forgotten.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use turnpike_routing::{
    Moment,
    queue::{Bounds, Queue},
};

const WIDE: Bounds = Bounds { all: 1000, per_key: 1000 };
const START: Moment = Moment(1_000_000);

fn later(ms: u64) -> Moment {
    START.after(Duration::from_millis(ms))
}

fn drained(queue: &mut Queue<&'static str>, now: Moment) -> String {
    std::iter::from_fn(|| queue.next(now)).collect()
}

#[test]
fn keys_take_turns_whoever_came_first() {
    let mut queue = Queue::new(WIDE);
    for _ in 0..4 {
        queue.join(1, (START, later(1000)), "a").unwrap();
    }
    queue.join(2, (START, later(1000)), "b").unwrap();
    queue.join(2, (START, later(1000)), "b").unwrap();
    queue.join(3, (START, later(1000)), "c").unwrap();
    assert_eq!(drained(&mut queue, START), "abcabaa");
    assert!(queue.is_empty());
}

#[test]
fn a_latecomer_waits_one_turn_not_the_whole_line() {
    let mut queue = Queue::new(WIDE);
    for _ in 0..100 {
        queue.join(1, (START, later(1000)), "a").unwrap();
    }
    for _ in 0..50 {
        assert_eq!(queue.next(START), Some("a"));
    }
    queue.join(2, (START, later(1000)), "b").unwrap();
    let next: Vec<_> = std::iter::from_fn(|| queue.next(START)).take(2).collect();
    assert!(next.contains(&"b"), "{next:?}");
}

#[test]
fn a_key_that_was_served_alone_owes_nothing_later() {
    let mut queue = Queue::new(WIDE);
    for _ in 0..100 {
        queue.join(1, (START, later(1000)), "a").unwrap();
        assert_eq!(queue.next(START), Some("a"));
    }
    queue.join(2, (START, later(1000)), "b").unwrap();
    queue.join(2, (START, later(1000)), "b").unwrap();
    queue.join(1, (START, later(1000)), "a").unwrap();
    assert_eq!(drained(&mut queue, START), "bab");
}

#[test]
fn who_waited_too_long_is_passed_over() {
    let mut queue = Queue::new(WIDE);
    queue.join(1, (START, later(100)), "late").unwrap();
    queue.join(2, (START, later(1000)), "in time").unwrap();
    assert_eq!(queue.next(later(100)), Some("in time"));
    assert_eq!(queue.next(later(100)), None);
}

#[test]
fn bounds_hold_for_all_and_for_each_key() {
    let mut queue = Queue::new(Bounds { all: 3, per_key: 2 });
    queue.join(1, (START, later(100)), "a").unwrap();
    queue.join(1, (START, later(100)), "a").unwrap();
    assert!(queue.join(1, (START, later(100)), "a").is_err(), "a third one of the same key");
    queue.join(2, (START, later(1000)), "b").unwrap();
    assert!(queue.join(3, (START, later(100)), "c").is_err(), "a fourth one of all");
    // Those whose time is over make room.
    queue.join(3, (later(100), later(1000)), "c").unwrap();
    assert_eq!(drained(&mut queue, later(100)), "bc");
}

#[test]
fn who_leaves_is_not_served_and_leaves_its_place() {
    let mut queue = Queue::new(Bounds { all: 1, per_key: 1 });
    let ticket = queue.join(1, (START, later(100)), "a").unwrap();
    assert_eq!(queue.leave(ticket), Some("a"));
    assert_eq!(queue.leave(ticket), None);
    queue.join(1, (START, later(100)), "again").unwrap();
    assert_eq!(drained(&mut queue, START), "again");
}

#[test]
fn the_refused_are_told_how_long_the_line_takes() {
    let mut queue = Queue::new(WIDE);
    for _ in 0..100 {
        queue.join(1, (START, later(60_000)), "a").unwrap();
    }
    assert_eq!(queue.retry_after(START), Duration::from_mins(1), "nobody was served yet");
    for _ in 0..50 {
        queue.next(START);
    }
    assert_eq!(queue.retry_after(START), Duration::from_secs(10), "50 in ten seconds, 50 are left");
    while queue.next(START).is_some() {}
    assert_eq!(queue.retry_after(START), Duration::from_secs(1));
}
