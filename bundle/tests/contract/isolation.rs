//! One bad object never changes what the others compile to.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_bundle::{
    Contents, Objects, Secret, Settings,
    entry::ObjectRef,
    objects::{Value as SecretValue, object_ref},
    render,
};

/// Objects that refer to one another and clash in every way that is legal to write.
fn objects(count: usize) -> Objects {
    let mut objects = Objects::default();
    for at in 0..count {
        let spec = match at % 4 {
            0 => {
                json!({"modelName": format!("pool-{}", at % 3), "aliases": [format!("alias-{}", at % 5)],
                "provider": {"type": "OpenAI", "model": "gpt-4o",
                    "headers": [{"name": "x-team", "value": format!("team-{}", at % 2)}],
                    "credentials": {"secretRef": {"name": "secret", "key": format!("key-{}", at % 3)}}}})
            }
            1 => json!({"visibility": "Cluster", "mock": {"response": format!("answer {at}")}}),
            2 => json!({"route": {"targets": [{"modelRef": {"name": format!("model-{}", at - 1)}},
                {"modelRef": {"name": format!("model-{}", (at + 3) % count)}}]}}),
            _ => {
                json!({"modelName": format!("wild-{}/*", at % 2), "provider": {"type": "Groq", "model": "*"}})
            }
        };
        objects.models.push(Arc::new(object("ModelDeployment", "model", at, &spec)));
        let spec = json!({"secretRef": {"name": "secret", "key": format!("key-{}", at % 5)}, "allowedModels": ["*"]});
        objects.keys.push(Arc::new(object("VirtualKey", "key", at, &spec)));
        let spec = json!({"limits": [{"window": "Month", "usd": format!("{}.50", at + 1)}]});
        objects.budgets.push(Arc::new(object("Budget", "budget", at, &spec)));
    }
    for namespace in ["a", "b"] {
        let data = (0..5).map(|key| (format!("key-{key}"), plain(&format!("{namespace}-{key}").repeat(20))));
        let secret = Secret { data: data.collect(), ..Secret::default() };
        objects
            .secrets
            .insert(ObjectRef { namespace: namespace.to_owned(), name: "secret".to_owned() }, Arc::new(secret));
    }
    objects
}

fn object<T: serde::de::DeserializeOwned>(kind: &str, prefix: &str, at: usize, spec: &Value) -> T {
    let manifest = json!({
        "apiVersion": "turnpike.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": format!("{prefix}-{at}"),
            "namespace": if at % 7 == 6 { "b" } else { "a" },
            "creationTimestamp": format!("2026-01-{:02}T00:00:00Z", at % 28 + 1),
        },
        "spec": spec,
    });
    serde_json::from_value(manifest).unwrap()
}

fn plain(text: &str) -> SecretValue {
    SecretValue::Plain(text.as_bytes().to_vec())
}

/// Ways to spoil a model that leave its names alone, since whose name it is must not change by them.
const MODEL_FAULTS: usize = 8;

fn spoil_model(objects: &mut Objects, at: usize, fault: usize) {
    let spec = &mut Arc::make_mut(&mut objects.models[at]).spec;
    match fault {
        0 => {
            spec.provider = Some(turnpike_crds::model_deployment::Provider::default());
            spec.mock = Some(turnpike_crds::model_deployment::Mock::default());
        }
        1 => spec.weight = 5000,
        2 => spec.priority = -1,
        3 => spec.timeouts = Some(serde_json::from_value(json!({"total": "1 week"})).unwrap()),
        4 => spec.price = Some(serde_json::from_value(json!({"inputPerMillion": "much"})).unwrap()),
        5 => {
            spec.capabilities = Some(serde_json::from_value(json!({"contextWindow": -5})).unwrap());
        }
        6 => spec.aliases.push("not a name".to_owned()),
        _ => {
            if let Some(provider) = &mut spec.provider {
                provider.base_url = Some("gopher://host".to_owned());
            } else if let Some(route) = &mut spec.route {
                for target in &mut route.targets {
                    "gone".clone_into(&mut target.model_ref.name);
                }
            } else {
                spec.mock = None;
            }
        }
    }
}

fn entries(contents: &Contents, but: &ObjectRef, kind: &str) -> Vec<String> {
    let mut all = Vec::new();
    let keep = |of: &str, object: &ObjectRef| of != kind || object != but;
    for model in contents.models.iter().filter(|model| keep("model", &model.object)) {
        all.push(serde_json::to_string(model).unwrap());
        if let turnpike_bundle::entry::Backend::Provider(backend) = &model.backend {
            let credential = backend.credential.as_ref().map(|digest| &contents.credentials[digest]);
            all.push(serde_json::to_string(&credential).unwrap());
        }
    }
    all.extend(
        contents.keys.iter().filter(|key| keep("key", &key.object)).map(|key| serde_json::to_string(key).unwrap()),
    );
    all.extend(
        contents
            .budgets
            .iter()
            .filter(|budget| keep("budget", &budget.object))
            .map(|budget| serde_json::to_string(budget).unwrap()),
    );
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_bad_model_changes_no_other_entry(count in 4_usize..24, pick in any::<prop::sample::Index>(), fault in 0..MODEL_FAULTS) {
        let good = objects(count);
        let mut bad = good.clone();
        let at = pick.index(count);
        spoil_model(&mut bad, at, fault);
        let spoilt = object_ref(good.models[at].as_ref());
        let (before, after) = (render(&good, &Settings::standalone()), render(&bad, &Settings::standalone()));
        prop_assert_eq!(entries(&before.contents, &spoilt, "model"), entries(&after.contents, &spoilt, "model"));
        prop_assert!(after.problems.iter().any(|problem| problem.object.object == spoilt));
    }

    #[test]
    fn a_bad_key_changes_no_other_entry(count in 4_usize..24, pick in any::<prop::sample::Index>(), fault in 0..3) {
        let good = objects(count);
        let mut bad = good.clone();
        let at = pick.index(count);
        let spec = &mut Arc::make_mut(&mut bad.keys[at]).spec;
        match fault {
            0 => spec.ttl = Some("soon".into()),
            1 => {
                spec.ttl = Some("1h".into());
                spec.expires_at = Some(serde_json::from_value(json!("2027-01-01T00:00:00Z")).unwrap());
            }
            _ => spec.allowed_models = vec!["a b".to_owned()],
        }
        let spoilt = object_ref(good.keys[at].as_ref());
        let (before, after) = (render(&good, &Settings::standalone()), render(&bad, &Settings::standalone()));
        prop_assert_eq!(entries(&before.contents, &spoilt, "key"), entries(&after.contents, &spoilt, "key"));
        prop_assert!(after.problems.iter().any(|problem| problem.object.object == spoilt));
    }

    #[test]
    fn a_bad_budget_changes_no_other_entry(count in 4_usize..24, pick in any::<prop::sample::Index>()) {
        let good = objects(count);
        let mut bad = good.clone();
        let at = pick.index(count);
        Arc::make_mut(&mut bad.budgets[at]).spec.limits.clear();
        let spoilt = object_ref(good.budgets[at].as_ref());
        let (before, after) = (render(&good, &Settings::standalone()), render(&bad, &Settings::standalone()));
        prop_assert_eq!(entries(&before.contents, &spoilt, "budget"), entries(&after.contents, &spoilt, "budget"));
        prop_assert!(after.problems.iter().any(|problem| problem.object.object == spoilt));
    }
}
