//! What live statistics say after attempts that are known.

use std::{sync::Arc, time::Duration};

use turnpike_routing::backend::Live;

use super::fixture::at;

const MS: Duration = Duration::from_millis(1);

/// A stream whose first token came after `first` and that ended after `took`, with so many tokens of output.
fn stream(live: &Arc<Live>, began: f64, (first, took): (f64, f64), output: u64) {
    let attempt = live.begin(at(began), 0);
    attempt.first_token(at(began + first));
    attempt.first_token(at(began + took));
    attempt.succeeded(at(began + took), output, output);
}

fn near(measured: Option<Duration>, expected: Duration) -> bool {
    measured.is_some_and(|measured| measured.abs_diff(expected) <= expected / 50)
}

#[test]
fn an_attempt_is_in_flight_until_it_ends_however_that_is() {
    let live = Arc::new(Live::default());
    let attempts = [0, 1, 2].map(|_| live.begin(at(0.0), 10));
    assert_eq!(live.stats.in_flight(), 3);
    let [answered, failed, dropped] = attempts;
    answered.succeeded(at(1.0), 30, 5);
    assert_eq!(live.stats.in_flight(), 2);
    failed.failed(at(1.0), 0);
    assert_eq!(live.stats.in_flight(), 1);
    drop(dropped);
    assert_eq!(live.stats.in_flight(), 0);
    // Ten each were expected; one used twenty more.
    assert_eq!((live.stats.requests(at(1.0)), live.stats.tokens(at(1.0))), (3, 50));
}

#[test]
fn a_minute_slides() {
    let live = Arc::new(Live::default());
    for second in 0..120 {
        drop(live.begin(at(f64::from(second)), 100));
    }
    let requests = live.stats.requests(at(119.9));
    assert!((60..=65).contains(&requests), "{requests}");
    assert_eq!(live.stats.tokens(at(119.9)), requests * 100);
    let later = live.stats.requests(at(150.0));
    assert!((30..=35).contains(&later), "{later}");
    assert_eq!(live.stats.requests(at(190.0)), 0);
    drop(live.begin(at(190.0), 0));
    assert_eq!(live.stats.requests(at(190.0)), 1);
}

#[test]
fn times_are_learnt_from_streams_and_from_whole_answers() {
    let live = Arc::new(Live::default());
    assert_eq!(live.stats.expected(100), None);
    for n in 0..50 {
        stream(&live, f64::from(n), (0.2, 2.19), 200);
    }
    assert!(near(live.stats.first_token(), 200 * MS), "{:?}", live.stats.first_token());
    assert!(near(live.stats.per_token(), 10 * MS), "{:?}", live.stats.per_token());
    assert!(near(live.stats.expected(100), 1200 * MS));
    // A whole answer has no first token: what it took beyond the wait for that is its tokens'.
    for n in 0..50 {
        live.begin(at(60.0 + f64::from(n)), 0).succeeded(at(62.2 + f64::from(n)), 100, 100);
    }
    assert!(near(live.stats.first_token(), 200 * MS));
    assert!(near(live.stats.per_token(), 20 * MS), "{:?}", live.stats.per_token());
    // Embeddings have no tokens of output: all of it is waiting.
    let embeddings = Arc::new(Live::default());
    embeddings.begin(at(0.0), 0).succeeded(at(0.03), 8, 0);
    assert!(near(embeddings.stats.expected(100), 30 * MS));
}

#[test]
fn a_mean_follows_a_change_within_seconds_and_one_measurement_moves_it_little() {
    let live = Arc::new(Live::default());
    for n in 0..100 {
        stream(&live, f64::from(n) / 100.0, (0.1, 0.1), 1);
    }
    stream(&live, 1.0, (3.3, 3.3), 1);
    let outlier = live.stats.first_token().unwrap();
    assert!(outlier > 250 * MS && outlier < 900 * MS, "{outlier:?}");
    for n in 0..10 {
        stream(&live, 10.0 + f64::from(n), (3.3, 3.3), 1);
    }
    assert!(live.stats.first_token().unwrap() > 1500 * MS, "{:?}", live.stats.first_token());
    assert!(!live.stats.is_stale(at(40.0)) && live.stats.is_stale(at(60.0)));
}

#[test]
fn failures_teach_only_slowness() {
    let live = Arc::new(Live::default());
    live.begin(at(0.0), 0).failed(at(9.0), 0);
    assert_eq!(live.stats.first_token(), None);
    stream(&live, 10.0, (0.2, 0.2), 1);
    live.begin(at(11.0), 0).failed(at(11.001), 0);
    assert!(near(live.stats.first_token(), 200 * MS), "refused at once is not fast");
    live.begin(at(12.0), 0).failed(at(22.0), 0);
    assert!(live.stats.first_token().unwrap() > 1000 * MS);
}

#[test]
fn percentiles_are_a_quarter_off_at_most_and_fade() {
    let live = Arc::new(Live::default());
    for n in 1..=19 {
        stream(&live, 0.0, (f64::from(n) / 100.0, 1.0), 1);
    }
    assert_eq!(live.stats.first_token_percentile(95), None, "too few");
    for n in 20..=100 {
        stream(&live, 0.0, (f64::from(n) / 100.0, 1.0), 1);
    }
    for (percentile, exact) in [(50, 500 * MS), (95, 950 * MS), (99, 990 * MS)] {
        let found = live.stats.first_token_percentile(percentile).unwrap();
        assert!(found >= exact && found <= exact * 5 / 4 + MS, "{percentile}: {found:?}");
    }
    for _ in 0..3000 {
        stream(&live, 1.0, (0.01, 1.0), 1);
    }
    let found = live.stats.first_token_percentile(99).unwrap();
    assert!(found < 13 * MS, "{found:?}");
}

#[test]
fn one_caller_at_a_time_tries_a_stale_backend() {
    let live = Arc::new(Live::default());
    assert!(live.stats.claim_probe(at(0.0)));
    assert!(!live.stats.claim_probe(at(4.9)));
    assert!(live.stats.claim_probe(at(5.0)));
    drop(live.begin(at(8.0), 0));
    assert!(!live.stats.claim_probe(at(10.5)), "something was sent meanwhile");
}

#[test]
fn threads_lose_nothing() {
    let live = Arc::new(Live::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..5000 {
                    stream(&live, f64::from(n) / 1000.0, (0.1, 0.2), 2);
                }
            });
        }
    });
    assert_eq!(live.stats.in_flight(), 0);
    assert!(live.stats.requests(at(5.0)).abs_diff(20_000) <= 8, "{}", live.stats.requests(at(5.0)));
    assert!(near(live.stats.first_token(), 100 * MS));
    let median = live.stats.first_token_percentile(50).unwrap();
    assert!(median >= 100 * MS && median <= 126 * MS, "{median:?}");
}
