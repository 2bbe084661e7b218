//! The command itself, and that a gateway serves what it writes.

use std::{fs, path::Path, process::Command};

use serde_json::json;
use turnpike_testkit::{Script, gateway::Setup, upstream::Demands};

const BINARY: &str = env!("CARGO_BIN_EXE_turnpike-gateway");
const KEY: &str = "sk-upstream-0123456789abcdef";
const CHAT: &str = "/v1/chat/completions";

/// Runs the command with a config; its standard output and error.
fn run(config: &str, arguments: &[&str]) -> (bool, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    fs::write(&path, config).unwrap();
    let output = Command::new(BINARY).arg("import-litellm").arg(path).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_gateway_serves_an_imported_config() {
    let upstream = Demands::default().api_key(KEY).start().await;
    let config = json!({
        "model_list": [
            {"model_name": "first", "litellm_params": {
                "model": "openai/upstream-gpt", "api_base": upstream.url(), "api_key": "os.environ/UPSTREAM_KEY",
                "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}},
            {"model_name": "second", "litellm_params": {
                "model": "openai/upstream-other", "api_base": upstream.url(), "api_key": "os.environ/UPSTREAM_KEY",
                "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}},
        ],
        "router_settings": {"num_retries": 0, "fallbacks": [{"first": ["second"]}], "model_group_alias": {"smart": "first"}},
        "litellm_settings": {"max_budget": 5, "budget_duration": "30d"},
    });
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("manifests");
    let (done, stdout, stderr) = run(&config.to_string(), &["--output", output.to_str().unwrap()]);
    assert!(done && stdout.is_empty(), "{stdout}{stderr}");
    assert!(stderr.contains("--from-literal=UPSTREAM_KEY=\"$UPSTREAM_KEY\""), "{stderr}");
    let mut setup = Setup::new(BINARY).env("UPSTREAM_KEY", KEY);
    for entry in fs::read_dir(&output).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        setup = setup.file(&name, &fs::read_to_string(&path).unwrap());
    }
    let gateway = setup.start().await;
    let minted = gateway.process.data().join("keys/default.imported.api-key");
    let client = gateway.client().with_key(fs::read_to_string(minted).unwrap().trim());
    let chat = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
    let answer = client.post(CHAT, &chat("smart")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-litellm-model-id"), Some("default/first"));
    upstream.next(Script::error(500, "down", "server_error"));
    let fallen = client.post(CHAT, &chat("first")).await;
    assert_eq!(fallen.status, 200, "{fallen:?}");
    assert_eq!(fallen.header("x-litellm-model-id"), Some("default/second"));
}

#[test]
fn standard_output_is_for_kubectl_and_holds_no_secret() {
    let config = "model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o, api_key: sk-hidden}}]";
    let (done, stdout, stderr) = run(config, &["--namespace", "llm"]);
    assert!(done, "{stderr}");
    assert!(stdout.contains("kind: ModelDeployment") && !stdout.contains("kind: Secret"), "{stdout}");
    assert!(!stdout.contains("hidden") && !stderr.contains("hidden"), "{stdout}{stderr}");
    assert!(stderr.contains("model_list[0].litellm_params.api_key: the secret itself stands here"), "{stderr}");
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("models.yaml");
    fs::write(&there, "mine").unwrap();
    let config = "model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o}}]";
    let (done, _, stderr) = run(config, &["--output", folder.path().to_str().unwrap()]);
    assert!(!done && stderr.contains("models.yaml; remove it or name another folder"), "{stderr}");
    assert_eq!(fs::read_to_string(there).unwrap(), "mine");
    assert!(!Path::new(&folder.path().join("keys.yaml")).exists());
}
