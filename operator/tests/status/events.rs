//! Events tell what has changed, once.

use serde_json::{Value, json};
use turnpike_operator::{
    kit::events::EventType,
    status::event::{Event, Side, events},
};

use crate::place::{Place, now, time};

/// What writing every draft of a look would tell: `Type Reason note`.
fn told(place: &mut Place, at: jiff::Timestamp) -> Vec<String> {
    let survey = place.survey(at);
    let mut told = Vec::new();
    for draft in survey.drafts.values() {
        let before = draft.before.as_ref().map_or_else(Side::default, |before| before.side());
        let line = |Event { kind, reason, note, .. }: Event| format!("{} {reason} {note}", kind.as_str());
        told.extend(events(before, draft.after.side(), &draft.compiled).into_iter().map(line));
    }
    place.write(&survey);
    told
}

fn edit(place: Place, name: &str, spec: &Value, generation: i64) -> Place {
    let status = place.world.models.values().next().and_then(|model| model.status.clone());
    let mut place = place.model(name, spec);
    let model = std::sync::Arc::make_mut(place.world.models.values_mut().next().unwrap());
    (model.status, model.metadata.generation) = (status, Some(generation));
    place
}

#[test]
fn a_fault_is_told_when_it_appears_and_success_once_a_generation() {
    let good = json!({"mock": {"response": "hi"}});
    let bad = json!({"mock": {"response": "hi"}, "weight": 5000});
    let mut place = Place::new().gateways(&[Some(10)]).model("model", &good);
    assert_eq!(told(&mut place, now()), ["Normal Programmed Every ready gateway serves generation 1"]);
    assert_eq!(told(&mut place, now()), [""; 0]);
    let mut place = edit(place, "model", &bad, 2);
    let fault = "Warning Invalid spec.weight: 5000 is out of range; use a number from 0 to 1000";
    assert_eq!(told(&mut place, now()), [fault]);
    assert_eq!(told(&mut place, now()), [""; 0]);
    let mut place = edit(place, "model", &good, 3);
    assert_eq!(told(&mut place, now()), ["Normal Programmed Every ready gateway serves generation 3"]);
    // A gateway that comes and goes is told of nobody's object.
    place = place.gateways(&[]);
    assert_eq!(told(&mut place, now()), [""; 0]);
    place = place.gateways(&[Some(10)]);
    assert_eq!(told(&mut place, now()), [""; 0]);
}

#[test]
fn fields_without_effect_are_told_once_a_generation_in_one_event() {
    let spec = json!({"mock": {"response": "hi"}, "price": {"gpuHour": "2.10"}});
    let mut place = Place::new().model("model", &spec);
    let first = told(&mut place, now());
    assert_eq!(first.len(), 1);
    assert!(first[0].starts_with("Warning NoEffect spec.price.gpuHour: "), "{first:?}");
    place = place.gateways(&[Some(10)]);
    assert_eq!(told(&mut place, now()), ["Normal Programmed Every ready gateway serves generation 1"]);
    let mut place = edit(place, "model", &spec, 2);
    assert_eq!(told(&mut place, now()).len(), 2);
}

#[test]
fn the_end_of_a_key_is_a_warning_and_its_suspension_is_not() {
    let hash = format!("sha256:{}", "a".repeat(64));
    let mut place = Place::new().key("key", &json!({"keyHash": hash, "expiresAt": "2026-03-10T13:00:00Z"}));
    assert_eq!(told(&mut place, now()), [""; 0]);
    let told_later = told(&mut place, time("2026-03-10T13:00:00Z"));
    assert_eq!(told_later, ["Warning Expired The key's time is over; set a later expiresAt or a longer ttl"]);
    let mut place = Place::new().key("key", &json!({"keyHash": hash, "suspended": true}));
    let told = told(&mut place, now());
    assert_eq!(told, ["Normal Suspended spec.suspended is set; remove it to have the key accepted"]);
    assert_eq!(EventType::Normal.as_str(), "Normal");
}

#[test]
fn a_key_that_is_being_made_is_no_fault() {
    let mut place = Place::new().key("key", &json!({"generate": {}}));
    assert_eq!(told(&mut place, now()), [""; 0]);
    let mut place = place.secret("key", "value", &[], None);
    let told = told(&mut place, now());
    assert!(told[0].starts_with("Warning SecretExists spec.generate.secretName: "), "{told:?}");
}
