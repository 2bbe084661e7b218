//! How gateways find backends shows in the status of models, and of the routes that lead to them.

use std::sync::Arc;

use serde_json::{Value, json};
use turnpike_bundle::{
    Report,
    report::{BackendState, UnhealthyBackend},
};
use turnpike_crds::model_deployment::ModelDeploymentStatus;
use turnpike_operator::status::{event::events, survey::Status};

use crate::place::{Place, condition, gateway, now, of};

const REASON: &str = "probes fail: it did not answer in time";

fn provider() -> Value {
    json!({"provider": {"type": "VLLM", "baseURL": "http://engine:8000/v1"}, "price": {"perRequest": "0"}})
}

/// Two models, a route over both, and a canned answer.
fn place() -> Place {
    let route = json!({"route": {"targets": [
        {"modelRef": {"name": "a"}}, {"modelRef": {"name": "b"}}, {"modelRef": {"name": "nested"}},
    ]}});
    let nested = json!({"route": {"targets": [{"modelRef": {"name": "a"}}]}});
    let mock = json!({"mock": {"response": "hi"}});
    Place::new()
        .model("a", &provider())
        .model("b", &provider())
        .model("nested", &nested)
        .model("route", &route)
        .model("mock", &mock)
        .gateways(&[Some(10), Some(10)])
}

/// What each gateway reports: models with their states.
fn report(place: &mut Place, found: [&[(&str, BackendState)]; 2]) {
    for (name, found) in ["gateway-0", "gateway-1"].into_iter().zip(found) {
        let unhealthy: Vec<_> = found
            .iter()
            .map(|(model, state)| UnhealthyBackend {
                model: format!("team/{model}"),
                state: *state,
                since: 0,
                reason: REASON.to_owned(),
            })
            .collect();
        let report = gateway(Some(10)).report.unwrap();
        let report = Report::clone(&report).with_unhealthy(&unhealthy);
        place.gateways.get_mut(name).unwrap().report = Some(Arc::new(report));
    }
}

fn status(status: &Status) -> &ModelDeploymentStatus {
    match status {
        Status::Model(status) => status,
        other => panic!("{other:?}"),
    }
}

/// `backendsText`, and status and reason of Ready.
fn told(place: &Place, name: &str) -> (Option<String>, String) {
    let survey = place.survey(now());
    let found = of(&survey, name);
    let ready = condition(found, "Ready").unwrap();
    (status(found).backends_text.clone(), format!("{} {}", ready.status, ready.reason))
}

fn is(text: &str, ready: &str) -> (Option<String>, String) {
    (Some(text.to_owned()), ready.to_owned())
}

const DOWN: BackendState = BackendState::Down;
const COOLING: BackendState = BackendState::Cooling;

#[test]
fn totals_are_over_all_that_a_route_leads_to_each_once() {
    let mut place = place();
    for (name, text) in [("a", "1/1"), ("nested", "1/1"), ("route", "2/2")] {
        assert_eq!(told(&place, name), is(text, "True Ready"), "{name}");
    }
    assert_eq!(told(&place, "mock"), (None, "True Ready".to_owned()));
    report(&mut place, [&[("a", COOLING)], &[]]);
    assert_eq!(told(&place, "a"), is("0/1", "True Ready"), "one gateway leaves it alone");
    assert_eq!(told(&place, "route"), is("1/2", "True Ready"));
    let survey = place.survey(now());
    let backends = status(of(&survey, "route")).backends.clone().unwrap();
    assert_eq!((backends.healthy, backends.cooling, backends.total), (1, 1, 2));
}

#[test]
fn a_model_whose_backend_is_down_for_all_gateways_is_not_ready() {
    let mut place = place();
    report(&mut place, [&[("a", DOWN)], &[("a", COOLING)]]);
    assert_eq!(told(&place, "a"), is("0/1", "True Ready"), "one of them still gets answers");
    report(&mut place, [&[("a", DOWN)], &[("a", DOWN)]]);
    let unhealthy = "False BackendUnhealthy";
    assert_eq!(told(&place, "a"), is("0/1", unhealthy));
    assert_eq!(told(&place, "nested"), is("0/1", unhealthy));
    assert_eq!(told(&place, "route"), is("1/2", "True Ready"), "the other serves");
    let survey = place.survey(now());
    let found = of(&survey, "a");
    let message = &condition(found, "Ready").unwrap().message;
    assert!(message.starts_with(&format!("The backend does not answer: {REASON}")), "{message}");
    assert_eq!(condition(found, "Reconciling").unwrap().reason, "BackendUnhealthy");
    assert!(condition(found, "Stalled").is_none());
    assert_eq!(condition(found, "Programmed").unwrap().status, "True");
    report(&mut place, [&[("a", DOWN), ("b", DOWN)], &[("a", DOWN), ("b", DOWN)]]);
    assert_eq!(told(&place, "route"), is("0/2", unhealthy));
}

#[test]
fn an_event_tells_of_it_once_and_of_its_end() {
    let mut place = place();
    let survey = place.survey(now());
    place.write(&survey);
    let mut reasons = Vec::new();
    for found in [&[("a", DOWN)][..], &[("a", DOWN)], &[], &[]] {
        report(&mut place, [found, found]);
        let survey = place.survey(now());
        for (id, draft) in survey.drafts.iter().filter(|(id, _)| id.object.name == "a") {
            let before = draft.before.as_ref().unwrap().side();
            let told = events(before, draft.after.side(), &draft.compiled);
            reasons.extend(told.iter().map(|event| format!("{} {}", id.object.name, event.reason)));
        }
        place.write(&survey);
    }
    assert_eq!(reasons, ["a BackendUnhealthy", "a Ready"]);
}

#[test]
fn what_gateways_have_not_told_stays() {
    let mut place = place();
    report(&mut place, [&[("a", DOWN)], &[("a", DOWN)]]);
    let survey = place.survey(now());
    place.write(&survey);
    place.gateways.values_mut().for_each(|gateway| gateway.report = None);
    let survey = place.survey(now());
    let drafted = survey.drafts.iter().find(|(id, _)| id.object.name == "a");
    if let Some((_, draft)) = drafted {
        assert_eq!(status(&draft.after).backends_text.as_deref(), Some("0/1"));
    }
}
