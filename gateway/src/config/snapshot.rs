//! The immutable, compiled configuration that requests read: one `Arc`, loaded once per request.
//!
//! Counters, health and spend never live here: a reload must not reset them.

use std::{borrow::Cow, collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderMap;
use turnpike_bundle::entry::{BudgetEntry, EngineEntry, ModelEntry, ObjectRef, ProviderBackend};
use turnpike_ledger::account::AccountSpec;
use turnpike_llm::{
    price::{self, Price},
    provider::{CompiledParams, Operation, Provider, Target},
};
use turnpike_routing::{
    Moment,
    backend::{Live, Traits},
    group::Group,
};

use crate::{
    cache::settings::Settings,
    demand::Interest,
    upstream::{Endpoint, UrlError, credentials::Proof, pool::Policy},
};

/// All that a gateway serves from.
#[derive(Default)]
pub struct Snapshot {
    /// Increases with each publication in this process.
    pub generation: u64,
    /// Hash of the bundle that this was compiled from.
    pub hash: String,
    /// Every model, in the order of the bundle.
    pub models: Vec<Arc<Model>>,
    /// Those of them that are engines in this cluster.
    pub engines: Vec<Arc<Engine>>,
    /// What each namespace's keys see.
    pub namespaces: HashMap<Box<str>, Names>,
    /// What keys of all other namespaces see: Cluster-visible models only.
    pub cluster: Names,
    /// What the admin key sees: every model that is not Internal.
    pub admin: Names,
    /// What answers for the objects that fallbacks and mirrors name, by `namespace/name`; Internal ones too.
    pub objects: HashMap<Arc<str>, Arc<Pool>>,
    /// Client keys by sha256.
    pub keys: Arc<HashMap<[u8; 32], Key>>,
}

/// Models by the names that clients use.
#[derive(Default)]
pub struct Names {
    /// Exact names and aliases.
    pub exact: HashMap<Box<str>, Arc<Pool>>,
    /// Wildcard names, longest prefix first.
    pub wildcards: Vec<Wildcard>,
}

/// A public name with one `*`.
pub struct Wildcard {
    /// Before the `*`.
    pub prefix: Box<str>,
    /// After the `*`.
    pub suffix: Box<str>,
    /// What serves it.
    pub pool: Arc<Pool>,
}

/// The models of one public name in one namespace.
#[derive(Debug)]
pub struct Pool {
    /// The public name.
    pub name: Arc<str>,
    /// Members, lowest priority value first.
    ///
    /// None of any weight where every backend is an engine without a replica: the pool is cold.
    pub members: Vec<Member>,
    /// The models behind them, each once and whole, and those that are cold.
    pub models: Vec<Arc<Model>>,
    /// The engines that serve it, with and without replicas, in the order of priority; those of weight 0 are not among them.
    pub engines: Vec<Arc<Engine>>,
    /// How many of them a request would be sent to before, or beside, whoever has the best priority of those that can answer.
    pub preferred: usize,
    /// The same members, in the same order, with how one is chosen and what happens when it fails.
    pub group: Group,
    /// Longest that a request may take, over all attempts.
    pub total: Duration,
    /// How its answers are kept; `None` = they are not.
    pub caching: Option<Box<Settings>>,
    /// Oldest member's creation, seconds since the epoch.
    pub created: i64,
}

/// One way to serve a pool's name.
#[derive(Clone, Debug)]
pub struct Member {
    /// The backend.
    pub model: Arc<Model>,
    /// Share among members of the same priority.
    pub weight: u32,
    /// Lower first.
    pub priority: i32,
}

impl Pool {
    /// Whether nobody can answer before an engine has a replica.
    pub fn is_cold(&self) -> bool {
        self.group.is_cold
    }

    /// A request has come, so that these engines should have a replica: all of them where nobody could answer it.
    pub fn want(&self, now: Moment, all: bool) {
        let wanted = if all { self.engines.len() } else { self.preferred };
        self.engines.iter().take(wanted).for_each(|engine| engine.interest.note(now));
    }
}

/// An engine in this cluster, and its replicas as this gateway sees them.
#[derive(Debug)]
pub struct Engine {
    /// The whole of it. A replica is the same model at another address, with the same id, price and limits.
    pub model: Arc<Model>,
    /// What a request meets while there is no replica, and whether a request brings one.
    pub entry: EngineEntry,
    /// Each verified address, lowest first; none = it is cold.
    pub replicas: Vec<Arc<Model>>,
    /// What clients want of it; outlives reloads.
    pub interest: Arc<Interest>,
}

/// One `ModelDeployment`, ready to serve.
#[derive(Debug)]
pub struct Model {
    /// What it was compiled from.
    pub entry: ModelEntry,
    /// `namespace/name`, for headers, logs and metrics.
    pub id: Arc<str>,
    /// What every answer says of the model, with room for what is said of the answer.
    pub headers: HeaderMap,
    /// What answers.
    pub backend: Backend,
    /// What decides whether it is chosen.
    pub traits: Arc<Traits>,
    /// What was seen of it, in this snapshot and before.
    pub live: Arc<Live>,
    /// What it is given at most, whoever asks.
    pub limits: Vec<Arc<AccountSpec>>,
    /// Where this replica of an engine is; `None` = it is a whole model.
    pub address: Option<SocketAddr>,
}

/// What answers for a model.
pub enum Backend {
    /// An upstream over HTTP.
    Provider(Box<Upstream>),
    /// The gateway itself.
    Mock {
        /// The assistant's text.
        response: Arc<str>,
    },
}

/// An upstream with all that does not change from request to request.
pub struct Upstream {
    /// As in the bundle.
    pub config: ProviderBackend,
    /// Speaks its dialect.
    pub adapter: &'static dyn Provider,
    /// `params`, compiled.
    pub params: CompiledParams,
    /// The API key and the CR's own headers.
    pub headers: HeaderMap,
    /// How calls are authenticated where none of those headers does it.
    pub proof: Option<Proof>,
    /// Endpoints in the order of [`Operation::ALL`], each non-streamed and streamed; `None` where the upstream's model is a
    /// wildcard.
    pub endpoints: Option<Box<[[Endpoint; 2]]>>,
    /// Upstream's model name, shared.
    pub model: Arc<str>,
    /// How its connections are treated.
    pub policy: Policy,
}

impl Upstream {
    /// Where an operation on this upstream model goes.
    ///
    /// # Errors
    /// The URL that the adapter made cannot be dialled (a wildcard matched something that no URL can hold).
    pub fn endpoint(&self, operation: Operation, stream: bool, target: &Target<'_>) -> Result<Endpoint, UrlError> {
        let kept = self.endpoints.as_ref().and_then(|endpoints| endpoints.get(operation as usize));
        let Some([whole, streamed]) = kept else {
            return Endpoint::parse(&self.adapter.url(operation, stream, target), self.config.egress);
        };
        Ok(if stream { streamed.clone() } else { whole.clone() })
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Provider(upstream) => write!(f, "Provider({})", upstream.config.base_url),
            Self::Mock { .. } => f.write_str("Mock"),
        }
    }
}

/// A client key in the snapshot.
#[derive(Debug)]
pub struct Key {
    /// Who it stands for.
    pub caller: Arc<Caller>,
    /// Seconds since the epoch after which this very hash is refused.
    pub retires_at: Option<i64>,
}

/// Who makes a request.
#[derive(Debug)]
pub struct Caller {
    /// `vk_…`, or `admin`.
    pub key_id: Arc<str>,
    /// The `VirtualKey`, `None` for the admin key.
    pub object: Option<ObjectRef>,
    /// Team that spend is booked to.
    pub team: Option<Arc<str>>,
    /// User that spend is booked to.
    pub user: Option<Arc<str>>,
    /// `subject.tags` as `name:value`.
    pub tags: Vec<Box<str>>,
    /// Models that the key may call.
    pub allowed: Allowed,
    /// Seconds since the epoch after which the key is refused.
    pub expires_at: Option<i64>,
    /// Refused while true.
    pub suspended: bool,
    /// What its requests count against.
    pub limits: Vec<Limit>,
    /// Further lists of models, of Budgets: a model must be allowed by each.
    pub within: Vec<Allowed>,
}

impl Model {
    /// Price of a call of this upstream model; `None` = not known. What a wildcard matched is known only at the call.
    pub fn price(&self, upstream_model: &str) -> Option<Cow<'_, Price>> {
        match (&self.entry.price, &self.backend) {
            (Some(price), _) => Some(Cow::Borrowed(price)),
            (None, Backend::Provider(upstream)) if upstream.config.model.contains('*') => {
                let config = &upstream.config;
                Some(Cow::Owned(price::lookup(config.provider, upstream_model, config.region.as_deref())?.price()))
            }
            (None, Backend::Provider(_) | Backend::Mock { .. }) => None,
        }
    }
}

impl Caller {
    /// Whether it may call a model, by the name that was asked for or by that of its pool.
    pub fn may_call(&self, name: &str, pool: &str) -> bool {
        let is_allowed = |allowed: &Allowed| allowed.allows(name) || allowed.allows(pool);
        is_allowed(&self.allowed) && self.within.iter().all(is_allowed)
    }
}

/// One limit on some of a key's requests.
#[derive(Debug)]
pub struct Limit {
    /// The models whose requests count; `None` = all.
    pub models: Option<Allowed>,
    /// Which requests by their `user` field.
    pub end_users: EndUsers,
    /// Tags that a request must have; empty = whatever it has.
    pub tags: Arc<[Box<str>]>,
    /// What is counted.
    pub pots: Pots,
}

/// Requests by the `user` that clients put into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndUsers {
    /// Whatever it is, and without any.
    All,
    /// Those that have one.
    Any,
    /// Those of this one.
    Only(Box<str>),
}

/// The accounts behind a limit.
#[derive(Debug)]
pub enum Pots {
    /// Always the same.
    One(Arc<AccountSpec>),
    /// Those of the request's `user`.
    PerEndUser(Arc<BudgetEntry>),
}

/// `allowedModels`, compiled.
#[derive(Debug)]
pub enum Allowed {
    /// Every visible model.
    All,
    /// These names and patterns (prefix, suffix around one `*`).
    Only {
        /// Exact names.
        names: Vec<Box<str>>,
        /// Patterns.
        patterns: Vec<(Box<str>, Box<str>)>,
    },
}
