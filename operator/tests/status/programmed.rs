//! Programmed is True when every ready gateway has an entry, and stays so while the entry does.

use serde_json::json;

use crate::place::{Place, condition, gateway, now, of, refusing, time};

fn place() -> Place {
    Place::new().model("model", &json!({"mock": {"response": "hi"}}))
}

/// The status and message of Programmed.
fn programmed(place: &Place) -> (String, String) {
    let survey = place.survey(now());
    let condition = condition(of(&survey, "model"), "Programmed").unwrap();
    (condition.status.clone(), condition.message.clone())
}

#[test]
fn gateways_that_are_not_ready_do_not_count() {
    let mut place = place().gateways(&[Some(10), Some(9)]);
    assert_eq!(programmed(&place), ("False".to_owned(), "1 of 2 gateways serve it".to_owned()));
    place.gateways.get_mut("gateway-1").unwrap().ready = false;
    assert_eq!(programmed(&place).0, "True");
    place.gateways.get_mut("gateway-0").unwrap().ready = false;
    assert_eq!(programmed(&place).0, "Unknown");
}

#[test]
fn a_gateway_that_left_the_entry_out_says_why() {
    let mut place = place().gateways(&[Some(10)]);
    place.gateways.insert("other".to_owned(), refusing("models team/model", "its credential is missing"));
    let told = "1 of 2 gateways serve it: its credential is missing";
    assert_eq!(programmed(&place), ("False".to_owned(), told.to_owned()));
    place.gateways.insert("other".to_owned(), refusing("models team/model-2", "its credential is missing"));
    assert_eq!(programmed(&place).0, "True");
}

#[test]
fn what_is_programmed_stays_so_through_restarts_new_pods_and_torn_shards() {
    let mut place = place().gateways(&[Some(10), Some(10)]);
    let first = place.survey(now());
    place.write(&first);
    // An operator that has just started has no reports; a pod that has just started has none either.
    place = place.gateways(&[None, None]);
    assert_eq!(place.survey(now()).drafts.len(), 0);
    place.gateways.insert("new".to_owned(), gateway(Some(3)));
    assert_eq!(place.survey(now()).drafts.len(), 0);
    // Another entry's change brings a new version of the shard, which is not there yet.
    let mut published = place.published();
    for compiled in published.objects.values_mut() {
        compiled.since = 20;
    }
    assert_eq!(place.survey_with(&published, now()).drafts.len(), 0);
    // An entry of its own is another matter.
    for compiled in published.objects.values_mut() {
        compiled.digest = Some("another".to_owned());
    }
    let survey = place.survey_with(&published, now());
    assert_eq!(condition(of(&survey, "model"), "Programmed").unwrap().status, "False");
    let side = of(&survey, "model").side();
    assert_eq!(side.programmed, of(&first, "model").side().programmed, "what all gateways have is still the old entry");
}

#[test]
fn the_time_is_that_of_the_entry_and_not_of_a_generation_that_leaves_it_alone() {
    let mut place = place().gateways(&[Some(10)]);
    let first = place.survey(now());
    place.write(&first);
    let model = place.world.models.values_mut().next().unwrap();
    std::sync::Arc::make_mut(model).metadata.generation = Some(2);
    let second = place.survey(time("2026-03-10T13:00:00Z"));
    let programmed = of(&second, "model").side().programmed.cloned().unwrap();
    assert_eq!((programmed.generation, programmed.time.unwrap().0), (Some(2), now()));
}

#[test]
fn without_a_ready_gateway_nothing_is_known_and_nothing_forgotten() {
    let mut place = place().gateways(&[Some(10)]);
    let first = place.survey(now());
    place.write(&first);
    place = place.gateways(&[]);
    let second = place.survey(now());
    let status = of(&second, "model");
    assert_eq!(condition(status, "Programmed").unwrap().reason, "NoReadyGateway");
    assert_eq!(status.side().programmed, of(&first, "model").side().programmed);
}
