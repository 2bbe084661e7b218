//! The CRDs in the chart are the ones that the types generate, and hold what an API server and its users need of them.

use std::{fs, path::Path};

use serde_json::{Value, json};
use turnpike_crds::{GROUP, VERSION, render};

use crate::{schema_of, schemas, walk};

#[test]
fn the_chart_holds_what_the_types_generate() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/turnpike/crds");
    let files = render::files().unwrap();
    for (name, generated) in &files {
        let kept = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(kept == *generated, "charts/turnpike/crds/{name} is out of date; run `make generate`");
        assert!(generated.len() < 200_000, "{name} has {} bytes", generated.len());
    }
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["modeldeployments.yaml", "virtualkeys.yaml", "budgets.yaml"]);
    assert_eq!(fs::read_dir(folder).unwrap().count(), files.len(), "a file in the folder is not generated");
}

#[test]
fn the_yaml_reads_back_as_the_same_object() {
    for ((_, yaml), crd) in render::files().unwrap().into_iter().zip(turnpike_crds::all()) {
        let read: Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read, serde_json::to_value(crd).unwrap());
    }
}

#[test]
fn names_are_those_that_users_type() {
    let names: Vec<Value> = turnpike_crds::all()
        .into_iter()
        .map(|crd| {
            assert_eq!(crd.metadata.annotations.unwrap()["turnpike.dev/crd-version"], turnpike_crds::CRD_VERSION);
            let version = &crd.spec.versions[0];
            assert_eq!((crd.spec.group.as_str(), version.name.as_str()), (GROUP, VERSION));
            assert!(version.subresources.as_ref().unwrap().status.is_some());
            serde_json::to_value((crd.spec.scope, crd.spec.names)).unwrap()
        })
        .collect();
    let expect = |kind: &str, singular: &str, short: &str| {
        json!(["Namespaced", {
            "kind": kind, "singular": singular, "plural": format!("{singular}s"), "shortNames": [short], "categories": ["llm"]
        }])
    };
    assert_eq!(
        names,
        [
            expect("ModelDeployment", "modeldeployment", "mdep"),
            expect("VirtualKey", "virtualkey", "vkey"),
            expect("Budget", "budget", "bud"),
        ]
    );
}

#[test]
fn models_can_be_scaled() {
    let crd = turnpike_crds::all().swap_remove(0);
    let scale = crd.spec.versions[0].subresources.clone().unwrap().scale.unwrap();
    assert_eq!(scale.spec_replicas_path, ".spec.vllm.replicas");
    assert_eq!(scale.status_replicas_path, ".status.replicas");
    assert_eq!(scale.label_selector_path.as_deref(), Some(".status.selector"));
}

#[test]
fn columns_show_what_is_documented_and_point_at_fields_that_exist() {
    let expected = [
        ("MODEL KIND READY REASON REPLICAS PROGRAMMED AGE", "ENDPOINT BACKENDS"),
        ("KEYID TEAM ACTIVE SPENT BUDGET EXPIRES AGE", "USER LASTUSED ROTATES"),
        ("LIMIT SPENT USED% WINDOW RESETS OK AGE", "REMAINING KEYS MODE"),
    ];
    for (crd, (narrow, wide)) in turnpike_crds::all().into_iter().zip(expected) {
        let schema = schema_of(&crd.spec.names.kind);
        let columns = crd.spec.versions[0].additional_printer_columns.clone().unwrap();
        let shown = |priority: Option<i32>| {
            let names: Vec<_> = columns.iter().filter(|c| c.priority == priority).map(|c| c.name.clone()).collect();
            names.join(" ")
        };
        assert_eq!((shown(None).as_str(), shown(Some(1)).as_str()), (narrow, wide));
        for column in columns.iter().filter(|column| column.name != "AGE") {
            let path = column.json_path.split("[?").next().unwrap();
            let pointer: String = path.split('.').skip(1).flat_map(|name| ["/properties/", name]).collect();
            let field = schema.pointer(&pointer).unwrap_or_else(|| panic!("no field for column {}", column.name));
            let kinds = match column.type_.as_str() {
                "date" => vec!["string"],
                kind if path != column.json_path => {
                    vec![if kind == "string" { "array" } else { "" }]
                }
                kind => vec![kind],
            };
            assert!(kinds.contains(&field["type"].as_str().unwrap()), "column {} has the wrong type", column.name);
        }
    }
}

#[test]
fn every_field_is_described_and_bounded() {
    let mut fields = 0;
    for (kind, schema) in schemas() {
        walk(&kind, schema, &mut |path, schema| {
            fields += 1;
            let has = |name: &str| schema.get(name).is_some();
            if !path.ends_with("[]") && !path.ends_with("{}") {
                assert!(schema["description"].as_str().is_some_and(|text| text.len() > 5), "{path} has no description");
            }
            match schema["type"].as_str() {
                Some("string") => assert!(
                    has("maxLength") || has("enum") || schema["format"] == "date-time",
                    "{path} has no maxLength"
                ),
                Some("array") => {
                    assert!(has("maxItems"), "{path} has no maxItems");
                    assert!(has("x-kubernetes-list-type"), "{path} does not say how it is merged");
                }
                Some("object") => assert!(has("properties") || has("maxProperties"), "{path} has no maxProperties"),
                Some("integer") => assert!(has("minimum"), "{path} has no range"),
                Some("boolean") => {}
                None => assert!(has("x-kubernetes-int-or-string") && has("maxLength"), "{path} has no type"),
                Some(other) => panic!("{path} has type {other}; floating point is not used"),
            }
            assert!(!has("nullable") && !has("title") && !has("$ref"), "{path} has keywords that only confuse");
        });
    }
    assert!(fields > 250, "only {fields} fields were seen");
}

#[test]
fn a_fresh_object_is_pending() {
    for (kind, schema) in schemas() {
        let status = &schema["properties"]["status"];
        let conditions = status["default"]["conditions"].as_array().unwrap();
        let shown: Vec<_> = conditions
            .iter()
            .map(|c| (c["type"].as_str().unwrap(), c["status"].as_str().unwrap(), c["reason"].as_str().unwrap()))
            .collect();
        let pending = |name| (name, "Unknown", "Pending");
        assert_eq!(shown, ["Ready", "Accepted", "Programmed"].map(pending), "{kind}");
        assert_eq!(status["properties"]["conditions"]["default"], status["default"]["conditions"]);
        assert_eq!(status["properties"]["conditions"]["x-kubernetes-list-map-keys"], json!(["type"]));
    }
}

#[test]
fn rust_defaults_are_the_schemas_defaults() {
    use turnpike_crds::{budget::BudgetSpec, model_deployment as model, virtual_key::Generate};
    fn same<T: Default + PartialEq + std::fmt::Debug + serde::de::DeserializeOwned>(required: Value) {
        let read: T = serde_json::from_value(required).unwrap();
        assert_eq!(read, T::default());
    }
    same::<model::ModelDeploymentSpec>(json!({}));
    same::<model::Mock>(json!({}));
    same::<model::Route>(json!({}));
    same::<model::Target>(json!({"modelRef": {"name": ""}}));
    same::<model::Complexity>(json!({"simple": "", "medium": "", "complex": ""}));
    same::<model::Vllm>(json!({"source": {}}));
    same::<model::Gpu>(json!({}));
    same::<Generate>(json!({}));
    same::<BudgetSpec>(json!({"limits": []}));
    let spec = &schema_of("ModelDeployment")["properties"]["spec"]["properties"];
    assert_eq!(spec["weight"]["default"], 1);
    assert_eq!(spec["vllm"]["properties"]["replicas"]["default"], 1);
    assert_eq!(spec["vllm"]["properties"]["gpu"]["default"], json!({"count": 1, "resourceName": "nvidia.com/gpu"}));
}

#[test]
fn provider_types_are_named_once() {
    let schema = schema_of("ModelDeployment");
    let names = &schema["properties"]["spec"]["properties"]["provider"]["properties"]["type"]["enum"];
    let all: Vec<_> = turnpike_crds::model_deployment::ProviderType::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names, &json!(all));
    for kind in turnpike_crds::model_deployment::ProviderType::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}
