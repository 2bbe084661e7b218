//! What the name that a request asks for stands for.

use std::sync::Arc;

use crate::{
    config::snapshot::{Backend, Caller, Model, Names, Pool, Snapshot},
    error::Error,
};

/// Where a name leads.
#[derive(Clone, Debug)]
pub struct Routed {
    /// What the name stands for.
    pub pool: Arc<Pool>,
    /// What a wildcard matched.
    pub matched: Option<Box<str>>,
}

/// A backend's own name of its model; what a wildcard matched is filled in. `None` = the gateway answers itself.
pub fn upstream_model(model: &Model, matched: Option<&str>) -> Option<Arc<str>> {
    match &model.backend {
        Backend::Mock { .. } => None,
        Backend::Provider(upstream) => Some(match matched {
            Some(matched) if upstream.config.model.contains('*') => {
                upstream.config.model.replacen('*', matched, 1).into()
            }
            _ => Arc::clone(&upstream.model),
        }),
    }
}

/// Finds the pool of `name` as this caller sees it.
///
/// # Errors
/// [`Error::ModelNotFound`] where there is none, or not for this caller: one and the same answer.
pub fn route(snapshot: &Snapshot, caller: &Caller, name: &str) -> Result<Routed, Error> {
    let not_found = || Error::ModelNotFound(name.chars().take(256).collect());
    let (pool, matched) = visible(snapshot, caller).find(name).ok_or_else(not_found)?;
    if !caller.may_call(name, &pool.name) {
        return Err(not_found());
    }
    Ok(Routed { pool: Arc::clone(pool), matched })
}

/// The names that this caller may use, allowed or not.
pub fn visible<'a>(snapshot: &'a Snapshot, caller: &Caller) -> &'a Names {
    match &caller.object {
        None => &snapshot.admin,
        Some(object) => snapshot.namespaces.get(&*object.namespace).unwrap_or(&snapshot.cluster),
    }
}

impl Names {
    /// The pool behind a name, and what a wildcard matched.
    pub fn find(&self, name: &str) -> Option<(&Arc<Pool>, Option<Box<str>>)> {
        if let Some(pool) = self.exact.get(name) {
            return Some((pool, None));
        }
        self.wildcards.iter().find_map(|wildcard| {
            let rest = name.strip_prefix(&*wildcard.prefix)?.strip_suffix(&*wildcard.suffix)?;
            (!rest.is_empty()).then(|| (&wildcard.pool, Some(rest.into())))
        })
    }
}
