//! The other fields of status, which columns show.

use serde_json::{Value, json};
use turnpike_operator::status::survey::Status;

use crate::place::{Place, at, now, of, time};

/// The status without its conditions.
fn fields(status: &Status) -> Value {
    let mut value = serde_json::to_value(status).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.remove("conditions");
    fields.remove("programmed");
    value
}

#[test]
fn a_model_says_what_it_is_and_where_clients_find_it() {
    let place = Place::new()
        .model("named", &json!({"modelName": "gpt-4o", "mock": {"response": "hi"}}))
        .model("inner", &json!({"visibility": "Internal", "route": {"targets": [{"modelRef": {"name": "named"}}]}}));
    let survey = place.survey(now());
    let endpoint = "http://turnpike-gateway.llm.svc:4000/v1";
    let expected = json!({"observedGeneration": 1, "kind": "Mock", "modelName": "gpt-4o", "endpoint": endpoint});
    assert_eq!(fields(of(&survey, "named")), expected);
    assert_eq!(fields(of(&survey, "inner")), json!({"observedGeneration": 1, "kind": "Route", "modelName": "inner"}));
}

#[test]
fn a_generated_key_shows_its_keys_by_their_ends_and_when_they_go() {
    let previous = format!("{}beef", "0".repeat(60));
    let annotations = [
        ("turnpike.dev/minted-at", "2026-03-09T12:00:00Z"),
        ("turnpike.dev/previous-sha256", previous.as_str()),
        ("turnpike.dev/retires-at", "2026-03-10T12:00:01Z"),
    ];
    let spec = json!({
        "generate": {"secretName": "chatbot-key"}, "rotation": {"interval": "720h"}, "ttl": "240h",
        "budget": [{"window": "Day", "usd": "2.50"}, {"window": "Month", "usd": "50.00"}],
    });
    let place = Place::new().secret("chatbot-key", "value", &annotations, Some("chatbot")).key("chatbot", &spec);
    let survey = place.survey(now());
    let mut expected = json!({
        "observedGeneration": 1,
        "keyId": turnpike_crds::KeyId::of("team", "chatbot").to_string(),
        // printf %s value | sha256sum
        "keys": [
            {"fingerprint": "...0619", "state": "Active", "createdAt": "2026-03-09T12:00:00Z"},
            {"fingerprint": "...beef", "state": "Retiring", "retiresAt": "2026-03-10T12:00:01Z"},
        ],
        "secretRef": {"name": "chatbot-key", "key": "api-key"},
        "budgetText": "50.00/Month",
        "expires": "2026-03-11T00:00:00Z",
        "rotates": "2026-04-08T12:00:00Z",
    });
    assert_eq!(fields(of(&survey, "chatbot")), expected);
    assert_eq!(survey.next, Some(time("2026-03-10T12:00:01Z")), "the next look is when the replaced key goes");
    let survey = place.survey(time("2026-03-10T12:00:01Z"));
    expected["keys"].as_array_mut().unwrap().pop();
    assert_eq!(fields(of(&survey, "chatbot")), expected);
    assert_eq!(survey.next, Some(time("2026-03-11T00:00:00Z")), "and then when the key expires");
    assert_eq!(place.survey(time("2026-03-11T00:00:00Z")).next, None);
}

#[test]
fn of_a_key_that_is_not_served_no_hash_is_shown() {
    let hash = format!("sha256:{}", "a".repeat(64));
    let place = Place::new().key("a", &json!({"keyHash": hash})).key("b", &json!({"keyHash": hash}));
    let survey = place.survey(now());
    assert_eq!(fields(of(&survey, "a"))["keys"], json!([{"fingerprint": "...aaaa", "state": "Active"}]));
    assert_eq!(fields(of(&survey, "b"))["keys"], Value::Null);
}

#[test]
fn a_key_keeps_showing_the_secret_that_it_lies_in_while_another_is_made() {
    let spec = json!({"generate": {"secretName": "new"}});
    let place = Place::new().secret("old", "value", &[], Some("key")).key("key", &spec);
    let survey = place.survey(now());
    assert_eq!(fields(of(&survey, "key"))["keys"], json!([{"fingerprint": "...0619", "state": "Active"}]));
}

#[test]
fn a_budget_shows_its_tightest_limit_its_window_and_how_many_keys_it_covers() {
    let hash = |digit: &str| json!({"keyHash": format!("sha256:{}", digit.repeat(64)), "subject": {"team": "ml"}});
    let spec = json!({
        "scope": {"team": "ml"}, "timeZone": "Europe/Oslo",
        "limits": [
            {"window": "Year", "usd": "9000.00"}, {"window": "Month", "usd": "500.00"}, {"window": "Minute", "tokens": 1},
        ],
    });
    let mut place = Place::new().key("a", &hash("a")).key("b", &hash("b")).budget("all", &spec);
    let survey = place.survey(now());
    let expected = json!({
        "observedGeneration": 1, "limitText": "500.00 USD", "window": "Month", "matchedKeys": 2,
        "windowStart": "2026-02-28T23:00:00Z", "resetsAt": "2026-03-31T22:00:00Z",
    });
    assert_eq!(fields(of(&survey, "all")), expected);
    assert_eq!(survey.next, Some(time("2026-03-31T22:00:00Z")));
    let key = place.world.keys.get_mut(&at("b")).unwrap();
    std::sync::Arc::make_mut(key).metadata.deletion_timestamp = Some(turnpike_crds::Time(now()));
    assert_eq!(fields(of(&place.survey(now()), "all"))["matchedKeys"], 1);
}

#[test]
fn windows_without_a_calendar_do_not_reset() {
    let budget = |limit: Value| json!({"limits": [limit]});
    let place = Place::new()
        .budget("rolling", &budget(json!({"window": "Day", "type": "Rolling", "requests": 10})))
        .budget("life", &budget(json!({"window": "Lifetime", "tokens": 10})));
    let survey = place.survey(now());
    let expected = json!({"observedGeneration": 1, "limitText": "10 requests", "window": "Day", "matchedKeys": 0});
    assert_eq!(fields(of(&survey, "rolling")), expected);
    let expected = json!({
        "observedGeneration": 1, "limitText": "10 tokens", "window": "Lifetime", "matchedKeys": 0,
        "windowStart": "2026-03-01T00:00:00Z",
    });
    assert_eq!(fields(of(&survey, "life")), expected);
}

#[test]
fn spend_is_not_shown_as_none_while_nobody_counts_it() {
    let place = Place::new().budget("all", &json!({"limits": [{"window": "Month", "usd": "5.00"}]}));
    let survey = place.survey(now());
    let fields = fields(of(&survey, "all"));
    for name in
        ["spent", "reserved", "remaining", "usedPercent", "limits", "tokens", "requests", "top", "lastSpendSync"]
    {
        assert_eq!(fields.get(name), None, "{name}");
    }
}
