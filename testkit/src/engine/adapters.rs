//! `LoRA` adapters: those of the command line, and those that come and go at run time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::serve::{Engine, error};

/// Names and paths of the adapters that are loaded.
#[derive(Debug, Default)]
pub(super) struct Adapters(Mutex<BTreeMap<String, String>>);

impl Adapters {
    /// Reads `name=path` and `{"name": .., "path": ..}`, as `--lora-modules` takes them.
    pub(super) fn parse(modules: &[String]) -> Result<Self, String> {
        let mut loaded = BTreeMap::new();
        for module in modules {
            let parsed: Option<Value> = serde_json::from_str(module).ok();
            let member = |name: &str| parsed.as_ref()?.get(name)?.as_str().map(str::to_owned);
            let pair = module.split_once('=').map(|(name, path)| (name.to_owned(), path.to_owned()));
            let (name, path) = member("name")
                .zip(member("path"))
                .or(pair)
                .ok_or_else(|| format!("argument --lora-modules: Invalid JSON format for --lora-modules: {module}"))?;
            loaded.insert(name, path);
        }
        Ok(Self(Mutex::new(loaded)))
    }

    /// Names and paths.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// `POST /v1/load_lora_adapter`.
pub(super) async fn load(State(engine): State<Arc<Engine>>, Json(body): Json<Value>) -> Response {
    let (name, path) = (text(&body, "lora_name"), text(&body, "lora_path"));
    if name.is_empty() || path.is_empty() {
        return error(
            StatusCode::BAD_REQUEST,
            "InvalidUserInput",
            "Both 'lora_name' and 'lora_path' must be provided.",
        );
    }
    if !engine.takes_adapters {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "LoRA is not enabled.");
    }
    let in_place = body.get("load_inplace") == Some(&json!(true));
    let loaded = engine.adapters.change(|adapters| {
        if adapters.contains_key(name) && !in_place {
            return false;
        }
        adapters.insert(name.to_owned(), path.to_owned());
        true
    });
    if !loaded {
        let message = format!(
            "The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, set \
             'load_inplace' to True."
        );
        return error(StatusCode::BAD_REQUEST, "InvalidUserInput", &message);
    }
    println!("INFO [serving.py] Loaded new LoRA adapter: name '{name}', path '{path}'");
    format!("Success: LoRA adapter '{name}' added successfully.").into_response()
}

/// `POST /v1/unload_lora_adapter`.
pub(super) async fn unload(State(engine): State<Arc<Engine>>, Json(body): Json<Value>) -> Response {
    let name = text(&body, "lora_name");
    if name.is_empty() {
        let message = "'lora_name' needs to be provided to unload a LoRA adapter.";
        return error(StatusCode::BAD_REQUEST, "InvalidUserInput", message);
    }
    if engine.adapters.change(|adapters| adapters.remove(name)).is_none() {
        let message = format!("The lora adapter '{name}' cannot be found.");
        return error(StatusCode::NOT_FOUND, "NotFoundError", &message);
    }
    println!("INFO [serving.py] Removed LoRA adapter: name '{name}'");
    format!("Success: LoRA adapter '{name}' removed successfully.").into_response()
}
