//! Pods are touched once for a manifest, and again only where it has not arrived.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use turnpike_bundle::Report;
use turnpike_operator::{
    gateways::{Gateway, Gateways},
    publish::bump::{AGAIN_AFTER, Bumps, SLOWLY},
};

fn pods(reported: &[(&str, Option<&str>)]) -> Gateways {
    let pod = |(name, hash): &(&str, Option<&str>)| {
        let report = hash.map(|hash| Arc::new(Report { hash: Some(hash.to_owned()), ..Report::default() }));
        let gateway = Gateway { uid: format!("uid-{name}"), running: true, report, ..Gateway::default() };
        ((*name).to_owned(), gateway)
    };
    reported.iter().map(pod).collect()
}

/// Who is touched, and whether it is a repeat.
fn due(bumps: &mut Bumps, gateways: &Gateways, now: Instant) -> Vec<(String, bool)> {
    bumps.due(gateways, now).0.into_iter().map(|bump| (bump.pod, bump.again)).collect()
}

fn names(pods: &[(&str, bool)]) -> Vec<(String, bool)> {
    pods.iter().map(|(name, again)| ((*name).to_owned(), *again)).collect()
}

#[test]
fn every_running_pod_is_touched_once_when_the_manifest_is_written() {
    let start = Instant::now();
    let mut gateways = pods(&[("a", Some("old")), ("b", None), ("c", Some("old"))]);
    gateways.get_mut("c").unwrap().running = false;
    let mut bumps = Bumps::default();
    assert_eq!(bumps.due(&gateways, start), (vec![], None), "there is no manifest yet");
    bumps.publish("new", true);
    let (first, next) = bumps.due(&gateways, start);
    assert_eq!(
        first.iter().map(|bump| (bump.pod.as_str(), bump.uid.as_str())).collect::<Vec<_>>(),
        [("a", "uid-a"), ("b", "uid-b")]
    );
    assert!(first.iter().all(|bump| bump.hash == "new" && !bump.again));
    assert_eq!(next, Some(start + AGAIN_AFTER));
    assert_eq!(due(&mut bumps, &gateways, start + Duration::from_millis(1999)), []);
}

#[test]
fn only_a_pod_that_has_not_reported_is_touched_again_and_ever_more_rarely() {
    let start = Instant::now();
    let mut bumps = Bumps::default();
    bumps.publish("new", true);
    due(&mut bumps, &pods(&[("a", None), ("b", None)]), start);
    let gateways = pods(&[("a", Some("new")), ("b", Some("old"))]);
    let mut touched = Vec::new();
    for second in 1..100 {
        let now = start + Duration::from_secs(second);
        touched.extend(due(&mut bumps, &gateways, now).into_iter().map(|bump| (second, bump)));
    }
    let seconds: Vec<u64> = touched.iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds, [2, 4, 6, 8, 10, 40, 70]);
    assert!(touched.iter().all(|(_, bump)| *bump == ("b".to_owned(), true)));
    assert_eq!(SLOWLY, Duration::from_secs(30));
    assert_eq!(bumps.due(&pods(&[("a", Some("new")), ("b", Some("new"))]), start), (vec![], None));
}

#[test]
fn a_pod_that_comes_later_is_given_time_to_load_what_it_mounted() {
    let start = Instant::now();
    let mut bumps = Bumps::default();
    bumps.publish("new", true);
    assert_eq!(due(&mut bumps, &pods(&[("a", None)]), start), names(&[("a", false)]));
    let later = start + Duration::from_secs(5);
    let gateways = pods(&[("a", Some("new")), ("b", None)]);
    let (now, next) = bumps.due(&gateways, later);
    assert_eq!((now, next), (vec![], Some(later + AGAIN_AFTER)));
    assert_eq!(due(&mut bumps, &gateways, later + AGAIN_AFTER), names(&[("b", true)]));
}

#[test]
fn a_manifest_that_a_new_leader_finds_touches_nobody_who_has_it() {
    let start = Instant::now();
    let mut bumps = Bumps::default();
    bumps.publish("found", false);
    let gateways = pods(&[("a", Some("found")), ("b", Some("old"))]);
    assert_eq!(due(&mut bumps, &gateways, start), []);
    // The annotation may say so already, which nobody would notice: it must become another.
    assert_eq!(due(&mut bumps, &gateways, start + AGAIN_AFTER), names(&[("b", true)]));
}

#[test]
fn a_new_pod_of_the_same_name_is_another_pod() {
    let start = Instant::now();
    let mut bumps = Bumps::default();
    bumps.publish("new", true);
    let mut gateways = pods(&[("a", None)]);
    due(&mut bumps, &gateways, start);
    gateways.get_mut("a").unwrap().uid = "another".to_owned();
    let (now, next) = bumps.due(&gateways, start + Duration::from_secs(1));
    assert_eq!((now, next), (vec![], Some(start + Duration::from_secs(3))));
}
