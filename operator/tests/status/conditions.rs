//! Conditions in words: each case is a golden, and none of them changes by being written.

use serde_json::{Value, json};

use crate::place::{self, Place, condition, lines, now, of, time};

fn mock() -> Value {
    json!({"mock": {"response": "hi"}})
}

fn hash(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

/// Every case that has words of its own, with the object to look at.
fn cases() -> Vec<(&'static str, &'static str, Place)> {
    let all = [Some(place::SINCE); 3];
    let new = || Place::new().gateways(&all);
    let generated = json!({"generate": {}, "allowedModels": ["*"]});
    vec![
        ("model-served", "model", new().model("model", &mock())),
        ("model-on-its-way", "model", new().model("model", &mock()).gateways(&[Some(10), Some(9), None])),
        ("model-without-gateway", "model", new().model("model", &mock()).gateways(&[])),
        (
            "model-without-secret",
            "model",
            new().model(
                "model",
                &json!({"provider": {"type": "OpenAI", "model": "gpt-4o", "credentials": {"secretRef": {"name": "openai", "key": "api-key"}}}}),
            ),
        ),
        (
            "model-with-secret-of-others",
            "model",
            new().secret("openai", "k", &[], Some("key")).model(
                "model",
                &json!({"provider": {"type": "OpenAI", "model": "gpt-4o", "credentials": {"secretRef": {"name": "openai", "key": "api-key"}}}}),
            ),
        ),
        (
            "model-with-taken-alias",
            "model",
            new().model("a-model", &mock()).model("model", &json!({"mock": {"response": "hi"}, "aliases": ["a-model", "free"]})),
        ),
        (
            "model-with-many-faults",
            "model",
            new().model("model", &json!({"provider": {"type": "OpenAI", "model": "gpt-4o"}, "price": {"inputPerMillion": "cheap"}, "timeouts": {"idle": "0s"}, "weight": 5000})),
        ),
        ("model-with-idle-fields", "model", new().model("model", &json!({"mock": {"response": "hi"}, "price": {"gpuHour": "2.10"}}))),
        (
            "route-to-nowhere",
            "model",
            new().model("model", &json!({"route": {"targets": [{"modelRef": {"name": "gone"}}]}})),
        ),
        (
            "route-with-one-target-left",
            "model",
            new()
                .model("left", &mock())
                .model("unserved", &json!({"mock": {"response": "hi"}, "weight": 5000}))
                .model("model", &json!({"route": {"targets": [
                    {"modelRef": {"name": "left"}}, {"modelRef": {"name": "unserved"}}, {"modelRef": {"name": "gone"}},
                ], "mirror": {"modelRef": {"name": "unserved"}, "percent": 5}}})),
        ),
        (
            "route-to-what-is-not-served",
            "model",
            new()
                .model("unserved", &json!({"mock": {"response": "hi"}, "weight": 5000}))
                .model("inner", &json!({"route": {"targets": [{"modelRef": {"name": "unserved"}}]}}))
                .model("model", &json!({"route": {"targets": [{"modelRef": {"name": "inner"}}]}})),
        ),
        (
            "model-without-its-fallbacks",
            "model",
            new()
                .model("unserved", &json!({"mock": {"response": "hi"}, "weight": 5000}))
                .model("model", &json!({"mock": {"response": "hi"}, "fallbacks": [
                    {"modelRef": {"name": "unserved"}}, {"modelRef": {"name": "gone"}},
                ]})),
        ),
        ("engine", "model", new().model("model", &json!({"vllm": {"source": {"uri": "s3://models/x"}}}))),
        ("key-served", "key", new().key("key", &json!({"keyHash": hash('a')}))),
        ("key-suspended", "key", new().key("key", &json!({"keyHash": hash('a'), "suspended": true}))),
        ("key-expired", "key", new().key("key", &json!({"keyHash": hash('a'), "expiresAt": "2026-03-10T12:00:00Z"}))),
        ("key-being-made", "key", new().key("key", &generated)),
        ("key-whose-secret-is-anothers", "key", new().secret("key", "k", &[], None).key("key", &generated)),
        ("key-twice", "key", new().key("a-key", &json!({"keyHash": hash('a')})).key("key", &json!({"keyHash": hash('a')}))),
        ("key-too-short", "key", new().secret("own", "short", &[], None).key("key", &json!({"secretRef": {"name": "own", "key": "api-key"}}))),
        ("key-without-budget", "key", new().key("key", &json!({"keyHash": hash('a'), "budgetRefs": [{"name": "gone"}]}))),
        ("model-without-price", "model", new().model("model", &json!({"provider": {"type": "OpenAICompatible", "model": "llama", "baseURL": "https://llama.example.com"}})).budget("budget", &json!({"limits": [{"window": "Month", "usd": "5.00"}]}))),
        ("budget", "budget", new().budget("budget", &json!({"limits": [{"window": "Month", "usd": "5.00"}]}))),
        ("budget-of-others", "budget", new().budget("budget", &json!({"scope": {"namespaces": ["other"]}, "limits": [{"window": "Month", "usd": "5.00"}]}))),
    ]
}

#[test]
fn each_case_is_told_in_words_with_a_next_step() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    for (case, name, place) in cases() {
        let survey = place.survey(now());
        let lines = lines(of(&survey, name));
        settings.bind(|| insta::assert_snapshot!(case, lines.join("\n")));
    }
}

#[test]
fn whatever_is_wrong_comes_with_what_to_do() {
    let mut seen = 0;
    for (case, name, place) in cases() {
        let survey = place.survey(now());
        for kind in ["Accepted", "ResolvedRefs"] {
            let condition = condition(of(&survey, name), kind).unwrap();
            if condition.status == "False" {
                assert!(condition.message.contains("; "), "{case}: {}", condition.message);
                assert!(condition.message.starts_with("spec"), "{case}: {}", condition.message);
                seen += 1;
            }
        }
    }
    assert!(seen >= 10, "only {seen} faults were seen");
}

#[test]
fn ready_is_true_only_if_all_the_others_are_or_it_serves_without_what_is_missing_and_business_states_do_not_count() {
    for (case, name, place) in cases() {
        let survey = place.survey(now());
        let truth = |kind: &str| condition(of(&survey, name), kind).map(|condition| condition.status.clone());
        let all = ["Accepted", "ResolvedRefs", "Programmed"].iter().all(|kind| truth(kind).as_deref() == Some("True"));
        let spared = ["route-with-one-target-left", "model-without-its-fallbacks"].contains(&case);
        let all = all || spared;
        assert_eq!(truth("Ready").as_deref() == Some("True"), all, "{case}");
        let settled = [truth("Reconciling"), truth("Stalled")].iter().flatten().count();
        assert_eq!(
            settled,
            usize::from(!all),
            "{case}: one of Reconciling and Stalled stands there, while something is open"
        );
    }
}

#[test]
fn what_was_written_is_never_written_again() {
    for (case, _, mut place) in cases() {
        let objects = place.world.models.len() + place.world.keys.len() + place.world.budgets.len();
        let survey = place.survey(now());
        assert_eq!(place.write(&survey), objects, "{case}");
        // A day later, but within the window of the budgets and with no key's end between.
        let again = place.survey(time("2026-03-11T12:00:00Z"));
        assert_eq!(place.write(&again), 0, "{case}: {:?}", again.drafts);
    }
}

#[test]
fn a_transition_time_moves_only_with_the_status() {
    let mut place = Place::new().gateways(&[Some(9)]).model("model", &mock());
    let first = place.survey(now());
    place.write(&first);
    let later = time("2026-03-10T12:00:05Z");
    place = place.gateways(&[Some(10)]);
    let second = place.survey(later);
    let at = |kind: &str| condition(of(&second, "model"), kind).unwrap().last_transition_time.0;
    assert_eq!([at("Programmed"), at("Ready")], [later; 2]);
    assert_eq!([at("Accepted"), at("ResolvedRefs")], [now(); 2]);
    assert!(condition(of(&first, "model"), "Reconciling").is_some());
    assert_eq!(condition(of(&second, "model"), "Reconciling"), None);
}

#[test]
fn the_epoch_of_the_schemas_default_is_nobodys_transition_time() {
    let mut place = Place::new().model("model", &mock());
    let pending = json!({"conditions": [{
        "type": "Programmed", "status": "Unknown", "reason": "Pending", "message": "Waiting for the operator",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]});
    let model = place.world.models.values_mut().next().unwrap();
    std::sync::Arc::make_mut(model).status = Some(serde_json::from_value(pending).unwrap());
    let survey = place.survey(now());
    let programmed = condition(of(&survey, "model"), "Programmed").unwrap();
    assert_eq!((programmed.status.as_str(), programmed.last_transition_time.0), ("Unknown", now()));
}

#[test]
fn a_message_is_bounded_and_says_how_much_it_leaves_out() {
    let targets: Vec<Value> = (0..40).map(|at| json!({"modelRef": {"name": format!("missing-{at}")}})).collect();
    let place = Place::new().model("model", &json!({"route": {"targets": targets}}));
    let survey = place.survey(now());
    let message = &condition(of(&survey, "model"), "ResolvedRefs").unwrap().message;
    assert!(message.len() <= 1024, "{} bytes", message.len());
    let told = message.matches("there is no ModelDeployment").count();
    assert!(message.ends_with(&format!(" … and {} more", 40 - told)) && told > 3, "{message}");
}

#[test]
fn nothing_is_said_before_the_present_generation_is_compiled_nor_of_what_is_deleted_or_unreadable() {
    let mut place = Place::new().gateways(&[Some(10)]).model("model", &mock());
    let old = place.published();
    let edit = |place: &mut Place, change: &dyn Fn(&mut turnpike_crds::ModelDeployment)| {
        change(std::sync::Arc::make_mut(place.world.models.values_mut().next().unwrap()));
    };
    edit(&mut place, &|model| model.metadata.generation = Some(2));
    assert_eq!(place.survey_with(&old, now()).drafts.len(), 0);
    let new = place.published();
    assert_eq!(place.survey_with(&new, now()).drafts.len(), 1);
    let (id, _) = place.survey(now()).drafts.pop_first().unwrap();
    let mut unreadable = place.clone();
    unreadable.world.unreadable.insert(id, "spec.weight is a string".to_owned());
    assert_eq!(unreadable.survey(now()).drafts.len(), 0);
    edit(&mut place, &|model| model.metadata.deletion_timestamp = Some(turnpike_crds::Time(now())));
    assert_eq!(place.survey_with(&new, now()).drafts.len(), 0);
}
