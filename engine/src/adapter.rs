//! What differs between engines: the command line, the environment, and how a key is asked for.

mod llama;
mod vllm;

use turnpike_crds::{
    ModelDeployment, SecretKeyRef,
    model_deployment::{Engine, Vllm},
};

use crate::{children, names};

/// The engine's command line. `answer_seconds`: how long answers may go on once the engine is told to end.
pub(crate) fn args(model: &ModelDeployment, spec: &Vllm, answer_seconds: i32) -> Vec<String> {
    let mut args = match spec.engine {
        Engine::Vllm => vllm::args(model, spec, answer_seconds),
        Engine::LlamaCpp => llama::args(model, spec),
    };
    args.extend(spec.extra_args.iter().cloned());
    args
}

/// The engine's environment, without its key.
pub(crate) fn variables(spec: &Vllm) -> Vec<(&'static str, String)> {
    match spec.engine {
        Engine::Vllm => vllm::variables(spec),
        Engine::LlamaCpp => llama::variables(),
    }
}

/// In which variable the engine looks for the key that it asks of its callers.
pub(crate) fn key_variable(engine: Engine) -> &'static str {
    match engine {
        Engine::Vllm => "VLLM_API_KEY",
        Engine::LlamaCpp => "LLAMA_API_KEY",
    }
}

/// Where that key is kept.
pub(crate) fn key(model: &ModelDeployment, spec: &Vllm) -> SecretKeyRef {
    spec.api_key_secret_ref.clone().unwrap_or_else(|| SecretKeyRef {
        name: names::key_secret(model.metadata.name.as_deref().unwrap_or_default()),
        key: names::KEY.to_owned(),
    })
}

/// The token for the hub: one per engine.
pub(crate) fn token(spec: &Vllm) -> Option<&SecretKeyRef> {
    let adapters = spec.lora.iter().flat_map(|lora| &lora.adapters).map(|adapter| &adapter.source);
    let mut sources = std::iter::once(&spec.source).chain(adapters);
    sources.find_map(|source| source.hugging_face.as_ref()?.token_secret_ref.as_ref())
}

/// Whether the operator alone sets a variable of the environment.
pub(crate) fn is_own_variable(name: &str) -> bool {
    let own =
        ["MODEL_REPOSITORY", "MODEL_REVISION", "MODEL_FROM", "MODEL_TO", "MODEL_LOCK", "PROGRESS_PORT", "LLAMA_CACHE"];
    own.contains(&name) || children::PLACES.iter().any(|(place, _)| *place == name)
}

/// Whether the engine's own container reads from the hub: llama.cpp its model, vLLM adapters that are loaded at run time.
pub(crate) fn downloads(spec: &Vllm) -> bool {
    match spec.engine {
        Engine::Vllm => spec.lora.is_some(),
        Engine::LlamaCpp => spec.source.hugging_face.is_some(),
    }
}

/// A command line in the making.
#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn set(&mut self, flag: &str, value: impl Into<String>) {
        self.0.extend([flag.to_owned(), value.into()]);
    }

    fn maybe(&mut self, flag: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.set(flag, value);
        }
    }

    fn switch(&mut self, flag: &str) {
        self.0.push(flag.to_owned());
    }
}

/// A field that may be empty, where that means as much as absent.
fn text(value: Option<&String>) -> Option<&String> {
    value.filter(|value| !value.is_empty())
}
