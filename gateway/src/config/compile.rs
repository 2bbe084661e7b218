//! Bundle contents to a snapshot. Pure; what cannot be compiled is left out and said.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use turnpike_bundle::entry::{self, Contents, CredentialEntry, KeyEntry, ModelEntry, ObjectRef, Visibility};
use turnpike_llm::provider::{AuthScheme, CompiledParams, Operation, ProviderKind, Target};

use super::snapshot::{Allowed, Backend, Caller, Key, Member, Model, Names, Pool, Snapshot, Upstream, Wildcard};
use crate::upstream::{Endpoint, UrlError, pool::Policy};

/// Servers of the vLLM kind close idle connections after 5 s; ours must be the first to let go.
const IDLE_LOCAL: Duration = Duration::from_secs(4);
/// Public APIs keep them for a minute or more.
const IDLE_PUBLIC: Duration = Duration::from_secs(50);
/// A route through routes is followed this far.
const MAX_ROUTE_DEPTH: u32 = 4;

/// An object that the snapshot leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Which one.
    pub object: ObjectRef,
    /// Why.
    pub reason: String,
}

/// Compiles everything that can be compiled.
pub fn compile(contents: &Contents, generation: u64, hash: String) -> (Snapshot, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let mut models: BTreeMap<&ObjectRef, Arc<Model>> = BTreeMap::new();
    for entry in &contents.models {
        match model(entry, &contents.credentials) {
            Ok(Some(model)) => {
                models.insert(&entry.object, Arc::new(model));
            }
            Ok(None) => {}
            Err(reason) => left_out.push(LeftOut { object: entry.object.clone(), reason }),
        }
    }
    let pools = pools(&contents.models, &models);
    let mut snapshot = Snapshot { generation, hash, ..Snapshot::default() };
    // Own names first: insertion never replaces, so they shadow the cluster's.
    for (namespace, pool) in &pools {
        if pool.visibility != Visibility::Internal {
            snapshot.namespaces.entry(namespace.clone()).or_default().add(pool);
            snapshot.admin.add(pool);
        }
        if pool.visibility == Visibility::Cluster {
            snapshot.cluster.add(pool);
        }
    }
    for names in snapshot.namespaces.values_mut() {
        for (_, pool) in pools.iter().filter(|(_, pool)| pool.visibility == Visibility::Cluster) {
            names.add(pool);
        }
        names.sort();
    }
    snapshot.cluster.sort();
    snapshot.admin.sort();
    snapshot.keys = keys(&contents.keys);
    snapshot.models = models.into_values().collect();
    (snapshot, left_out)
}

/// A pool and the names that lead to it.
struct NamedPool<'a> {
    pool: Arc<Pool>,
    visibility: Visibility,
    names: Vec<&'a str>,
}

impl Names {
    fn add(&mut self, named: &NamedPool<'_>) {
        for name in &named.names {
            match name.split_once('*') {
                None => {
                    self.exact.entry((*name).into()).or_insert_with(|| Arc::clone(&named.pool));
                }
                Some((prefix, suffix)) => {
                    if !self.wildcards.iter().any(|other| *other.prefix == *prefix && *other.suffix == *suffix) {
                        let pool = Arc::clone(&named.pool);
                        self.wildcards.push(Wildcard { prefix: prefix.into(), suffix: suffix.into(), pool });
                    }
                }
            }
        }
    }

    /// The most specific wildcard first.
    fn sort(&mut self) {
        self.wildcards.sort_by_key(|wildcard| std::cmp::Reverse((wildcard.prefix.len(), wildcard.suffix.len())));
    }
}

/// Pools by namespace and public name, the oldest first.
fn pools<'a>(entries: &'a [ModelEntry], models: &BTreeMap<&ObjectRef, Arc<Model>>) -> Vec<(Box<str>, NamedPool<'a>)> {
    let by_object: HashMap<&ObjectRef, &ModelEntry> = entries.iter().map(|entry| (&entry.object, entry)).collect();
    let mut grouped: BTreeMap<(&str, &str), Vec<&ModelEntry>> = BTreeMap::new();
    // Nobody asks for an internal model by name, so it neither joins nor hides a pool of that name.
    for entry in entries.iter().filter(|entry| entry.visibility != Visibility::Internal) {
        grouped.entry((&entry.object.namespace, &entry.model_name)).or_default().push(entry);
    }
    let mut out = Vec::with_capacity(grouped.len());
    for ((namespace, name), entries) in grouped {
        let mut members = Vec::new();
        for entry in &entries {
            match models.get(&entry.object) {
                Some(model) => {
                    let model = Arc::clone(model);
                    members.push(Member { model, weight: entry.weight, priority: entry.priority });
                }
                None => expand(entry, &by_object, models, MAX_ROUTE_DEPTH, &mut members),
            }
        }
        if members.is_empty() {
            continue;
        }
        members.sort_by_key(|member| member.priority);
        let created = entries.iter().map(|entry| entry.created).min().unwrap_or_default();
        let mut names = vec![name];
        for alias in entries.iter().flat_map(|entry| &entry.aliases) {
            if !names.contains(&alias.as_str()) {
                names.push(alias);
            }
        }
        let visibility = entries.first().map_or(Visibility::Namespace, |entry| entry.visibility);
        let pool = Arc::new(Pool { name: name.into(), members, created });
        out.push((Box::from(namespace), NamedPool { pool, visibility, names }));
    }
    out.sort_by(|(a_namespace, a), (b_namespace, b)| {
        (a.pool.created, a_namespace, &a.pool.name).cmp(&(b.pool.created, b_namespace, &b.pool.name))
    });
    out
}

/// A route's targets become members of its pool; a target that is a route itself is followed.
fn expand(
    route: &ModelEntry,
    by_object: &HashMap<&ObjectRef, &ModelEntry>,
    models: &BTreeMap<&ObjectRef, Arc<Model>>,
    depth: u32,
    members: &mut Vec<Member>,
) {
    let entry::Backend::Route(targets) = &route.backend else {
        return;
    };
    for target in &targets.targets {
        if let Some(model) = models.get(&target.model) {
            members.push(Member { model: Arc::clone(model), weight: target.weight, priority: target.priority });
        } else if let (Some(inner), Some(depth)) = (by_object.get(&target.model), depth.checked_sub(1)) {
            let first = members.len();
            expand(inner, by_object, models, depth, members);
            share(members.get_mut(first..).unwrap_or_default(), target.weight, target.priority);
        }
    }
}

/// Gives an inner route's best members the share and priority that the outer route gives the inner one.
fn share(inner: &mut [Member], weight: u32, priority: i32) {
    let best = inner.iter().map(|member| member.priority).min().unwrap_or_default();
    let total: u64 = inner.iter().filter(|member| member.priority == best).map(|member| u64::from(member.weight)).sum();
    for member in inner.iter_mut() {
        let part = u64::from(member.weight) * u64::from(weight) / total.max(1);
        member.weight = u32::try_from(part).unwrap_or(u32::MAX).max(u32::from(weight > 0 && member.weight > 0));
        member.priority = priority.saturating_add(member.priority.saturating_sub(best));
    }
}

fn model(entry: &ModelEntry, credentials: &BTreeMap<String, CredentialEntry>) -> Result<Option<Model>, String> {
    let backend = match &entry.backend {
        entry::Backend::Route(_) => return Ok(None),
        entry::Backend::Mock { response } => Backend::Mock { response: response.as_str().into() },
        entry::Backend::Provider(config) => Backend::Provider(Box::new(upstream(entry, config, credentials)?)),
    };
    let base = match &entry.backend {
        entry::Backend::Provider(config) => config.base_url.as_str(),
        entry::Backend::Mock { .. } | entry::Backend::Route(_) => "mock",
    };
    let id = entry.object.to_string();
    Ok(Some(Model {
        id_header: header_value(&id)?,
        base_header: header_value(base)?,
        id: id.into(),
        entry: entry.clone(),
        backend,
    }))
}

fn upstream(
    entry: &ModelEntry,
    config: &entry::ProviderBackend,
    credentials: &BTreeMap<String, CredentialEntry>,
) -> Result<Upstream, String> {
    let adapter = config.provider.adapter().ok_or("this gateway does not speak the provider's dialect")?;
    let credential = match &config.credential {
        None => None,
        Some(digest) => Some(credentials.get(digest).ok_or("its credential is not in the bundle")?),
    };
    let params = &config.params;
    let compiled = CompiledParams::compile(&params.defaults, &params.drop, &params.rename);
    let mut upstream = Upstream {
        headers: headers(adapter.auth(), credential)?,
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
    let target = upstream.target(&config.model, entry, false);
    let endpoint = |operation, stream| Endpoint::parse(&adapter.url(operation, stream, &target));
    let endpoints = || -> Result<_, UrlError> {
        let pair = |operation| Ok([endpoint(operation, false)?, endpoint(operation, true)?]);
        Ok([pair(Operation::Chat)?, pair(Operation::Completions)?, pair(Operation::Embeddings)?])
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
            AuthScheme::Bearer => {
                headers.insert(header::AUTHORIZATION, secret_value(&format!("Bearer {key}"))?);
            }
            AuthScheme::Header(name) => {
                headers.insert(HeaderName::from_static(name), secret_value(key)?);
            }
            AuthScheme::SigV4 { .. } | AuthScheme::GoogleToken => {
                return Err("an API key does not authenticate this provider".to_owned());
            }
        }
    }
    Ok(headers)
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

fn keys(entries: &[KeyEntry]) -> HashMap<[u8; 32], Key> {
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
fn digest(hex: &str) -> Option<[u8; 32]> {
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
