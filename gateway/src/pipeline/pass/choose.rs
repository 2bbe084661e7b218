//! Which model lends its credential to a pass-through: one of the provider that the key may call, by the name that the call
//! gives. What no model serves is not called, so that a pass-through opens nothing that is not deployed.

use std::sync::Arc;

use turnpike_llm::provider::ProviderKind;

use crate::{
    config::snapshot::{Allowed, Backend, Caller, Model, Pool, Snapshot},
    error::Error,
    pipeline::route::{Routed, visible},
    routes::pass_through::PassThrough,
};

/// By which of its names a model may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Those for clients of the gateway, and the provider's.
    Any,
    /// The provider's: the call goes on as it is.
    Upstream,
}

/// The pool of a provider's models behind a name.
///
/// # Errors
/// [`Error::ModelNotFound`] where there is none that this caller may call.
pub fn choose(
    snapshot: &Snapshot,
    caller: &Caller,
    provider: ProviderKind,
    (name, names): (&str, Names),
) -> Result<Routed, Error> {
    let seen = visible(snapshot, caller);
    if names == Names::Any
        && let Some((pool, matched)) = seen.find(name)
        && is_of(pool, provider)
        && caller.may_call(name, &pool.name)
    {
        return Ok(Routed { pool: Arc::clone(pool), matched });
    }
    let is_served = |pool: &Pool| pool.models.iter().any(|model| serves(model, name).is_some());
    let exact = seen
        .exact
        .iter()
        .filter(|(public, pool)| is_of(pool, provider) && is_served(pool) && caller.may_call(public, &pool.name));
    // The same one every time.
    if let Some((_, pool)) = exact.min_by_key(|(public, _)| &***public) {
        return Ok(Routed { pool: Arc::clone(pool), matched: None });
    }
    let wild = seen.wildcards.iter().filter(|wildcard| is_of(&wildcard.pool, provider)).find_map(|wildcard| {
        let matched = wildcard.pool.models.iter().find_map(|model| serves(model, name))?;
        let public = format!("{}{matched}{}", wildcard.prefix, wildcard.suffix);
        let is_allowed = caller.may_call(&public, &wildcard.pool.name);
        is_allowed.then(|| Routed { pool: Arc::clone(&wildcard.pool), matched: Some(matched.into()) })
    });
    wild.ok_or_else(|| Error::ModelNotFound(name.chars().take(256).collect()))
}

/// The pool whose credential is used by a call that names no model.
///
/// # Errors
/// The key may not call every model, or there is none of the provider.
pub(super) fn first(snapshot: &Snapshot, caller: &Caller, to: PassThrough) -> Result<Routed, Error> {
    let is_all = |allowed: &Allowed| matches!(allowed, Allowed::All);
    if !is_all(&caller.allowed) || !caller.within.iter().all(is_all) {
        return Err(Error::AllModelsOnly);
    }
    let seen = visible(snapshot, caller);
    let all = seen.exact.values().chain(seen.wildcards.iter().map(|wildcard| &wildcard.pool));
    let pool = all.filter(|pool| is_of(pool, to.provider)).min_by_key(|pool| Arc::clone(&pool.name));
    pool.map(|pool| Routed { pool: Arc::clone(pool), matched: None }).ok_or(Error::NoProvider(to.name))
}

/// What of the name this model serves: all of it where it is the upstream's own, or what a wildcard stands for. `None` = it
/// does not.
pub(super) fn serves<'a>(model: &Model, name: &'a str) -> Option<&'a str> {
    let Backend::Provider(upstream) = &model.backend else { return None };
    match upstream.config.model.split_once('*') {
        None => (*upstream.model == *name).then_some(name),
        Some((prefix, suffix)) => name.strip_prefix(prefix)?.strip_suffix(suffix).filter(|matched| !matched.is_empty()),
    }
}

/// Whether nobody else serves it.
fn is_of(pool: &Pool, provider: ProviderKind) -> bool {
    let is_its = |model: &Arc<Model>| match &model.backend {
        Backend::Provider(upstream) => upstream.config.provider == provider,
        Backend::Mock { .. } => false,
    };
    !pool.models.is_empty() && pool.models.iter().all(is_its)
}
