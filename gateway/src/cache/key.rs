//! What makes two requests the same: who shares answers, what answers them, and what they ask.

use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};
use turnpike_crds::model_deployment::CacheScope;
use turnpike_llm::{
    provider::Operation,
    request::{Request, gateway_only},
};

use super::{
    canonical::{self, Digest},
    control::Control,
    settings::Settings,
};
use crate::{config::snapshot::Caller, spend};

/// Changes with what a key is made of, so that an old key never finds a new answer.
const VERSION: &[u8] = b"turnpike answer 1";

/// Members that say nothing of the answer. `stream` and the model's name are parts of the key by themselves.
const SILENT: [&str; 6] = ["model", "stream", "stream_options", "user", "metadata", "safety_identifier"];

/// Members for the gateway that change what the model is asked all the same.
const TELLING: [&str; 3] = ["additional_drop_params", "allowed_openai_params", "drop_params"];

/// Headers of clients that reach the model.
const HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("accept-language"),
];

/// Names one answer.
pub type Key = Digest;

/// All that a key is made of but the request's body.
#[derive(Clone, Debug)]
pub struct Context {
    sum: Sha256,
    /// What tells streams apart that ask for usage and that do not.
    stream: [u8; 2],
}

/// Where a request goes.
pub struct Target<'a> {
    /// The pool's settings.
    pub settings: &'a Settings,
    /// The pool's name.
    pub pool: &'a str,
    /// What a wildcard matched.
    pub matched: Option<&'a str>,
}

/// Whether answers of this kind are kept at all.
pub fn is_kept(operation: Operation) -> bool {
    match operation {
        Operation::Chat
        | Operation::Completions
        | Operation::Embeddings
        | Operation::Messages
        | Operation::Responses
        | Operation::GenerateContent
        | Operation::Rerank => true,
        Operation::CountTokens
        | Operation::CountContent
        | Operation::Moderations
        | Operation::Images
        | Operation::ImageEdits
        | Operation::Speech
        | Operation::Transcriptions
        | Operation::Translations
        | Operation::PassThrough => false,
    }
}

impl Context {
    /// What of a request is known without reading its body.
    pub fn new(target: &Target<'_>, caller: &Caller, operation: Operation, control: &Control) -> Self {
        let mut context = Self { sum: Sha256::new().chain_update(VERSION), stream: [0; 2] };
        context.add(spend::operation(operation));
        context.owner(target.settings.scope, caller);
        context.add(control.namespace.as_deref().unwrap_or_default());
        context.add(target.pool);
        context.add(target.matched.unwrap_or_default());
        context.sum.update(target.settings.backends);
        context.sum.update([u8::from(control.tool_calls)]);
        context
    }

    /// With what the client's headers and the request's members outside of its body proper say; `tags`: those of headers and
    /// key, where tags choose among models.
    #[must_use]
    pub fn with(mut self, headers: &HeaderMap, request: &Request, tags: Option<Vec<Box<str>>>) -> Self {
        for name in &HEADERS {
            for value in headers.get_all(name) {
                self.sum.update([1]);
                self.sum.update(canonical::of_text(&String::from_utf8_lossy(value.as_bytes())));
            }
            self.sum.update([0]);
        }
        if let Some(mut tags) = tags {
            tags.extend(request.tags().iter().map(|tag| tag.as_str().into()));
            tags.sort_unstable();
            tags.dedup();
            for tag in &tags {
                self.add(tag);
            }
        }
        self.stream = [request.stream().into(), (request.stream() && request.include_usage()).into()];
        self
    }

    /// Nobody else's answers, and nobody of another namespace's. A key without a team is alone.
    fn owner(&mut self, scope: CacheScope, caller: &Caller) {
        let namespace = caller.object.as_ref().map_or("", |object| &object.namespace);
        match (scope, &caller.team) {
            (CacheScope::Cluster, _) => self.add("cluster"),
            (CacheScope::Team, Some(team)) => {
                self.add("team");
                self.add(namespace);
                self.add(team);
            }
            (CacheScope::Team, None) | (CacheScope::Key, _) => {
                self.add("key");
                self.add(namespace);
                self.add(&caller.key_id);
            }
        }
    }

    fn add(&mut self, text: &str) {
        self.sum.update(text.len().to_le_bytes());
        self.sum.update(text);
    }

    /// The model that compares requests, and what its vectors depend on.
    pub fn compared_by(&mut self, model: &str, backends: &Digest) {
        self.add(model);
        self.sum.update(backends);
    }

    /// The key of a request. Takes time in proportion to its size.
    pub fn key(&self, request: &Request) -> Key {
        self.clone().finish(request, None)
    }

    /// What requests share that differ in the text of one member's last message only; `rest` = that member without it.
    pub fn partition(&self, request: &Request, member: &str, rest: &[u8]) -> Key {
        let mut context = self.clone();
        context.add("but for the last message");
        context.finish(request, Some((member, rest)))
    }

    fn finish(mut self, request: &Request, instead: Option<(&str, &[u8])>) -> Key {
        self.sum.update(self.stream);
        let mut members: Vec<(Digest, Digest)> = request
            .members()
            .filter(|(name, _)| counts(name))
            .map(|(name, value)| {
                let value = match instead {
                    Some((member, rest)) if *name == *member => rest,
                    _ => value,
                };
                (canonical::of_text(&name), canonical::digest(value))
            })
            .collect();
        members.sort_by_key(|(name, _)| *name);
        for (name, value) in members {
            self.sum.update(name);
            self.sum.update(value);
        }
        self.sum.finalize().into()
    }
}

fn counts(name: &str) -> bool {
    !SILENT.contains(&name) && (!gateway_only(name) || TELLING.contains(&name))
}

/// Whether a request plays with the gateway rather than with a model (`mock_response`, `mock_testing_fallbacks`): it is
/// neither answered from the cache nor kept.
pub fn is_play(request: &Request) -> bool {
    request.has_gateway_only() && request.members().any(|(name, value)| name.starts_with("mock_") && value != b"null")
}

/// A key as clients see it.
pub fn shown(key: &Key) -> String {
    let mut text = String::with_capacity(64);
    for byte in key {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    text
}
