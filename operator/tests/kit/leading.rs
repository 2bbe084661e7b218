//! When a Lease may be taken, and what forbids to lead.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use tokio::time::Instant;
use turnpike_operator::{
    guard::blocker::{Blocker, crd_blocker, foreign_blocker, live},
    leader::observe::{Next, Observation},
};

/// A Lease of `holder`, renewed at this second of some clock that need not be ours.
fn lease(holder: &str, renewed: i64) -> Lease {
    let at = |second| Some(MicroTime(Timestamp::from_second(second).unwrap()));
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(12),
        acquire_time: at(1000),
        renew_time: at(renewed),
        ..LeaseSpec::default()
    };
    let metadata = ObjectMeta {
        namespace: Some("other".to_owned()),
        name: Some("turnpike-operator".to_owned()),
        ..ObjectMeta::default()
    };
    Lease { metadata, spec: Some(spec) }
}

#[test]
fn a_lease_is_taken_when_free_ours_or_seen_unchanged_for_its_duration() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let next = |lease, now| Observation::new(lease, start).next("me", now);
    assert_eq!(next(None, start), Next::Take, "there is none");
    assert_eq!(next(Some(lease("", 1)), start), Next::Take, "given back");
    assert_eq!(next(Some(lease("me", 1)), start), Next::Take, "ours");
    assert_eq!(next(Some(lease("other", 1)), start), Next::Wait(at(12)), "however old its renewTime is on our clock");
    assert_eq!(next(Some(lease("other", i64::from(u32::MAX))), at(12)), Next::Take, "however far ahead it is");
}

#[test]
fn each_renewal_starts_the_time_anew_and_mere_metadata_does_not() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut seen = Observation::new(Some(lease("other", 1)), start);
    let mut labelled = lease("other", 1);
    labelled.metadata.resource_version = Some("7".to_owned());
    seen.see(Some(labelled), at(5));
    assert_eq!(seen.next("me", at(6)), Next::Wait(at(12)));
    assert_eq!(seen.lease().unwrap().metadata.resource_version.as_deref(), Some("7"), "what an update needs");
    seen.see(Some(lease("other", 2)), at(11));
    assert_eq!(seen.next("me", at(12)), Next::Wait(at(23)));
    seen.see(Some(lease("third", 2)), at(20));
    assert_eq!(seen.next("me", at(23)), Next::Wait(at(32)));
}

#[test]
fn an_older_or_absent_crd_forbids_to_lead_and_a_newer_one_does_not() {
    let blocker = |version| crd_blocker("budgets.turnpike.dev", version);
    assert_eq!(blocker(Some(Some(turnpike_crds::CRD_VERSION))), None);
    assert_eq!(blocker(Some(Some("999"))), None, "an older operator works on, as schemas only grow");
    assert_eq!(blocker(None), Some(Blocker::CrdMissing { name: "budgets.turnpike.dev" }));
    for old in [Some("0"), Some("x"), Some(""), None] {
        let found = old.unwrap_or("none").to_owned();
        assert_eq!(blocker(Some(old)), Some(Blocker::CrdOlder { name: "budgets.turnpike.dev", found }));
    }
}

#[test]
fn a_live_lease_of_the_instance_elsewhere_forbids_to_lead_until_it_expires() {
    let start = Instant::now();
    let seen = |lease| BTreeMap::from([("other".to_owned(), Observation::new(Some(lease), start))]);
    assert_eq!(live(&seen(lease("x", 1)), start).len(), 1, "at first sight it may be alive");
    assert_eq!(live(&seen(lease("x", 1)), start + Duration::from_secs(12)).len(), 0);
    assert_eq!(live(&seen(lease("", 1)), start).len(), 0, "given back");
    let refused = foreign_blocker(&lease("x", 1), None).unwrap();
    assert_eq!(refused.reason(), "SecondInstance");
    assert!(refused.to_string().contains("--instance"), "{refused}");
}

#[test]
fn of_two_that_lead_exactly_one_stays() {
    let leader = |namespace: &str, acquired| {
        let mut lease = lease("x", 1);
        lease.metadata.namespace = Some(namespace.to_owned());
        lease.spec.as_mut().unwrap().acquire_time = Some(MicroTime(Timestamp::from_second(acquired).unwrap()));
        lease
    };
    for (one, other) in
        [(leader("a", 5), leader("b", 9)), (leader("a", 5), leader("b", 5)), (leader("b", 5), leader("a", 9))]
    {
        assert_eq!(foreign_blocker(&other, Some(&one)), None, "the longer at it, the first by name: stays");
        assert!(foreign_blocker(&one, Some(&other)).is_some(), "the other one goes");
    }
}
