//! Asks one pod of an engine something: bounded in time and size. Only addresses of the operator's own watch are dialled.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::time::timeout;
use turnpike_bundle::{entry::ObjectRef, objects::Value as SecretValue};
use turnpike_crds::model_deployment::Vllm;
use turnpike_engine::names;

use crate::{
    kit::ask::{AskError, body, connect},
    world::World,
};

const CONNECT: Duration = Duration::from_secs(2);
/// Bytes of an engine's words that people are shown.
const WORDS: usize = 300;

/// Something to ask.
#[derive(Debug)]
pub struct Question<'a> {
    /// Whom.
    pub address: SocketAddr,
    /// GET without a body, else POST.
    pub body: Option<Value>,
    /// Path.
    pub path: &'a str,
    /// The engine's key.
    pub key: Option<&'a str>,
    /// How long the answer may take.
    pub patience: Duration,
}

/// The answer's body.
///
/// # Errors
/// It did not answer with 200, in time and within [`crate::kit::ask::MAX_BODY`].
pub async fn ask(question: Question<'_>) -> Result<Bytes, AskError> {
    timeout(question.patience, answer(&question)).await.unwrap_or(Err(AskError::Timeout))
}

async fn answer(question: &Question<'_>) -> Result<Bytes, AskError> {
    let mut sender = connect(question.address, CONNECT).await?;
    let method = if question.body.is_some() { Method::POST } else { Method::GET };
    let mut request =
        Request::builder().method(method).uri(question.path).header(header::HOST, question.address.to_string());
    if let Some(key) = question.key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let sent = match &question.body {
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Full::new(Bytes::from(body.to_string()))
        }
        None => Full::default(),
    };
    let response = sender.send_request(request.body(sent)?).await?;
    let status = response.status();
    let answer = body(response).await?;
    if status == StatusCode::OK { Ok(answer) } else { Err(AskError::Status(status, Some(words(&answer)))) }
}

/// An engine's error in its own words, cut.
fn words(body: &[u8]) -> String {
    let read: Option<Value> = serde_json::from_slice(body).ok();
    let said = read.as_ref().and_then(|read| {
        let message = read.pointer("/error/message").or_else(|| read.get("message"));
        message.and_then(Value::as_str).map(str::to_owned)
    });
    let text = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    text.get(..text.floor_char_boundary(WORDS)).unwrap_or(&text).trim().to_owned()
}

/// Where a pod listens; `None` = nowhere that is its own: a pod in its node's network could have the operator call
/// whatever listens on that node.
pub fn address(pod: &Pod, port: u16) -> Option<SocketAddr> {
    let in_nodes_network = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or_default();
    let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
    (!in_nodes_network).then(|| SocketAddr::new(ip, port))
}

/// The key that a model's engines ask of their callers; `None` = it is not there yet, or cannot be sent.
pub fn key(world: &World, at: &ObjectRef, spec: &Vllm) -> Option<String> {
    let (name, key) = match &spec.api_key_secret_ref {
        Some(reference) => (reference.name.clone(), reference.key.as_str()),
        None => (names::key_secret(&at.name), names::KEY),
    };
    let secret = world.secrets.get(&ObjectRef { namespace: at.namespace.clone(), name })?;
    match secret.data.get(key)? {
        SecretValue::Plain(bytes) => Some(std::str::from_utf8(bytes).ok()?.trim().to_owned()),
        SecretValue::Digest(_) => None,
    }
}
