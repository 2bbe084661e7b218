//! Every setting of LiteLLM's config either changes the result or is named in the report.

use std::{fmt::Write, fs, path::Path};

use serde_json::{Map, Value, json};
use turnpike_gateway::import_litellm::{Imported, import};

/// A config that each setting is put into.
fn base() -> Value {
    json!({
        "model_list": [
            {"model_name": "pool", "litellm_params": {"model": "openai/gpt-4o"}},
            {"model_name": "pool", "litellm_params": {"model": "openai/gpt-4o-mini"}},
            {"model_name": "other", "litellm_params": {"model": "openai/gpt-4o"}},
            {"model_name": "cloud", "litellm_params": {"model": "bedrock/amazon.nova-lite-v1:0", "aws_region_name": "us-east-1"}},
            {"model_name": "google", "litellm_params": {"model": "vertex_ai/gemini-2.5-pro", "vertex_project": "p"}},
            {"model_name": "azure", "litellm_params": {"model": "azure/gpt-4o", "api_base": "https://a.openai.azure.com"}},
        ],
        "litellm_settings": {"cache": true, "cache_params": {"type": "redis"}},
    })
}

/// `place.of.section name: value`, one a line; places count from the base config.
fn settings() -> Vec<(String, String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import_litellm/settings.txt");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let setting = |line: &str| {
        let (place, value) = line.split_once(": ").unwrap();
        let (section, name) = place.split_once(' ').unwrap();
        (
            section.to_owned(),
            name.to_owned(),
            serde_json::from_str(value).unwrap_or_else(|error| panic!("{line}: {error}")),
        )
    };
    lines.map(setting).collect()
}

/// The base config with one setting, and the path that the report has for it.
fn with(section: &str, name: &str, value: Value) -> (Value, String) {
    let mut config = base();
    let mut place = &mut config;
    let mut path = String::new();
    for part in section.split('.').filter(|part| *part != "root") {
        if let Ok(at) = part.parse::<usize>() {
            write!(path, "[{at}]").unwrap();
            place = &mut place[at];
        } else {
            write!(path, ".{part}").unwrap();
            let members = place.as_object_mut().unwrap();
            place = members.entry(part).or_insert_with(|| Value::Object(Map::new()));
        }
    }
    place[name] = value;
    (config, format!("{path}.{name}").trim_start_matches('.').to_owned())
}

fn objects(imported: &Imported) -> String {
    let files: Vec<String> = imported.files().unwrap().into_iter().map(|(_, text)| text).collect();
    files.concat()
}

fn import_of(config: &Value) -> Imported {
    import(config, None, &|_| None)
}

#[test]
fn every_setting_of_the_documentation_is_carried_over_or_named() {
    let plain = objects(&import_of(&base()));
    let settings = settings();
    assert!(settings.len() > 250, "{}", settings.len());
    let mut lost = Vec::new();
    for (section, name, value) in settings {
        let (config, path) = with(&section, &name, value);
        let imported = import_of(&config);
        let named =
            imported.notes.iter().any(|note| note.path.starts_with(&path) && !note.text.contains("does not know"));
        if !named && objects(&imported) == plain {
            lost.push(path);
        }
    }
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn what_nobody_knows_is_named_as_such() {
    for section in [
        "root",
        "model_list.0",
        "model_list.0.litellm_params",
        "model_list.0.model_info",
        "router_settings",
        "litellm_settings",
        "litellm_settings.cache_params",
        "general_settings",
        "router_settings.retry_policy",
    ] {
        let (config, path) = with(section, "no_such_setting", json!(1));
        let notes = import_of(&config).notes;
        let note = notes.iter().find(|note| note.path == path).unwrap_or_else(|| panic!("{path} in {notes:#?}"));
        assert!(note.text.contains("does not know this setting"), "{note}");
    }
}

#[test]
fn values_of_the_wrong_kind_are_named_and_nothing_else_suffers() {
    for (section, name) in [
        ("model_list.0.litellm_params", "rpm"),
        ("router_settings", "num_retries"),
        ("litellm_settings", "max_budget"),
        ("router_settings", "fallbacks"),
        ("root", "general_settings"),
    ] {
        let (config, path) = with(section, name, json!("many"));
        let imported = import_of(&config);
        assert!(imported.notes.iter().any(|note| note.path.starts_with(&path)), "{path}: {:#?}", imported.notes);
        assert_eq!(imported.models.len(), 6, "{path}");
    }
}
