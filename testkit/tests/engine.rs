//! The look-alike of vLLM takes what vLLM takes, refuses what it refuses, and starts and ends as it does.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{
    io::{BufRead, BufReader, Read as _},
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
};

use serde_json::{Value, json};
use turnpike_testkit::{
    Client,
    wait::{eventually, within},
};

const CHAT: &str = "/v1/chat/completions";
const SERVE: &[&str] = &["serve", "acme/tiny", "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", "0"];

/// The program, ended with the test.
struct Engine {
    child: Child,
    output: Box<dyn BufRead>,
    client: Client,
}

fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vllm"));
    command.args(arguments).env("ENGINE_LOAD_SECONDS", "0").envs(variables.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Engine {
    /// Starts it and waits until it says where it serves.
    fn start(more: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::announced(&mut command(&[SERVE, more].concat(), variables), "Starting vLLM server on http://")
    }

    fn announced(command: &mut Command, words: &str) -> Self {
        let mut child = command.spawn().unwrap();
        let mut output = Box::new(BufReader::new(child.stdout.take().unwrap()));
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "it ended without {words}");
        }
        let address: SocketAddr = line.trim().rsplit("http://").next().unwrap().parse().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
        Self { child, output, client: Client::new(address) }
    }

    fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    async fn ended(&mut self) -> ExitStatus {
        eventually("it ends", || {
            let status = self.child.try_wait().unwrap();
            async move { status }
        })
        .await
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = self.client.get("/metrics").await.text();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs it to its end: exit code and what it wrote to standard error.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let done = command(arguments, variables).output().unwrap();
    (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
}

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "where to go"}]})
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

#[tokio::test]
async fn answers_name_the_pod_and_count_tokens() {
    let engine = Engine::start(&["--max-model-len", "1k"], &[]);
    assert_eq!(engine.client.get("/health").await.text(), "");
    let answer = engine.client.post(CHAT, &ask("tiny")).await.json();
    assert_eq!(answer["system_fingerprint"], host().as_str());
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().starts_with(&format!("{} the toll", host())));
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    assert_eq!(answer["usage"]["completion_tokens"], 8);

    let mut limited = ask("tiny");
    limited["max_tokens"] = json!(2);
    let answer = engine.client.post(CHAT, &limited).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    limited["max_tokens"] = json!(1000);
    let refused = engine.client.post(CHAT, &limited).await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("maximum context length is 1000 tokens"));

    let text = engine.client.post("/v1/completions", &json!({"model": "tiny", "prompt": "go"})).await.json();
    assert!(text["choices"][0]["text"].as_str().unwrap().starts_with(&host()));
    let vectors = engine.client.post("/v1/embeddings", &json!({"model": "tiny", "input": ["a", "b"]})).await.json();
    assert_eq!(vectors["data"].as_array().unwrap().len(), 2);
    let unknown = engine.client.post(CHAT, &ask("acme/tiny")).await;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!(404)));
    assert!((engine.metric("vllm:generation_tokens_total").await - 18.0).abs() < 0.5);
}

#[tokio::test]
async fn remembers_the_beginnings_of_prompts_while_there_is_room() {
    let about = |document: &str, question: &str| {
        let text = format!("{} {question}", document.repeat(32));
        json!({"model": "tiny", "max_tokens": 1, "messages": [{"role": "user", "content": text}]})
    };
    let engine = Engine::start(&["--enable-prompt-tokens-details"], &[("ENGINE_CACHE_BLOCKS", "5")]);
    let cached = async |body: Value| {
        let usage = engine.client.post(CHAT, &body).await.json()["usage"].clone();
        assert_eq!(usage["prompt_tokens"], 33);
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap()
    };
    assert_eq!(cached(about("a ", "why")).await, 0);
    assert_eq!(cached(about("a ", "how")).await, 32, "whole blocks of it");
    assert_eq!(cached(about("b ", "why")).await, 0);
    assert_eq!(cached(about("a ", "who")).await, 32);
    // Two blocks each: there is no room for a third document but that of the one that was used before the others.
    assert_eq!(cached(about("c ", "why")).await, 0);
    assert_eq!(cached(about("a ", "who")).await, 32);
    assert!(cached(about("b ", "why")).await < 32);
    assert!((engine.metric("vllm:prefix_cache_queries_total").await - 7.0 * 33.0).abs() < 0.5);
    assert!(engine.metric("vllm:prefix_cache_hits_total").await >= 96.0);
    let without = Engine::start(&["--enable-prompt-tokens-details", "--no-enable-prefix-caching"], &[]);
    for _ in 0..2 {
        let usage = without.client.post(CHAT, &about("a ", "why")).await.json()["usage"].clone();
        assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
    }
}

#[tokio::test]
async fn streams_a_token_a_chunk() {
    let engine = Engine::start(&[], &[]);
    let mut body = ask("tiny");
    body["stream"] = json!(true);
    body["max_tokens"] = json!(3);
    body["stream_options"] = json!({"include_usage": true});
    let rest = engine.client.stream(CHAT, &body).await.rest().await;
    assert!(rest.clean);
    // Role, three tokens, finish, usage, [DONE].
    assert_eq!(rest.events.len(), 7);
    assert_eq!(rest.events[1].json()["choices"][0]["delta"]["content"], host().as_str());
    assert_eq!(rest.events[4].json()["choices"][0]["finish_reason"], "length");
    assert_eq!(rest.events[5].json()["usage"]["completion_tokens"], 3);
    body["stream_options"] = Value::Null;
    assert_eq!(engine.client.stream(CHAT, &body).await.rest().await.events.len(), 6);
}

#[tokio::test]
async fn only_those_with_a_key_come_in() {
    for engine in [Engine::start(&["--api-key", "k"], &[]), Engine::start(&[], &[("VLLM_API_KEY", "k")])] {
        let refused = engine.client.get("/v1/models").await;
        assert_eq!((refused.status, refused.json()), (401, json!({"error": "Unauthorized"})));
        assert_eq!(engine.client.post(CHAT, &ask("tiny")).await.status, 401);
        assert_eq!(engine.client.get("/health").await.status, 200);
        assert_eq!(engine.client.get("/metrics").await.status, 200);
        let models = engine.client.with_key("k").get("/v1/models").await.json();
        assert_eq!((&models["data"][0]["id"], &models["data"][0]["root"]), (&json!("tiny"), &json!("acme/tiny")));
    }
}

#[tokio::test]
async fn adapters_come_and_go() {
    let engine = Engine::start(
        &["--enable-lora", "--lora-modules", "first=/a", r#"{"name": "second", "path": "/b"}"#],
        &[("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True")],
    );
    let (load, unload) = ("/v1/load_lora_adapter", "/v1/unload_lora_adapter");
    assert_eq!(engine.client.post(CHAT, &ask("third")).await.status, 404);
    let third = json!({"lora_name": "third", "lora_path": "/c"});
    assert_eq!(engine.client.post(load, &third).await.status, 200);
    assert_eq!(engine.client.post(load, &third).await.status, 400);
    assert_eq!(engine.client.post(CHAT, &ask("third")).await.json()["model"], "third");
    assert_eq!(engine.client.post(unload, &json!({"lora_name": "first"})).await.status, 200);
    assert_eq!(engine.client.post(unload, &json!({"lora_name": "first"})).await.status, 404);
    let models = engine.client.get("/v1/models").await.json();
    let listed: Vec<_> =
        models["data"].as_array().unwrap().iter().map(|card| (card["id"].clone(), card["parent"].clone())).collect();
    let expected = [(json!("tiny"), Value::Null), (json!("second"), json!("tiny")), (json!("third"), json!("tiny"))];
    assert_eq!(listed, expected);

    let fixed = Engine::start(&["--enable-lora"], &[]);
    assert_eq!(fixed.client.post(load, &third).await.status, 404);
    let plain = Engine::start(&[], &[("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "1")]);
    assert_eq!(plain.client.post(load, &third).await.status, 500);
}

#[test]
fn a_command_line_that_vllm_refuses_is_refused() {
    let cases = [
        (&["--tensor-parallel", "2", "--gpus", "2"][..], "unrecognized arguments: --tensor-parallel 2 --gpus 2"),
        (&["--max-model-len", "long"], "argument --max-model-len: invalid int value: 'long'"),
        (&["--port"], "argument --port: expected one argument"),
        (&["--enable-prefix-caching", "yes"], "unrecognized arguments: yes"),
        (&["--enable-lora=yes"], "argument --enable-lora: ignored explicit argument 'yes'"),
        (&["--gpu-memory-utilization", "most"], "argument --gpu-memory-utilization: invalid float value: 'most'"),
    ];
    for (more, words) in cases {
        let (code, said) = run(&[&["serve", "acme/tiny"], more].concat(), &[]);
        assert_eq!(code, 2, "{said}");
        assert!(said.ends_with(&format!("vllm serve: error: {words}\n")), "{said}");
    }
    assert_eq!(run(&["launch"], &[]).0, 2);
}

#[tokio::test]
async fn takes_the_flags_of_its_version() {
    let flags = [
        "--model=acme/tiny",
        "-tp",
        "2",
        "--pipeline_parallel_size",
        "1",
        "--no-enable-prefix-caching",
        "--max-model-len",
        "32k",
        "--gpu-memory-utilization",
        "0.9",
        "--hf-overrides.rope_theta",
        "1",
        "--kv-cache-dtype",
        "fp8",
        "--trust-remote-code",
    ];
    let engine = Engine::start(&flags, &[]);
    assert_eq!(engine.client.get("/v1/models").await.json()["data"][0]["max_model_len"], 32_000);
}

#[tokio::test]
async fn ends_at_once_or_after_what_runs() {
    // vLLM's default is to abort.
    let variables = [("ENGINE_TOKEN_MS", "50")];
    let mut body = ask("tiny");
    body["stream"] = json!(true);
    for (more, whole) in [(&[][..], false), (&["--shutdown-timeout", "20"], true)] {
        let mut engine = Engine::start(more, &variables);
        let running = engine.client.stream(CHAT, &body).await;
        assert!((engine.metric("vllm:num_requests_running").await - 1.0).abs() < 0.5);
        engine.signal("TERM");
        assert_eq!(running.rest().await.clean, whole);
        assert!(engine.ended().await.success());
        let mut said = String::new();
        engine.output.read_to_string(&mut said).unwrap();
        assert!(said.contains("Shutting down"));
    }
}

#[tokio::test]
async fn requests_wait_for_a_seat() {
    let engine = Engine::start(&["--max-num-seqs", "1"], &[("ENGINE_TOKEN_MS", "100000")]);
    let mut body = ask("tiny");
    body["stream"] = json!(true);
    let first = engine.client.stream(CHAT, &body).await;
    let other = engine.client.clone();
    let second = tokio::spawn(async move { other.stream(CHAT, &body).await.status });
    eventually("the second waits", || async { (engine.metric("vllm:num_requests_waiting").await > 0.5).then_some(()) })
        .await;
    drop(first);
    assert_eq!(within("the second is let in", second).await.unwrap(), 200);
}

#[tokio::test]
async fn is_away_while_it_loads_and_ends_when_it_is_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let arguments = ["serve", "acme/tiny", "--host", "127.0.0.1", "--port", &free.port().to_string()];
    let mut child = command(&arguments, &[("ENGINE_LOAD_SECONDS", "100")]).spawn().unwrap();
    let mut output = Box::new(BufReader::new(child.stdout.take().unwrap()));
    let mut line = String::new();
    while !line.contains("Starting to load model acme/tiny") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0);
    }
    let mut engine = Engine { child, output, client: Client::new(free) };
    assert!(engine.client.try_connect().await.is_err());
    engine.signal("TERM");
    engine.ended().await;
}

#[test]
fn fails_as_it_is_told() {
    let (code, said) = run(SERVE, &[("ENGINE_FAIL", "CUDA error: out of memory")]);
    assert_eq!(code, 1);
    assert!(said.ends_with("RuntimeError: CUDA error: out of memory\n"), "{said}");
}

#[tokio::test]
async fn a_download_tells_its_progress_and_then_the_engine_starts_offline() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().to_str().unwrap();
    let offline = [("HF_HOME", cache), ("HF_HUB_OFFLINE", "1")];
    let (code, said) = run(SERVE, &offline);
    assert!(code == 1 && said.contains("couldn't find acme/tiny in the cached files"), "{said}");

    let script = "import huggingface_hub; huggingface_hub.snapshot_download('acme/tiny')";
    let variables =
        [("HF_HOME", cache), ("ENGINE_FETCH_SECONDS", "3"), ("PROGRESS_PORT", "0"), ("MODEL_REPOSITORY", "acme/tiny")];
    let python = |script| {
        let mut python = command(&["-c", script], &variables);
        python.arg0("/usr/bin/python3");
        python
    };
    assert!(!python("import torch").status().unwrap().success());
    let mut fetch = Engine::announced(&mut python(script), "progress is told on");
    let client = fetch.client.clone();
    let percent = async || client.get("/progress").await.json()["percent"].as_u64().unwrap();
    let first = percent().await;
    eventually("it rises", async || (percent().await > first).then_some(())).await;
    assert!(fetch.ended().await.success());
    // It is there now: done at once.
    assert!(python(script).status().unwrap().success());
    let engine = Engine::start(&[], &offline);
    assert_eq!(engine.client.get("/health").await.status, 200);
}
