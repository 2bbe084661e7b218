//! Every CEL rule refuses its bad manifest with its message, and nothing refuses the good ones.
//!
//! `tests/bad/<rule>.yaml` begins with `# expect: <message>`; two documents are an object and a refused update of it. A rule that
//! only an API server can run is marked `# needs: apiserver`; it is then only checked against the schema here.

use std::collections::BTreeSet;

use kube::core::cel::{ErrorKind, Validator};
use serde_json::Value;
use turnpike_crds::{Budget, ModelDeployment, VirtualKey, unknown_fields, violations};

use crate::{files, schema_of, schemas, walk};

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn kind(document: &Value) -> &str {
    document["kind"].as_str().unwrap()
}

/// The messages of all CEL rules that refuse `new`, as an update of `old` or as a new object.
fn refusals(new: &Value, old: Option<&Value>) -> Vec<String> {
    match Validator::new().validate(schema_of(kind(new)), new, old) {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .into_iter()
            .map(|error| {
                assert_eq!(error.kind, ErrorKind::ValidationFailure, "{}: {}", error.rule, error.message);
                error.message
            })
            .collect(),
    }
}

fn assert_fits_schema(name: &str, document: &Value) {
    assert_eq!(document["apiVersion"], turnpike_crds::API_VERSION, "{name}");
    assert_eq!(violations(document, kind(document)), [], "{name}");
    assert_eq!(unknown_fields(document, kind(document)), [""; 0], "{name}");
}

fn comment<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(": "))
}

#[test]
fn each_bad_manifest_is_refused_with_its_message() {
    let (mut run, mut skipped) = (0, 0);
    for (path, text) in files("bad") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = comment(&text, "expect").unwrap_or_else(|| panic!("{name} lacks an `# expect:` line"));
        let documents = documents(&text);
        for document in &documents {
            assert_fits_schema(&name, document);
        }
        if comment(&text, "needs") == Some("apiserver") {
            skipped += 1;
            continue;
        }
        run += 1;
        match documents.as_slice() {
            [new] => assert_eq!(refusals(new, None), [expected], "{name}"),
            [old, new] => {
                assert_eq!(refusals(old, None), [""; 0], "{name}: the object before the update");
                assert_eq!(refusals(new, Some(old)), [expected], "{name}");
            }
            _ => panic!("{name} has {} documents", documents.len()),
        }
    }
    println!("{run} bad manifests refused here, {skipped} left to an API server");
    assert!(run > 50, "only {run} bad manifests were run");
}

#[test]
fn each_rule_has_a_bad_manifest_and_a_message() {
    let mut rules = BTreeSet::new();
    for (kind, schema) in schemas() {
        walk(&kind, schema, &mut |path, schema| {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let message = rule["message"].as_str().unwrap_or_else(|| panic!("a rule of {path} has no message"));
                rules.insert((kind.clone(), message.to_owned()));
            }
        });
    }
    let covered: BTreeSet<_> = files("bad")
        .iter()
        .map(|(_, text)| (kind(&documents(text)[0]).to_owned(), comment(text, "expect").unwrap_or_default().to_owned()))
        .collect();
    assert_eq!(
        rules.difference(&covered).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "rules without a bad manifest"
    );
    assert_eq!(
        covered.difference(&rules).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "bad manifests without a rule"
    );
}

#[test]
fn good_manifests_are_accepted_and_lose_nothing() {
    let mut seen = 0;
    for (path, text) in files("good") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for document in documents(&text) {
            seen += 1;
            assert_fits_schema(&name, &document);
            assert_eq!(refusals(&document, None), [""; 0], "{name}");
            assert_eq!(refusals(&document, Some(&document)), [""; 0], "{name}: as an update of itself");
            assert_read(&name, &document);
        }
    }
    assert!(seen >= 12, "only {seen} good manifests");
}

/// Reading a manifest into its type and writing it again keeps every value that is not empty.
fn assert_read(name: &str, document: &Value) {
    let again = match kind(document) {
        "ModelDeployment" => serde_json::to_value(serde_json::from_value::<ModelDeployment>(document.clone()).unwrap()),
        "VirtualKey" => serde_json::to_value(serde_json::from_value::<VirtualKey>(document.clone()).unwrap()),
        "Budget" => serde_json::to_value(serde_json::from_value::<Budget>(document.clone()).unwrap()),
        other => panic!("{name} holds a {other}"),
    };
    assert_contains(name, &again.unwrap(), document);
}

fn assert_contains(path: &str, whole: &Value, part: &Value) {
    match part {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            let empty = matches!(value, Value::Array(items) if items.is_empty());
            if !empty {
                assert_contains(&format!("{path}.{key}"), &whole[key], value);
            }
        }),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                assert_contains(&format!("{path}[{index}]"), &whole[index], item);
            }
        }
        Value::Number(number) if whole.is_string() => {
            assert_eq!(whole, &number.to_string(), "{path}");
        }
        _ => assert_eq!(whole, part, "{path}"),
    }
}

#[test]
fn good_manifests_show_every_field() {
    let shown: Vec<Value> = files("good").iter().flat_map(|(_, text)| documents(text)).collect();
    let mut missing = Vec::new();
    for (kind, schema) in schemas() {
        walk("", schema, &mut |path, schema| {
            let leaf = schema.get("properties").is_none() && !path.ends_with("{}");
            if leaf
                && !path.contains(".conditions[]")
                && !shown.iter().any(|one| one["kind"] == kind.as_str() && has(one, path))
            {
                missing.push(format!("{kind}{path}"));
            }
        });
    }
    assert_eq!(missing, [""; 0], "add these to tests/good");
}

fn has(value: &Value, path: &str) -> bool {
    let Some(path) = path.strip_prefix('.') else {
        return path.is_empty() || path == "[]";
    };
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    let Some(value) = value.get(name) else {
        return false;
    };
    match rest.strip_prefix("[]") {
        Some(rest) => rest.is_empty() || value.as_array().into_iter().flatten().any(|item| has(item, rest)),
        None => has(value, rest),
    }
}
