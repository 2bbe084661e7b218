//! The download before the engine starts: `python3 -c SCRIPT`, which tells its progress on a port of its own.

use std::{net::Ipv4Addr, path::PathBuf};

use axum::{Json, Router, routing::get};
use serde_json::json;
use tokio::{net::TcpListener, time::Instant};

use super::{Failure, Settings};

fn marker(cache: &str) -> PathBuf {
    PathBuf::from(cache).join("hub/fetched")
}

/// Whether a download into this folder has ended well.
pub(super) fn is_there(cache: &str) -> bool {
    marker(cache).exists()
}

/// Takes its time, unless the files are there.
pub(super) async fn run(settings: &Settings, script: &str) -> Result<(), Failure> {
    if !script.contains("snapshot_download") {
        return Err(Failure::new("NameError: this look-alike of python3 knows snapshot_download alone"));
    }
    if is_there(&settings.cache) {
        return Ok(());
    }
    let begun = Instant::now();
    let whole = settings.fetch;
    let percent = move || async move {
        let done = begun.elapsed().as_secs_f64() / whole.as_secs_f64().max(0.001) * 100.0;
        Json(json!({"percent": done.clamp(0.0, 100.0).floor()}))
    };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, settings.fetch_port)).await;
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
    let path = marker(&settings.cache);
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, ""));
    written.map_err(|error| Failure::new(format!("PermissionError: {}: {error}", path.display())))
}
