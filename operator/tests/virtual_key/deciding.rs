//! Tables of the pure decision.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use turnpike_crds::{VirtualKey, virtual_key::Generate};
use turnpike_operator::virtual_key::{
    minted::Held,
    plan::{Facts, Place, Plan, Rotation, Step, expires, plan, rotates},
};

const FINALIZER: &str = "turnpike.turnpike.dev/revocation";

pub(crate) fn time(text: &str) -> Timestamp {
    format!("2026-05-{text}Z").parse().unwrap()
}

fn key(metadata: &str, spec: &str) -> VirtualKey {
    serde_saphyr::from_str(&format!(
        "{{apiVersion: turnpike.dev/v1alpha1, kind: VirtualKey, metadata: {{name: bot, namespace: ml, uid: u1, \
         finalizers: [{FINALIZER}], {metadata}}}, spec: {spec}}}"
    ))
    .unwrap()
}

fn held(minted_at: Timestamp) -> Held {
    Held { key: true, minted_at: Some(minted_at), handled: None, retirements: Vec::new(), labelled: true }
}

fn facts(object: &VirtualKey, place: Place) -> Facts<'_> {
    Facts { object, finalizer: FINALIZER, place, elsewhere: None, terminating: false, now: time("10T00:00:00") }
}

fn step(facts: &Facts<'_>) -> Step {
    plan(facts).step
}

const GENERATE: &str = "{generate: {}}";

#[test]
fn a_key_is_made_once_it_is_held_and_only_where_something_may_be_made() {
    let object = key("", GENERATE);
    let free = facts(&object, Place::Free);
    assert_eq!(step(&free), Step::Mint);
    assert_eq!(step(&Facts { elsewhere: Some("old".to_owned()), ..free.clone() }), Step::Move("old".to_owned()));
    assert_eq!(plan(&Facts { terminating: true, ..free.clone() }), Step::Rest.into());
    assert_eq!(step(&Facts { finalizer: "another", ..free }), Step::AddFinalizer);
    for spec in ["{secretRef: {name: a, key: b}}", "{keyHash: \"sha256:00\"}"] {
        let object = key("", spec);
        assert_eq!(plan(&facts(&object, Place::Free)), Step::Rest.into());
        assert_eq!(step(&Facts { finalizer: "another", ..facts(&object, Place::Free) }), Step::AddFinalizer);
    }
}

#[test]
fn nothing_is_made_for_what_is_being_deleted() {
    let object = key("deletionTimestamp: \"2026-05-01T00:00:00Z\"", "{generate: {}, rotation: {interval: 1h}}");
    for place in [Place::Free, Place::Ours(held(time("01T00:00:00"))), Place::Taken, Place::Leaving] {
        let facts = facts(&object, place);
        assert_eq!(plan(&facts), Step::Revoke.into());
        assert_eq!(plan(&Facts { finalizer: "another", ..facts }), Step::Rest.into());
    }
}

#[test]
fn a_secret_of_others_is_left_alone_and_looked_at_again() {
    let object = key("annotations: {turnpike.dev/rotate: now}", GENERATE);
    let again = Some(time("10T00:00:30"));
    assert_eq!(plan(&facts(&object, Place::Taken)), Plan { step: Step::Taken, again });
    assert_eq!(plan(&facts(&object, Place::Leaving)), Plan { step: Step::Rest, again });
    let moved = Facts { elsewhere: Some("old".to_owned()), ..facts(&object, Place::Taken) };
    assert_eq!(plan(&moved), Plan { step: Step::Taken, again });
}

#[test]
fn what_is_missing_is_repaired_before_the_old_secret_goes() {
    let object = key("", GENERATE);
    let whole = held(time("01T00:00:00"));
    let elsewhere = Some("old".to_owned());
    for damaged in [
        Held { key: false, ..whole.clone() },
        Held { labelled: false, ..whole.clone() },
        Held { minted_at: None, ..whole.clone() },
    ] {
        let facts = Facts { elsewhere: elsewhere.clone(), ..facts(&object, Place::Ours(damaged)) };
        assert_eq!(step(&facts), Step::Repair);
    }
    let facts = Facts { elsewhere, ..facts(&object, Place::Ours(whole)) };
    assert_eq!(step(&facts), Step::Discard("old".to_owned()));
}

/// `now` is the 10th; the overlap is 24h unless the spec says otherwise.
#[test]
fn keys_are_replaced_when_due_or_asked_for() {
    let rest = |again: Option<&str>| Plan { step: Step::Rest, again: again.map(time) };
    let rotate = |at: &str, retires_at: Option<&str>| {
        Plan::from(Step::Rotate(Rotation { at: time(at), retires_at: retires_at.map(time) }))
    };
    let plain = held(time("01T00:00:00"));
    let asked = "annotations: {turnpike.dev/rotate: \"2\"}";
    let handled = |value: &str| Held { handled: Some(value.to_owned()), ..plain.clone() };
    let retiring = |times: &[&str]| Held { retirements: times.iter().map(|at| time(at)).collect(), ..plain.clone() };
    let weekly = "{generate: {}, rotation: {interval: 168h}}";
    let now = "10T00:00:00";
    for (name, metadata, spec, held, expected) in [
        ("no rotation", "", GENERATE, plain.clone(), rest(None)),
        ("due", "", weekly, plain.clone(), rotate(now, Some("11T00:00:00"))),
        ("not due", "", "{generate: {}, rotation: {interval: 240h}}", plain.clone(), rest(Some("11T00:00:00"))),
        (
            "half of the interval",
            "",
            "{generate: {}, rotation: {interval: 2h}}",
            plain.clone(),
            rotate(now, Some("10T01:00:00")),
        ),
        ("no overlap", "", "{generate: {}, rotation: {interval: 2h, overlap: 0s}}", plain.clone(), rotate(now, None)),
        ("asked", asked, GENERATE, plain.clone(), rotate(now, Some("11T00:00:00"))),
        ("asked again", asked, GENERATE, handled("1"), rotate(now, Some("11T00:00:00"))),
        ("handled", asked, GENERATE, handled("2"), rest(None)),
        ("taken back", "", GENERATE, handled("2"), rest(None)),
        ("asked in an overlap", asked, weekly, retiring(&["10T12:00:00"]), rotate(now, Some("11T00:00:00"))),
        ("due in an overlap", "", weekly, retiring(&["09T12:00:00", "10T12:00:00"]), rest(Some("10T12:00:00"))),
        ("suspended", "", "{generate: {}, suspended: true, rotation: {interval: 168h}}", plain.clone(), rest(None)),
        (
            "expired",
            "",
            "{generate: {}, expiresAt: \"2026-05-10T00:00:00Z\", rotation: {interval: 168h}}",
            plain.clone(),
            rest(None),
        ),
        (
            "suspended and asked",
            asked,
            "{generate: {}, suspended: true}",
            plain.clone(),
            rotate(now, Some("11T00:00:00")),
        ),
        ("bad interval", "", "{generate: {}, rotation: {interval: often}}", plain.clone(), rest(None)),
        (
            "as many as may be",
            asked,
            GENERATE,
            retiring(&[
                "10T01:00:00",
                "10T02:00:00",
                "10T03:00:00",
                "10T04:00:00",
                "10T05:00:00",
                "10T06:00:00",
                "10T07:00:00",
            ]),
            rest(Some("10T01:00:00")),
        ),
        // The clock was ahead when the key was made: no time passes twice.
        ("clock set back", asked, GENERATE, held_at("20T00:00:00"), rotate("20T00:00:00", Some("21T00:00:00"))),
        ("clock set back, interval", "", weekly, held_at("20T00:00:00"), rest(Some("27T00:00:00"))),
    ] {
        let object = key(metadata, spec);
        assert_eq!(plan(&facts(&object, Place::Ours(held))), expected, "{name}");
    }
}

fn held_at(at: &str) -> Held {
    held(time(at))
}

#[test]
fn times_for_the_status() {
    let weekly =
        key("creationTimestamp: \"2026-05-01T00:00:00Z\"", "{generate: {}, ttl: 24h, rotation: {interval: 168h}}");
    assert_eq!(rotates(&weekly, &held(time("01T00:00:00"))), Some(time("08T00:00:00")));
    assert_eq!(expires(&weekly), Some(time("02T00:00:00")));
    assert_eq!(expires(&key("", "{generate: {}, ttl: 24h}")), None);
    assert_eq!(expires(&key("", "{generate: {}, expiresAt: \"2026-05-03T00:00:00Z\"}")), Some(time("03T00:00:00")));
    assert_eq!(rotates(&key("", GENERATE), &held(time("01T00:00:00"))), None);
    let forever = key("", "{generate: {}, rotation: {interval: 999999999999999h, overlap: 1h}}");
    assert_eq!(rotates(&forever, &held(time("01T00:00:00"))), Some(Timestamp::MAX));
}

#[test]
fn what_a_secret_says_is_read_without_its_key() {
    let annotations: BTreeMap<String, String> = [
        ("turnpike.dev/previous-sha256", format!("{},{}", "0".repeat(64), "1".repeat(64))),
        ("turnpike.dev/retires-at", "2026-05-02T00:00:00Z, 2026-05-03T00:00:00Z".to_owned()),
        ("turnpike.dev/minted-at", "2026-05-01T00:00:00Z".to_owned()),
        ("turnpike.dev/rotate-handled", "x".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let labels = BTreeMap::from([("turnpike.dev/use".to_owned(), "minted".to_owned())]);
    let held = Held::read(&labels, &annotations, |key| key == "api-key", &Generate::default());
    let day = |day: i64| time("01T00:00:00") + SignedDuration::from_hours(24 * day);
    assert_eq!(
        held,
        Held {
            key: true,
            minted_at: Some(day(0)),
            handled: Some("x".to_owned()),
            retirements: vec![day(1), day(2)],
            labelled: true
        }
    );
}
