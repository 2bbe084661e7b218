//! The server: who may come in, the routes, and how it ends.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use super::{
    Failure, Settings,
    adapters::{self, Adapters},
    answer,
    flags::Flags,
    metrics::Metrics,
    prefix::PrefixCache,
    told_to_end,
};

/// One engine with its model loaded.
#[derive(Debug)]
pub(super) struct Engine {
    /// What it was told to load.
    pub(super) model: String,
    /// The names that it answers to.
    pub(super) served: Vec<String>,
    /// Tokens of a request and its answer together.
    pub(super) context: usize,
    /// `--enable-lora`.
    pub(super) takes_adapters: bool,
    /// Those that are loaded.
    pub(super) adapters: Adapters,
    /// Unless `--no-enable-prefix-caching`.
    pub(super) prefixes: Option<PrefixCache>,
    /// `--enable-prompt-tokens-details`: answers say how much of the prompt was in the cache.
    pub(super) tells_cached: bool,
    /// Requests that it works on at a time.
    pub(super) seats: Semaphore,
    /// Its figures.
    pub(super) metrics: Metrics,
    /// What the environment asks for.
    pub(super) settings: Settings,
    keys: Vec<String>,
}

impl Engine {
    pub(super) fn new(settings: &Settings, flags: &Flags) -> Result<Self, Failure> {
        let usage = |message: String| Failure { code: 2, message: format!("vllm serve: error: {message}") };
        let model = flags.model.clone().unwrap_or_else(|| "Qwen/Qwen3-0.6B".to_owned());
        let adapters = Adapters::parse(flags.all("--lora-modules")).map_err(usage)?;
        let served = match flags.all("--served-model-name") {
            [] => vec![model.clone()],
            names => names.to_vec(),
        };
        let keys = match flags.all("--api-key") {
            [] => settings.key.iter().cloned().collect(),
            keys => keys.to_vec(),
        };
        Ok(Self {
            model,
            served,
            context: flags.number("--max-model-len").unwrap_or(32_768),
            takes_adapters: flags.is_on("--enable-lora"),
            adapters,
            prefixes: (!flags.is_on("--no-enable-prefix-caching")).then(|| PrefixCache::new(settings.cache_blocks)),
            tells_cached: flags.is_on("--enable-prompt-tokens-details"),
            seats: Semaphore::new(flags.number("--max-num-seqs").unwrap_or(256)),
            metrics: Metrics::default(),
            settings: settings.clone(),
            keys,
        })
    }

    /// Whether it has a model or an adapter of this name.
    pub(super) fn knows(&self, model: &str) -> bool {
        self.served.iter().any(|name| name == model) || self.adapters.all().contains_key(model)
    }
}

/// An error as vLLM writes it.
pub(super) fn error(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": status.as_u16()}});
    (status, Json(body)).into_response()
}

/// Serves until SIGTERM or SIGINT. Requests that run then get `--shutdown-timeout` seconds, of which vLLM's default is none.
pub(super) async fn run(engine: Engine, flags: &Flags) -> Result<(), Failure> {
    let host = match flags.text("--host") {
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some(host) => host.parse().map_err(|_| Failure::new(format!("OSError: no address: {host}")))?,
    };
    let port = flags.number("--port").and_then(|port| u16::try_from(port).ok()).unwrap_or(8000);
    let patience = Duration::from_secs(flags.number("--shutdown-timeout").unwrap_or(0) as u64);
    let failed = |error: std::io::Error| Failure::new(format!("OSError: {error}"));
    let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    println!("INFO [launcher.py] Starting vLLM server on http://{bound}");

    let (ending, mut ended) = watch::channel(());
    let server = axum::serve(listener, routes(engine)).with_graceful_shutdown(async move {
        // Its sender goes when the signal comes.
        while ended.changed().await.is_ok() {}
    });
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        done = &mut server => return done.map_err(failed),
        told = told_to_end() => told?,
    }
    println!("INFO [launcher.py] Shutting down FastAPI HTTP server.");
    drop(ending);
    match tokio::time::timeout(patience, server).await {
        Ok(done) => done.map_err(failed),
        // What still runs is aborted.
        Err(_) => Ok(()),
    }
}

fn routes(engine: Engine) -> Router {
    let at_run_time = engine.settings.adapters_at_run_time;
    let engine = Arc::new(engine);
    let mut router = Router::new()
        .route("/health", get(async || StatusCode::OK))
        .route("/ping", get(async || StatusCode::OK).post(async || StatusCode::OK))
        .route("/version", get(async || Json(json!({"version": "0.33.0"}))))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(answer::chat))
        .route("/v1/completions", post(answer::completion))
        .route("/v1/embeddings", post(answer::embeddings));
    if at_run_time {
        router = router
            .route("/v1/load_lora_adapter", post(adapters::load))
            .route("/v1/unload_lora_adapter", post(adapters::unload));
    }
    router
        .fallback(async || (StatusCode::NOT_FOUND, Json(json!({"detail": "Not Found"}))))
        .layer(middleware::from_fn_with_state(Arc::clone(&engine), authenticate))
        .with_state(engine)
}

/// vLLM guards the routes under `/v1` alone.
async fn authenticate(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let sent = sent.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let guarded = request.uri().path().starts_with("/v1") && !engine.keys.is_empty();
    if guarded && !engine.keys.iter().any(|key| key == sent) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "Unauthorized"}))).into_response();
    }
    next.run(request).await
}

async fn models(State(engine): State<Arc<Engine>>) -> Json<Value> {
    let card = |id: &str, root: &str, parent: Option<&str>, context: Option<usize>| {
        json!({
            "id": id, "object": "model", "created": 1_700_000_000, "owned_by": "vllm", "root": root, "parent": parent,
            "max_model_len": context, "permission": [],
        })
    };
    let base = engine.served.first().map(String::as_str);
    let adapters = engine.adapters.all();
    let data: Vec<Value> = (engine.served.iter().map(|name| card(name, &engine.model, None, Some(engine.context))))
        .chain(adapters.iter().map(|(name, path)| card(name, path, base, None)))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

async fn metrics(State(engine): State<Arc<Engine>>) -> Response {
    let adapters: Vec<String> = engine.adapters.all().into_keys().collect();
    let text = engine.metrics.text(engine.served.first().map_or("", String::as_str), &adapters);
    ([(header::CONTENT_TYPE, "text/plain; version=1.0.0; charset=utf-8")], text).into_response()
}
