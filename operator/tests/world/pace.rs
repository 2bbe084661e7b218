//! News is told at once, but for what completes it and floods.

use std::time::Duration;

use tokio::time::Instant;
use turnpike_operator::world::pace::{FIRST_READ, Pace, REST};

#[test]
fn news_is_told_at_once_and_a_flood_of_it_leaves_time_for_others() {
    let mut pace = Pace::default();
    let start = Instant::now();
    assert!(pace.allows(start, false));
    let end = start + Duration::from_millis(3);
    pace.sent(start, end);
    let due = end + Duration::from_millis(3) * REST;
    assert!(!pace.allows(end, false));
    assert_eq!(pace.due(), Some(due));
    assert!(pace.allows(due, false));
    pace.sent(due, due);
    assert_eq!(pace.due(), None);
}

#[test]
fn news_waits_for_a_first_read_and_not_for_ever() {
    let mut pace = Pace::default();
    let start = Instant::now();
    assert!(!pace.allows(start, true));
    assert!(pace.allows(start + Duration::from_millis(5), false), "it has been read");
    assert!(!pace.allows(start + Duration::from_millis(5), true));
    assert!(pace.allows(start + FIRST_READ, true), "counted from the oldest news");
}
