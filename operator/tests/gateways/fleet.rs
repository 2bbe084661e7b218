//! Pods come and go; a report belongs to one uid.

use std::sync::Arc;

use kube::runtime::watcher::Event;
use turnpike_bundle::Report;
use turnpike_operator::gateways::fleet::Fleet;

use crate::{pod, serving};

fn report(version: u64) -> Arc<Report> {
    Arc::new(Report { version, ..Report::default() })
}

fn versions(fleet: &Fleet) -> Vec<(&str, Option<u64>)> {
    let version = |(name, gateway): (_, &turnpike_operator::gateways::Gateway)| {
        (name, gateway.report.as_ref().map(|report| report.version))
    };
    fleet.complete().unwrap().iter().map(|(name, gateway)| version((name.as_str(), gateway))).collect()
}

fn listed(fleet: &mut Fleet, pods: &[(&str, &str)]) {
    fleet.observe(Event::Init);
    for (name, uid) in pods {
        fleet.observe(Event::InitApply(pod(name, uid, &serving())));
    }
    fleet.observe(Event::InitDone);
}

#[test]
fn nothing_is_said_before_all_pods_are_known() {
    let mut fleet = Fleet::default();
    assert_eq!(fleet.complete(), None);
    fleet.observe(Event::Init);
    fleet.observe(Event::InitApply(pod("a", "1", &serving())));
    assert_eq!(fleet.complete(), None);
    fleet.observe(Event::InitDone);
    assert_eq!(versions(&fleet), [("a", None)]);
}

#[test]
fn a_report_stays_with_its_pod_through_changes_and_new_lists() {
    let mut fleet = Fleet::default();
    listed(&mut fleet, &[("a", "1"), ("b", "2")]);
    fleet.report("1", Some(&report(7)));
    fleet.observe(Event::Apply(pod("a", "1", &serving())));
    assert_eq!(versions(&fleet), [("a", Some(7)), ("b", None)]);
    fleet.observe(Event::Init);
    fleet.observe(Event::InitApply(pod("a", "1", &serving())));
    assert_eq!(versions(&fleet), [("a", Some(7)), ("b", None)], "the old list holds until the new one is whole");
    fleet.report("1", Some(&report(8)));
    fleet.observe(Event::InitDone);
    assert_eq!(versions(&fleet), [("a", Some(8))]);
    fleet.report("1", None);
    assert_eq!(versions(&fleet), [("a", None)]);
}

#[test]
fn another_pod_of_the_same_name_starts_without_a_report() {
    let mut fleet = Fleet::default();
    listed(&mut fleet, &[("a", "1")]);
    fleet.report("1", Some(&report(7)));
    fleet.observe(Event::Apply(pod("a", "2", &serving())));
    assert_eq!(versions(&fleet), [("a", None)]);
    // What is late from the old one concerns nobody.
    fleet.report("1", Some(&report(7)));
    fleet.observe(Event::Delete(pod("a", "1", &serving())));
    assert_eq!(versions(&fleet), [("a", None)]);
    fleet.observe(Event::Delete(pod("a", "2", &serving())));
    assert_eq!(versions(&fleet), []);
}
