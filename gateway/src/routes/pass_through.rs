//! Providers' own APIs: `/anthropic/...`, `/openai/...` and the like, as `LiteLLM`'s users know them. Off unless told.

use std::{str::FromStr, sync::Arc};

use axum::{extract::Request, response::Response};
use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use turnpike_llm::{
    pass::{self, Passed},
    provider::{Operation, ProviderKind},
};

use super::generate::{self, Named};
use crate::{
    app::{Busy, Worker},
    error::Error,
    pipeline::{
        attempts,
        body::{self, Buffered},
        deliver,
        meter::Arrival,
        pass::{Passing, What},
    },
};

/// Where Google's clients may put their key in the query.
const KEYS: [&str; 2] = ["key", "access_token"];

/// A provider whose own API may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassThrough {
    /// First part of the path.
    pub name: &'static str,
    /// Whose models lend their credentials.
    pub provider: ProviderKind,
}

/// `LiteLLM`'s names, where it has one.
const NAMES: [(&str, ProviderKind); 17] = [
    ("openai", ProviderKind::OpenAI),
    ("azure", ProviderKind::AzureOpenAI),
    ("anthropic", ProviderKind::Anthropic),
    ("bedrock", ProviderKind::Bedrock),
    ("vertex_ai", ProviderKind::VertexAI),
    ("gemini", ProviderKind::Gemini),
    ("cohere", ProviderKind::Cohere),
    ("mistral", ProviderKind::Mistral),
    ("together_ai", ProviderKind::TogetherAI),
    ("groq", ProviderKind::Groq),
    ("fireworks_ai", ProviderKind::FireworksAI),
    ("perplexity", ProviderKind::Perplexity),
    ("deepseek", ProviderKind::DeepSeek),
    ("ollama", ProviderKind::Ollama),
    ("vllm", ProviderKind::VLLM),
    ("huggingface", ProviderKind::HuggingFaceTGI),
    ("nvidia_nim", ProviderKind::NvidiaNIM),
];

impl FromStr for PassThrough {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(name, provider)| Self { name, provider: *provider }).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("there is no pass-through of this name; there are {}", names.join(", "))
        })
    }
}

/// Answers a call of a provider's own API.
pub async fn call(worker: Arc<Worker>, to: PassThrough, request: Request) -> Response {
    let uri = request.uri().clone();
    let path = uri.path().get(to.name.len() + 2..).unwrap_or_default();
    let what = match (request.method(), pass::read(to.provider, path)) {
        (&Method::POST, Passed::Own(operation, model)) => {
            let named = Named { path: model.as_deref(), provider: Some(to.provider), streams: false };
            return generate::serve(worker, operation, named, request).await;
        }
        (&Method::POST, Passed::Foreign { reads, model }) => What::Model { reads, model },
        _ => What::Other,
    };
    raw(worker, to, (path, what), request).await
}

/// Answers a call that goes on byte by byte.
async fn raw(worker: Arc<Worker>, to: PassThrough, (path, what): (&str, What<'_>), request: Request) -> Response {
    let _busy = Busy::new(&worker.busy);
    let (parts, body) = request.into_parts();
    let arrival = Arrival::now(&parts.headers, Operation::PassThrough);
    let snapshot = worker.app.live.load();
    let admitted = check(to, &parts.method, &parts.uri)
        .and_then(|()| generate::admit(&worker, &snapshot, &arrival, &parts.headers));
    let mut response = match admitted {
        Ok((caller, meter)) => {
            match body::read((Operation::PassThrough, false), &parts.headers, body, &worker.app.bodies).await {
                Ok(Buffered { request, permit }) => {
                    let passing = Passing {
                        worker: &worker,
                        snapshot: &snapshot,
                        caller: &caller,
                        to,
                        method: &parts.method,
                        path,
                        query: parts.uri.query(),
                        client: &parts.headers,
                    };
                    let response = passing.answer(what, Arc::new(request), meter).await;
                    drop(permit);
                    response
                }
                Err(error) => attempts::fail(meter, error),
            }
        }
        Err(error) => {
            worker.app.metrics.refused(Operation::PassThrough, error.status(), error.code());
            body::forget(body).await;
            error.answer(arrival.operation.dialect(), &arrival.request_id)
        }
    };
    deliver::identify(&mut response, arrival.operation.dialect(), &arrival.request_id);
    response
}

/// What no provider is asked.
fn check(to: PassThrough, method: &Method, uri: &Uri) -> Result<(), Error> {
    if !matches!(*method, Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
        return Err(Error::MethodNotAllowed(method.clone()));
    }
    let query = uri.query().unwrap_or_default();
    let mut names = query.split('&').map(|pair| percent_decode_str(pair.split('=').next().unwrap_or_default()));
    let is_google = matches!(to.provider, ProviderKind::Gemini | ProviderKind::VertexAI);
    // It would be the client's key here, and reach the provider and its logs.
    if is_google && names.any(|name| KEYS.contains(&&*name.decode_utf8_lossy())) {
        return Err(Error::Invalid {
            message: "A key in the URL is not taken, as URLs are logged. Send it as `x-goog-api-key`.".into(),
            param: Some("key"),
        });
    }
    let is_array = uri.path().ends_with(":streamGenerateContent") && !query.split('&').any(|pair| pair == "alt=sse");
    if is_google && is_array {
        return Err(Error::Invalid {
            message: "A stream must be asked for with `?alt=sse`: of another form its usage cannot be read.".into(),
            param: Some("alt"),
        });
    }
    Ok(())
}
