//! The download before the engine starts: `python3 -c SCRIPT`, which tells its progress on a port of its own.

use std::{net::Ipv4Addr, path::PathBuf};

use axum::{Json, Router, routing::get};
use serde_json::json;
use tokio::{net::TcpListener, time::Instant};

use super::{Failure, Settings};

/// Where the hub's library keeps a repository.
fn folder(cache: &str, repository: &str) -> PathBuf {
    PathBuf::from(cache).join("hub").join(format!("models--{}", repository.replace('/', "--")))
}

/// Whether a download of this repository has ended well.
pub(super) fn is_there(cache: &str, repository: &str) -> bool {
    folder(cache, repository).exists()
}

/// Whether the script ends when it is told to: Python, as the first process of a container, does not unless it says so.
pub(super) fn listens(script: &str) -> bool {
    script.contains("SIGTERM")
}

/// Takes its time, unless the files are there.
pub(super) async fn run(settings: &Settings, script: &str) -> Result<(), Failure> {
    let wanted = settings.repository.as_ref().zip(settings.progress_port);
    let (Some((repository, port)), true) = (wanted, script.contains("snapshot_download")) else {
        return Err(Failure::new(
            "this look-alike of python3 downloads MODEL_REPOSITORY and tells on PROGRESS_PORT how far it is",
        ));
    };
    if is_there(&settings.cache, repository) {
        return Ok(());
    }
    let begun = Instant::now();
    let whole = settings.fetch;
    let percent = move || async move {
        let done = begun.elapsed().as_millis() * 100 / whole.as_millis().max(1);
        Json(json!({"percent": u8::try_from(done).unwrap_or(100).min(100)}))
    };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
    let listener = listener.map_err(|error| Failure::new(format!("OSError: {error}")))?;
    if let Ok(bound) = listener.local_addr() {
        println!("progress is told on http://{bound}");
    }
    let server = axum::serve(listener, Router::new().route("/progress", get(percent))).into_future();
    tokio::select! {
        ended = server => ended.map_err(|error| Failure::new(format!("OSError: {error}")))?,
        () = tokio::time::sleep(whole) => {}
    }
    if let Some(message) = &settings.fetch_fail {
        return Err(Failure::new(message));
    }
    let path = folder(&settings.cache, repository);
    std::fs::create_dir_all(&path)
        .map_err(|error| Failure::new(format!("PermissionError: {}: {error}", path.display())))
}
