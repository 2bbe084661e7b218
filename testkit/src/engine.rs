//! A vLLM look-alike for clusters without GPUs: the flags, endpoints, metrics, exit codes and slow start of vLLM 0.33, and
//! words instead of inference.
//!
//! ```text
//!  vllm serve MODEL ... | python3 -m vllm.entrypoints.openai.api_server ...
//!     [flags] ─▶ faults, load time (port closed) ─▶ [serve]: [answer], [adapters], metrics ─▶ SIGTERM
//!  python3 -c SCRIPT            the download before it: [fetch]
//! ```
//! What a test wants of it, it says by environment variables ([`Settings`]).

use std::{collections::HashMap, io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

mod adapters;
mod answer;
mod fetch;
mod flags;
mod metrics;
mod prefix;
mod serve;

/// Why the program ends before its time.
#[derive(Debug)]
pub struct Failure {
    /// Exit code: 2 for the command line, else 1.
    pub code: u8,
    /// The last that it writes.
    pub message: String,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }
}

/// What the environment asks for.
#[derive(Clone, Debug)]
struct Settings {
    /// `ENGINE_LOAD_SECONDS`: how long the model loads; the port is closed meanwhile.
    load: Duration,
    /// `ENGINE_FETCH_SECONDS`: how long a download takes.
    fetch: Duration,
    /// `PROGRESS_PORT`: where a download tells how far it is.
    progress_port: Option<u16>,
    /// `MODEL_REPOSITORY`: what to download.
    repository: Option<String>,
    /// `ENGINE_TOKEN_MS`: before each token of an answer.
    token: Duration,
    /// `ENGINE_TOKENS`: words of an answer whose request does not limit it.
    tokens: usize,
    /// `ENGINE_CACHE_BLOCKS`: how many blocks of 16 words the prefix cache holds.
    cache_blocks: usize,
    /// `ENGINE_FAIL`: ends with this message once loaded.
    fail: Option<String>,
    /// `ENGINE_FETCH_FAIL`: ends a download with this message.
    fetch_fail: Option<String>,
    /// `ENGINE_EAT_MIB`: takes so much memory while it loads.
    eat_mib: usize,
    /// `VLLM_API_KEY`.
    key: Option<String>,
    /// `VLLM_ALLOW_RUNTIME_LORA_UPDATING`.
    adapters_at_run_time: bool,
    /// `HF_HUB_OFFLINE`: nothing may be downloaded.
    offline: bool,
    /// `HF_HOME`: where downloads lie.
    cache: String,
    /// The pod's name.
    host: String,
}

impl Settings {
    fn read() -> Result<Self, Failure> {
        #[expect(clippy::disallowed_methods, reason = "the only reader of this program's environment")]
        let variables: HashMap<String, String> = std::env::vars().collect();
        let text = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        let number = |name: &str, default: f64| match text(name) {
            None => Ok(default),
            Some(value) => value.parse::<f64>().map_err(|_| Failure::new(format!("{name} is no number: {value}"))),
        };
        let seconds = |name: &str, default: f64| number(name, default).map(Duration::from_secs_f64);
        let count = |name: &str, default: usize| match text(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| Failure::new(format!("{name} is no whole number: {value}"))),
        };
        let is_set =
            |name: &str| text(name).is_some_and(|value| ["1", "true"].contains(&value.to_lowercase().as_str()));
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(Self {
            load: seconds("ENGINE_LOAD_SECONDS", 1.0)?,
            fetch: seconds("ENGINE_FETCH_SECONDS", 1.0)?,
            progress_port: text("PROGRESS_PORT").and_then(|port| port.parse().ok()),
            repository: text("MODEL_REPOSITORY"),
            token: number("ENGINE_TOKEN_MS", 0.0).map(|ms| Duration::from_secs_f64(ms / 1000.0))?,
            tokens: count("ENGINE_TOKENS", 8)?,
            cache_blocks: count("ENGINE_CACHE_BLOCKS", 10_000)?,
            fail: text("ENGINE_FAIL"),
            fetch_fail: text("ENGINE_FETCH_FAIL"),
            eat_mib: count("ENGINE_EAT_MIB", 0)?,
            key: text("VLLM_API_KEY"),
            adapters_at_run_time: is_set("VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
            offline: is_set("HF_HUB_OFFLINE"),
            cache: text("HF_HOME").unwrap_or_else(|| "/tmp/huggingface".to_owned()),
            host: host.trim().to_owned(),
        })
    }
}

/// Runs what the words, the program's name first, ask for, until a signal ends it.
///
/// # Errors
/// The command line is one that vLLM refuses, or the environment asks for a failure.
pub async fn run(words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (name, rest) = words.split_first().map_or(("", &[][..]), |(name, rest)| (*name, rest));
    let python = name.rsplit('/').next().is_some_and(|name| name.starts_with("python"));
    let settings = Settings::read()?;
    match (python, rest) {
        (true, ["-c", script, ..]) => tokio::select! {
            done = fetch::run(&settings, script) => done,
            told = told_to_end(), if fetch::listens(script) => told,
        },
        (true, ["-m", "vllm.entrypoints.openai.api_server", flags @ ..]) | (false, ["serve", flags @ ..]) => {
            let flags = flags::parse(flags).map_err(|message| Failure {
                code: 2,
                message: format!("usage: vllm serve [model_tag] [options]\nvllm serve: error: {message}"),
            })?;
            start(settings, &flags).await
        }
        _ => Err(Failure { code: 2, message: "usage: vllm serve [model_tag] [options]".to_owned() }),
    }
}

/// Loads, then serves.
async fn start(settings: Settings, flags: &flags::Flags) -> Result<(), Failure> {
    let engine = serve::Engine::new(&settings, flags)?;
    println!("INFO [api_server.py] vLLM API server version 0.33.0");
    println!("INFO [utils.py] non-default args: {flags:?}");
    if settings.offline && !engine.model.starts_with('/') && !fetch::is_there(&settings.cache, &engine.model) {
        return Err(Failure::new(format!(
            "OSError: We couldn't find {} in the cached files, and outgoing traffic is disabled (HF_HUB_OFFLINE=1).",
            engine.model
        )));
    }
    println!("INFO [gpu_model_runner.py] Starting to load model {}...", engine.model);
    let eaten = tokio::select! {
        eaten = load(&settings) => eaten?,
        told = told_to_end() => return told,
    };
    let served = serve::run(engine, flags).await;
    drop(eaten);
    served
}

/// Takes its time, and the memory that it is to take.
async fn load(settings: &Settings) -> Result<Vec<Vec<u8>>, Failure> {
    let eaten = eat(settings.eat_mib).await;
    tokio::time::sleep(settings.load).await;
    match &settings.fail {
        None => Ok(eaten),
        Some(message) => {
            eprintln!("ERROR [core.py] EngineCore failed to start.");
            Err(Failure::new(format!("RuntimeError: {message}")))
        }
    }
}

/// Returns when SIGTERM or SIGINT comes: the first process of a container would live on.
async fn told_to_end() -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error: io::Error| Failure::new(format!("OSError: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Takes memory bit by bit, as weights do that are read.
async fn eat(mib: usize) -> Vec<Vec<u8>> {
    let mut eaten = Vec::new();
    while eaten.len() < mib {
        // Not zero: memory of zeros need not be resident.
        eaten.push(vec![1; 1 << 20]);
        tokio::task::yield_now().await;
    }
    eaten
}
