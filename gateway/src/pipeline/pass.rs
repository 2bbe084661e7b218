//! Provider pass-through: calls of a provider's own API go on byte by byte, with the credential of a model of that provider.
//!
//! What is reserved, recorded and settled is that of any call. There is one attempt: nobody else would understand it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::response::Response;
use http::{HeaderMap, Method};
use turnpike_ledger::{
    account::{AccountSpec, Excess, Unit},
    engine::Hold,
};
use turnpike_llm::{
    pass::{self, Most, Reads},
    provider::Operation,
    request::Request,
    usage::Usage,
};
use turnpike_routing::plan::NoMember;

use super::{
    attempts,
    body::INLINE,
    forward,
    meter::{self, Meter},
    queue::Patience,
    reserve::{Reservation, Reserved, counts_cost},
    route::Routed,
};
use crate::{
    app::Worker,
    config::snapshot::{Caller, Model, Snapshot},
    error::Error,
    routes::pass_through::PassThrough,
    upstream::{Endpoint, at},
};

mod choose;
mod send;

pub use choose::{Names, choose};

/// A call to be passed on.
pub struct Passing<'a> {
    /// Who sends.
    pub worker: &'a Arc<Worker>,
    /// The models there are.
    pub snapshot: &'a Snapshot,
    /// Who asks.
    pub caller: &'a Arc<Caller>,
    /// Where to.
    pub to: PassThrough,
    /// How.
    pub method: &'a Method,
    /// Under the provider's base URL, percent-encoded, without its first slash.
    pub path: &'a str,
    /// After the `?`.
    pub query: Option<&'a str>,
    /// The client's headers.
    pub client: &'a HeaderMap,
}

/// What is called.
pub enum What<'a> {
    /// A model, in the provider's own dialect.
    Model {
        /// What is read of the answer.
        reads: Reads,
        /// The model in the path; `None` = the body names it.
        model: Option<Cow<'a, str>>,
    },
    /// Anything else.
    Other,
}

/// Who lends the credential.
struct Lent {
    model: Arc<Model>,
    /// As the call is recorded.
    name: Arc<str>,
    upstream_model: Arc<str>,
}

/// A call that may be sent.
struct Ready {
    model: Arc<Model>,
    /// What is read of its answer; `None` = nothing, and nobody knows what it costs.
    reads: Option<Reads>,
    name: Arc<str>,
    upstream_model: Arc<str>,
    endpoint: Endpoint,
    headers: HeaderMap,
    total: Duration,
}

impl Passing<'_> {
    /// Answers it.
    pub async fn answer(self, what: What<'_>, request: Arc<Request>, mut meter: Meter) -> Response {
        match self.prepare(&what, &request, &mut meter).await {
            Ok(ready) => self.send(ready, &request, meter).await,
            Err(error) => attempts::fail(meter, error),
        }
    }

    async fn prepare(&self, what: &What<'_>, request: &Arc<Request>, meter: &mut Meter) -> Result<Ready, Error> {
        let Lent { model, name, upstream_model } = self.route(what, request, meter)?;
        meter.chosen(&model, &upstream_model);
        let reads = match what {
            What::Model { reads, .. } => Some(*reads),
            // Looking and deleting costs nothing.
            What::Other if matches!(*self.method, Method::GET | Method::DELETE) => Some(Reads::Free),
            What::Other => None,
        };
        let upstream = super::call::upstream_of(&model)?;
        let base = &upstream.config.base_url;
        let base = model.address.map_or(Cow::Borrowed(base.as_str()), |address| at(base, address).into());
        let url = pass::url(&base, self.path, self.query);
        let endpoint = url.and_then(|url| Endpoint::parse(&url, upstream.config.egress).ok());
        let endpoint = endpoint.ok_or_else(|| Error::NoRoute(self.path.chars().take(256).collect()))?;
        let total = meter::total(&model);
        let total = forward::timeout(self.client).map_or(total, |limit| limit.min(total));
        let ready = Ready {
            headers: forward::passed(&upstream.headers, self.client, request.bytes().is_empty()),
            model,
            reads,
            name,
            upstream_model,
            endpoint,
            total,
        };
        self.reserve(&ready, request, meter).await?;
        Ok(ready)
    }

    /// The model whose credential is used.
    fn route(&self, what: &What<'_>, request: &Request, meter: &mut Meter) -> Result<Lent, Error> {
        let provider = self.to.provider;
        let by_name = |name: &str| choose(self.snapshot, self.caller, provider, (name, Names::Upstream));
        let (Routed { pool, .. }, named) = match what {
            What::Model { model, .. } => {
                let name = model.as_deref().or_else(|| request.model()).ok_or(Error::ModelMissing)?;
                (by_name(name)?, Some(name))
            }
            What::Other => {
                let any = choose::first(self.snapshot, self.caller, self.to)?;
                let named = request.model().and_then(|name| Some((by_name(name).ok()?, name)));
                named.map_or((any, None), |(routed, name)| (routed, Some(name)))
            }
        };
        let name: Arc<str> = named.map_or_else(|| Arc::clone(&pool.name), Into::into);
        meter.describe(request, &name, &forward::tags(self.client));
        meter.routed(&pool);
        let served = |model: &&Arc<Model>| named.is_none_or(|name| choose::serves(model, name).is_some());
        let model = pool.members.iter().map(|member| &member.model).find(served);
        let model = model.ok_or_else(|| Error::Unable { name: (*name).into(), lacking: NoMember::Empty })?;
        let own = Arc::clone(&super::call::upstream_of(model)?.model);
        Ok(Lent { model: Arc::clone(model), upstream_model: named.map_or(own, Into::into), name })
    }

    async fn reserve(&self, ready: &Ready, request: &Arc<Request>, meter: &mut Meter) -> Result<(), Error> {
        let app = &self.worker.app;
        let mut reservation = Reservation {
            caller: self.caller,
            name: &ready.name,
            model: &ready.model,
            upstream_model: &ready.upstream_model,
            operation: Operation::PassThrough,
            request,
            client: self.client,
            longest: ready.total,
            patience: Patience::of_any(app.queue_wait.min(ready.total)),
            fixed: Some(Most::default()),
            counts: true,
        };
        let accounts = reservation.accounts(app);
        let is_read = matches!(ready.reads, Some(Reads::Usage(_)));
        if accounts.is_empty() {
            if !is_read {
                let most = meter::Most { usage: Usage::default(), cost: None, longest: ready.total };
                meter.hold(Reserved { most: Some(most), ..Reserved::default() });
            }
            return Ok(());
        }
        let most = self.most(ready, request).await;
        if most.is_none() && is_limited(&accounts) {
            return Err(Error::Unbounded);
        }
        // What only counts is corrected when it ends.
        let rough = Most { prompt: if is_read { request.bytes().len() as u64 } else { 0 }, output: 0 };
        reservation.fixed = Some(most.unwrap_or(rough));
        let reserved = reservation.reserve(app, accounts, Hold::default()).await.map_err(|(error, _)| error)?;
        meter.hold(reserved);
        Ok(())
    }

    /// What it may use; `None` = nobody can tell.
    async fn most(&self, ready: &Ready, request: &Arc<Request>) -> Option<Most> {
        let (provider, reads) = (self.to.provider, ready.reads?);
        if request.bytes().len() <= INLINE {
            return pass::most(provider, reads, request.bytes(), &ready.model.entry.capabilities);
        }
        let (request, model) = (Arc::clone(request), Arc::clone(&ready.model));
        let reading = move || pass::most(provider, reads, request.bytes(), &model.entry.capabilities);
        tokio::task::spawn_blocking(reading).await.ok().flatten()
    }
}

/// Whether a limit in USD or tokens can refuse: then what is passed on must be bounded.
fn is_limited(accounts: &[Arc<AccountSpec>]) -> bool {
    let counts_tokens = |account: &Arc<AccountSpec>| {
        account.unit == Unit::Tokens && !account.is_rate() && account.excess != Excess::Tell
    };
    counts_cost(accounts) || accounts.iter().any(counts_tokens)
}
