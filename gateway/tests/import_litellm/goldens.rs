//! Whole configs, their manifests and what is said of them. Each result is loaded as a gateway loads its folder.

use std::{fmt::Write, fs, path::Path};

use serde_json::Value;
use turnpike_gateway::{
    config::sources::{directory::Directory, minted::Minted},
    import_litellm::{Imported, import, parse, prefixes},
};

/// Stands for every secret but Google's.
const SECRET: &str = "sk-0123456789abcdef";
/// A key file in form.
const GOOGLE: &str = r#"{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n","client_email":"x@p.iam.gserviceaccount.com"}"#;

fn imported(config: &str) -> Imported {
    import(&parse(config).unwrap(), None, &|_| None)
}

fn config(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import_litellm/configs");
    fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap()
}

/// Manifests and summary, as people see them.
fn shown(imported: &Imported) -> String {
    let mut text = String::new();
    for (name, content) in imported.files().unwrap() {
        write!(text, "# {name}\n{content}").unwrap();
    }
    let secret =
        imported.secret().map(|secret| format!("# secrets.yaml\n{}", serde_saphyr::to_string(&secret).unwrap()));
    text + &secret.unwrap_or_default() + "# report\n" + &imported.summary()
}

/// A gateway serves all of the result, and what it may still say of it is in the report already.
fn is_served(imported: &Imported) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in imported.files().unwrap() {
        fs::write(folder.path().join(name), content).unwrap();
    }
    if let Some(secret) = imported.secret() {
        fs::write(folder.path().join("secrets.yaml"), serde_saphyr::to_string(&secret).unwrap()).unwrap();
    }
    let data = tempfile::tempdir().unwrap();
    let minted = Minted::open(&data.path().join("data")).unwrap();
    let variable = |name: &str| Some(if name == "GOOGLE_KEY" { GOOGLE.to_owned() } else { SECRET.to_owned() });
    let loaded = Directory::new(folder.path(), minted, variable).load().unwrap();
    assert_eq!(loaded.contents.models.len(), imported.models.len(), "every model is served");
    assert_eq!(loaded.contents.keys.len(), imported.keys.len());
    assert_eq!(loaded.contents.budgets.len(), imported.budgets.len());
    assert!(loaded.problems.is_empty(), "{:#?}", loaded.problems);
    for warning in &loaded.warnings {
        assert!(imported.notes.iter().any(|note| note.text.starts_with(&warning.message)), "{warning}");
    }
}

fn golden(name: &str) {
    let imported = imported(&config(name));
    let shown = shown(&imported);
    assert!(!shown.contains("must-never-be-written"), "a secret of the config is in the result: {shown}");
    is_served(&imported);
    insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, shown);
    });
}

#[test]
fn a_home_with_clouds_and_servers_of_its_own() {
    golden("home");
}

#[test]
fn a_server_of_ones_own_first() {
    golden("local_first");
}

#[test]
fn a_team_with_tags_and_fallbacks() {
    golden("team");
}

#[test]
fn several_clouds_under_one_name() {
    golden("clouds");
}

#[test]
fn names_without_a_provider() {
    golden("three");
}

#[test]
fn every_setting_that_carries_over() {
    golden("everything");
}

#[test]
fn every_object_is_in_the_namespace() {
    let config: Value = parse(&config("everything")).unwrap();
    let imported = import(&config, Some("llm"), &|_| None);
    let files = imported.files().unwrap();
    let documents: Vec<&str> = files.iter().flat_map(|(_, text)| text.split("---\n")).collect();
    assert!(documents.iter().all(|document| document.contains("  namespace: llm\n")), "{files:?}");
    assert_eq!(imported.secret().unwrap()["metadata"]["namespace"], "llm");
    assert!(imported.summary().contains("kubectl create secret generic litellm-credentials --namespace llm"));
}

#[test]
fn addresses_come_from_the_environment_or_are_asked_for() {
    let config = "model_list: [{model_name: a, litellm_params: {model: azure/a, api_base: os.environ/BASE}}]";
    let read = parse(config).unwrap();
    let set = import(&read, None, &|name| (name == "BASE").then(|| "https://openai-a.azure.com/openai/v1/".to_owned()));
    let provider = set.models[0].spec.provider.as_ref().unwrap();
    assert_eq!(provider.base_url.as_deref(), Some("https://openai-a.azure.com"));
    let unset = imported(config);
    assert!(unset.models.is_empty());
    let said = unset.summary();
    assert!(
        said.contains("model_list[0].litellm_params.api_base: ") && said.contains("set BASE in the environment"),
        "{said}"
    );
}

#[test]
fn rates_are_shares_with_simple_shuffle() {
    let config = "model_list:
      - {model_name: a, litellm_params: {model: openai/gpt-4o, rpm: 3000}}
      - {model_name: a, litellm_params: {model: openai/gpt-4o, rpm: 1}}
      - {model_name: a, litellm_params: {model: openai/gpt-4o}}
      - {model_name: alone, litellm_params: {model: openai/gpt-4o, rpm: 7}}";
    let imported = imported(config);
    let weights: Vec<i32> = imported.models.iter().map(|model| model.spec.weight).collect();
    assert_eq!(weights, [1000, 1, 0, 1]);
    assert!(imported.notes.iter().any(|note| note.path == "model_list[2].litellm_params"), "{}", imported.summary());
}

#[test]
fn fallbacks_of_an_alias_are_those_of_its_group() {
    let config = "model_list:
      - {model_name: a, litellm_params: {model: openai/gpt-4o}}
      - {model_name: b, litellm_params: {model: openai/gpt-4o}}
router_settings: {model_group_alias: {x: a, y: b}, fallbacks: [{x: [y]}, {nobody: [a]}]}";
    let imported = imported(config);
    assert_eq!(imported.models[0].spec.fallbacks[0].model_ref.name, "b");
    assert!(imported.summary().contains("router_settings.fallbacks[1].nobody: no model_name is nobody"));
}

#[test]
fn a_secret_of_the_config_never_gets_another_ones_name() {
    let config = "model_list:
      - {model_name: openai, litellm_params: {model: openai/gpt-4o, api_key: sk-in-clear}}
      - {model_name: groq, litellm_params: {model: openai/gpt-4o, api_key: sk-in-clear}}
      - {model_name: mine, litellm_params: {model: openai/gpt-4o, api_key: sk-another}}
      - {model_name: other, litellm_params: {model: openai/gpt-4o, api_key: os.environ/MINE_API_KEY}}
      - {model_name: usual, litellm_params: {model: openai/gpt-4o}}";
    let imported = imported(config);
    let provider = |at: usize| imported.models[at].spec.provider.as_ref().unwrap();
    let key = |at: usize| provider(at).credentials.as_ref().unwrap().secret_ref.as_ref().unwrap().key.as_str();
    let keys: Vec<&str> = (0..5).map(key).collect();
    assert_eq!(keys, ["OPENAI_API_KEY_2", "OPENAI_API_KEY_2", "MINE_API_KEY_2", "MINE_API_KEY", "OPENAI_API_KEY"]);
}

#[test]
fn a_wildcard_over_all_providers_is_taken_apart_by_hand() {
    let imported = imported("model_list: [{model_name: '*', litellm_params: {model: '*'}}]");
    assert!(imported.models.is_empty());
    assert!(imported.summary().contains("model_list[0].litellm_params.model: a wildcard over all providers"));
}

#[test]
fn every_prefix_is_a_provider() {
    for prefix in prefixes() {
        let base = "api_base: 'http://host:8000/v1', vertex_project: p, aws_region_name: eu-west-1";
        let config = format!("model_list: [{{model_name: a, litellm_params: {{model: {prefix}/m, {base}}}}}]");
        let imported = imported(&config);
        assert_eq!(imported.models.len(), 1, "{prefix}: {}", imported.summary());
        is_served(&imported);
    }
}

#[test]
fn an_address_with_a_password_is_not_written() {
    let config =
        "model_list: [{model_name: a, litellm_params: {model: openai/a, api_base: 'http://u:hidden@host/v1'}}]";
    let written = imported(config);
    assert!(written.models.is_empty());
    assert!(!shown(&written).contains("hidden"));
    let config = parse("model_list: [{model_name: a, litellm_params: {model: openai/a}}]").unwrap();
    let base = |base: &'static str| move |name: &str| (name == "OPENAI_API_BASE").then(|| base.to_owned());
    let of_variable = import(&config, None, &base("http://u:hidden@host/v1"));
    assert!(of_variable.models.is_empty());
    assert!(!shown(&of_variable).contains("hidden"));
    let sound = import(&config, None, &base("http://host/v1"));
    assert_eq!(sound.models[0].spec.provider.as_ref().unwrap().base_url.as_deref(), Some("http://host/v1"));
}

#[test]
fn what_sounds_secret_is_not_copied() {
    let config = "model_list: [{model_name: a, litellm_params: {model: openai/a, api_key: os.environ/K, extra_headers: {x-my-auth: \
                  sk-hidden}, extra_body: {client_secret: sk-hidden}}}]\n\
                  litellm_settings: {default_key_generate_params: {metadata: {owner: ann, tracing_key: sk-hidden}}}";
    let imported = imported(config);
    assert!(!shown(&imported).contains("hidden"));
    assert_eq!(imported.keys[0].spec.metadata.len(), 1);
    for path in ["extra_headers.x-my-auth", "extra_body.client_secret", "metadata.tracing_key"] {
        assert!(imported.notes.iter().any(|note| note.path.ends_with(path)), "{path}: {}", imported.summary());
    }
}

#[test]
fn what_is_no_config_is_refused_without_showing_it() {
    for config in ["- sk-hidden", "a: [sk-hidden", ""] {
        let error = format!("{:#}", parse(config).unwrap_err());
        assert!(!error.contains("hidden"), "{error}");
    }
}
