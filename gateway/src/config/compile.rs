//! Bundle contents to a snapshot. Pure; what cannot be compiled is left out and said.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use turnpike_bundle::entry::{self, Contents, CredentialEntry, KeyEntry, ModelEntry, ObjectRef};
use turnpike_llm::{
    media::Fetched,
    provider::{AuthScheme, CompiledParams, Operation, ProviderKind, Target},
};

use super::{
    backends::Backends,
    snapshot::{Allowed, Backend, Caller, Key, Model, Snapshot, Upstream},
};
use crate::{
    engines::addresses::Addresses,
    pipeline::deliver,
    upstream::{
        Endpoint, UrlError, at,
        credentials::{Proof, Source, Sources},
        pool::Policy,
    },
};

mod engines;
mod groups;
mod limits;
mod members;
mod pools;

use engines::Engines;
use members::Models;

/// Servers of the vLLM kind close idle connections after 5 s; ours must be the first to let go.
const IDLE_LOCAL: Duration = Duration::from_secs(4);
/// Public APIs keep them for a minute or more.
const IDLE_PUBLIC: Duration = Duration::from_secs(50);

/// Where Google takes API keys.
const GOOGLE_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// An object that the snapshot leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Which one.
    pub object: ObjectRef,
    /// Why.
    pub reason: String,
}

/// What compiling needs beside a bundle.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What was seen of its models.
    pub backends: &'a Backends,
    /// What the identities of its credentials are exchanged for.
    pub sources: &'a Sources,
    /// Where its engines are.
    pub addresses: &'a Addresses,
}

/// The same, and the credentials of a bundle.
#[derive(Clone, Copy)]
struct Known<'a> {
    seen: Seen<'a>,
    entries: &'a BTreeMap<String, CredentialEntry>,
}

/// Compiles everything that can be compiled.
pub fn compile(contents: &Contents, seen: Seen<'_>, generation: u64, hash: String) -> (Snapshot, Vec<LeftOut>) {
    let keys = Arc::new(keys(&contents.keys, &limits::Budgets::new(&contents.budgets)));
    let (snapshot, left_out) = models((&contents.models, &contents.credentials), seen, keys);
    (Snapshot { generation, hash, ..snapshot }, left_out)
}

/// Compiles models, to be called with keys that are compiled already.
pub(super) fn models(
    (entries, credentials): (&[ModelEntry], &BTreeMap<String, CredentialEntry>),
    seen: Seen<'_>,
    keys: Arc<HashMap<[u8; 32], Key>>,
) -> (Snapshot, Vec<LeftOut>) {
    let known = Known { seen, entries: credentials };
    let mut left_out = Vec::new();
    let mut models: BTreeMap<&ObjectRef, Arc<Model>> = BTreeMap::new();
    for entry in entries {
        match model(entry, None, known) {
            Ok(Some(model)) => {
                models.insert(&entry.object, Arc::new(model));
            }
            Ok(None) => {}
            Err(reason) => left_out.push(LeftOut { object: entry.object.clone(), reason }),
        }
    }
    let adapters = engines::adapters(entries);
    let mut engines = Engines::new();
    for entry in entries.iter().chain(&adapters) {
        if let Some(engine) = engines::engine(entry, &models, known) {
            engines.insert((&entry.object, &entry.model_name), Arc::new(engine));
        }
    }
    let mut snapshot = Snapshot { keys, ..Snapshot::default() };
    let by_object = entries.iter().map(|entry| (&entry.object, entry)).collect();
    let all = Models { entries: by_object, compiled: &models, engines: &engines, backends: seen.backends };
    pools::fill(&mut snapshot, (entries, &adapters), &all);
    let whole = entries.iter().filter_map(|entry| engines.get(&(&entry.object, &*entry.model_name)));
    snapshot.engines = whole.cloned().collect();
    snapshot.models = models.into_values().collect();
    (snapshot, left_out)
}

/// A model, or the replica of it at this address.
fn model(entry: &ModelEntry, address: Option<SocketAddr>, known: Known<'_>) -> Result<Option<Model>, String> {
    let backend = match &entry.backend {
        entry::Backend::Route(_) => return Ok(None),
        entry::Backend::Mock { response } => Backend::Mock { response: response.as_str().into() },
        entry::Backend::Provider(config) => Backend::Provider(Box::new(upstream(entry, config, address, known)?)),
    };
    let base = match &entry.backend {
        entry::Backend::Provider(config) => config.base_url.as_str(),
        entry::Backend::Mock { .. } | entry::Backend::Route(_) => "mock",
    };
    let id = entry.object.to_string();
    let live = known.seen.backends.live(entry);
    Ok(Some(Model {
        headers: deliver::headers(header_value(&id)?, header_value(base)?),
        id: id.into(),
        limits: turnpike_ledger::limits::of_model(entry),
        traits: Arc::new(groups::traits(entry)),
        live: match address {
            None => live,
            Some(address) => known.seen.backends.replica(&entry.object, address, &live),
        },
        entry: entry.clone(),
        backend,
        address,
    }))
}

fn upstream(
    entry: &ModelEntry,
    config: &entry::ProviderBackend,
    address: Option<SocketAddr>,
    known: Known<'_>,
) -> Result<Upstream, String> {
    let adapter = config.provider.adapter().ok_or("this gateway does not speak the provider's dialect")?;
    let credential = match &config.credential {
        None => None,
        Some(digest) => Some(known.entries.get(digest).ok_or("its credential is not in the bundle")?),
    };
    let source = config.credential.as_ref().and_then(|digest| known.seen.sources.get(digest));
    let params = &config.params;
    let compiled = CompiledParams::compile(&params.defaults, &params.drop, &params.rename);
    let mut upstream = Upstream {
        headers: headers(adapter.auth(), credential)?,
        proof: proof(adapter.auth(), credential, source, config)?,
        params: compiled,
        endpoints: None,
        model: config.model.as_str().into(),
        policy: Policy {
            connect: Duration::from_millis(entry.timeouts.connect),
            idle: if closes_early(config.provider) { IDLE_LOCAL } else { IDLE_PUBLIC },
        },
        config: config.clone(),
        adapter,
    };
    let base_url = address.map(|address| at(&config.base_url, address));
    let mut target = upstream.target(&config.model, entry, false);
    if let Some(base_url) = &base_url {
        target.base_url = base_url;
    }
    let endpoint = |operation, stream| Endpoint::parse(&adapter.url(operation, stream, &target), config.egress);
    let endpoints = || -> Result<_, UrlError> {
        let pair = |operation| Ok([endpoint(operation, false)?, endpoint(operation, true)?]);
        Operation::ALL.into_iter().map(pair).collect()
    };
    if !config.model.contains('*') {
        let endpoints = endpoints().map_err(|error| format!("its URL cannot be used: {error}"))?;
        upstream.endpoints = Some(endpoints);
    }
    Ok(upstream)
}

/// Uvicorn-based servers close idle connections after 5 s.
fn closes_early(provider: ProviderKind) -> bool {
    match provider {
        ProviderKind::VLLM
        | ProviderKind::HuggingFaceTGI
        | ProviderKind::NvidiaNIM
        | ProviderKind::OpenAICompatible
        | ProviderKind::Ollama => true,
        ProviderKind::OpenAI
        | ProviderKind::AzureOpenAI
        | ProviderKind::Anthropic
        | ProviderKind::Bedrock
        | ProviderKind::VertexAI
        | ProviderKind::Gemini
        | ProviderKind::Cohere
        | ProviderKind::Mistral
        | ProviderKind::TogetherAI
        | ProviderKind::Groq
        | ProviderKind::FireworksAI
        | ProviderKind::Perplexity
        | ProviderKind::DeepSeek => false,
    }
}

impl Upstream {
    /// The target of a call of this upstream model.
    pub fn target<'a>(&'a self, model: &'a str, entry: &'a ModelEntry, drop_unsupported: bool) -> Target<'a> {
        Target {
            base_url: &self.config.base_url,
            model,
            api_version: self.config.api_version.as_deref(),
            region: self.config.region.as_deref(),
            project: self.config.project.as_deref(),
            params: &self.params,
            capabilities: &entry.capabilities,
            drop_unsupported: drop_unsupported || self.config.params.drop_unsupported,
            max_output_tokens: None,
            fetched: Fetched::NONE,
        }
    }
}

fn headers(auth: AuthScheme, credential: Option<&CredentialEntry>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("turnpike/", env!("CARGO_PKG_VERSION"))));
    let Some(credential) = credential else {
        return Ok(headers);
    };
    for (name, value) in &credential.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header's name"))?;
        headers.insert(name, secret_value(value)?);
    }
    if let Some(key) = &credential.api_key {
        match auth {
            // Bedrock's own API keys are sent as they are.
            AuthScheme::Bearer | AuthScheme::SigV4 { .. } => {
                headers.insert(header::AUTHORIZATION, secret_value(&format!("Bearer {key}"))?);
            }
            AuthScheme::Header(name) => {
                headers.insert(HeaderName::from_static(name), secret_value(key)?);
            }
            AuthScheme::GoogleToken => {
                headers.insert(GOOGLE_KEY, secret_value(key)?);
            }
        }
    }
    Ok(headers)
}

/// How calls are authenticated where no fixed header does it.
fn proof(
    auth: AuthScheme,
    credential: Option<&CredentialEntry>,
    source: Option<&Source>,
    config: &entry::ProviderBackend,
) -> Result<Option<Proof>, String> {
    let has_key = credential.is_some_and(|credential| credential.api_key.is_some());
    Ok(match (auth, source) {
        (AuthScheme::SigV4 { service }, Some(Source::Keys(keys))) => {
            let region = config.region.as_deref().ok_or("a region is needed to sign requests; set provider.region")?;
            Some(Proof::Signature { keys: Arc::clone(keys), region: region.into(), service })
        }
        (AuthScheme::SigV4 { .. }, Some(Source::Token(_))) => {
            return Err("a token does not sign requests for AWS".to_owned());
        }
        (_, Some(Source::Token(token))) => Some(Proof::Token(Arc::clone(token))),
        (_, Some(Source::Keys(_))) => return Err("an AWS access key does not authenticate this provider".to_owned()),
        (AuthScheme::SigV4 { .. } | AuthScheme::GoogleToken, None) if !has_key => {
            return Err("its credential has neither a key nor an identity".to_owned());
        }
        (_, None) => None,
    })
}

fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| format!("`{text}` cannot be a header's value"))
}

fn secret_value(text: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "a key or header holds characters that HTTP forbids".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn keys(entries: &[KeyEntry], budgets: &limits::Budgets<'_>) -> HashMap<[u8; 32], Key> {
    let mut keys = HashMap::new();
    for entry in entries {
        let caller = Arc::new(Caller {
            key_id: entry.key_id.as_str().into(),
            object: Some(entry.object.clone()),
            team: entry.team.as_deref().map(Into::into),
            user: entry.user.as_deref().map(Into::into),
            tags: entry.tags.iter().map(|(name, value)| format!("{name}:{value}").into()).collect(),
            allowed: Allowed::compile(&entry.allowed_models),
            expires_at: entry.expires_at,
            suspended: entry.suspended,
            limits: budgets.limits(entry),
            within: budgets.within(entry),
        });
        for hash in &entry.hashes {
            if let Some(digest) = digest(&hash.sha256) {
                let key = Key { caller: Arc::clone(&caller), retires_at: hash.retires_at };
                keys.entry(digest).or_insert(key);
            }
        }
    }
    keys
}

/// 64 hex digits to bytes.
pub(super) fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

impl Allowed {
    /// From `allowedModels`: empty = none, a lone `*` = all.
    pub fn compile(models: &[String]) -> Self {
        if models.iter().any(|model| model == "*") {
            return Self::All;
        }
        let (patterns, names): (Vec<_>, Vec<_>) = models.iter().partition(|model| model.contains('*'));
        Self::Only {
            names: names.iter().map(|name| name.as_str().into()).collect(),
            patterns: patterns
                .iter()
                .filter_map(|pattern| pattern.split_once('*'))
                .map(|(prefix, suffix)| (prefix.into(), suffix.into()))
                .collect(),
        }
    }

    /// Whether this name may be called.
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only { names, patterns } => {
                names.iter().any(|allowed| **allowed == *name)
                    || patterns.iter().any(|(prefix, suffix)| {
                        name.len() >= prefix.len() + suffix.len()
                            && name.starts_with(&**prefix)
                            && name.ends_with(&**suffix)
                    })
            }
        }
    }
}
