//! Which backend serves a request. Pure but for the draw, which the caller gives.

use std::sync::Arc;

use crate::{
    config::snapshot::{Backend, Caller, Member, Names, Pool, Snapshot},
    error::Error,
};

/// The choice.
#[derive(Clone, Debug)]
pub struct Routed {
    /// What the client's name stands for.
    pub pool: Arc<Pool>,
    /// Who serves.
    pub member: Member,
    /// What a wildcard matched.
    pub matched: Option<Box<str>>,
}

impl Routed {
    /// The backend's own name of the model; what a wildcard matched is filled in. `None` = the gateway answers itself.
    pub fn upstream_model(&self) -> Option<Arc<str>> {
        match &self.member.model.backend {
            Backend::Mock { .. } => None,
            Backend::Provider(upstream) => Some(match &self.matched {
                Some(matched) if upstream.config.model.contains('*') => {
                    upstream.config.model.replacen('*', matched, 1).into()
                }
                _ => Arc::clone(&upstream.model),
            }),
        }
    }
}

/// Finds the pool of `name` as this caller sees it, and draws one of its members; `draw` is uniform over u64.
///
/// # Errors
/// [`Error::ModelNotFound`] where there is none, or not for this caller: one and the same answer.
pub fn route(snapshot: &Snapshot, caller: &Caller, name: &str, draw: u64) -> Result<Routed, Error> {
    let not_found = || Error::ModelNotFound(name.chars().take(256).collect());
    let (pool, matched) = visible(snapshot, caller).find(name).ok_or_else(not_found)?;
    if !caller.may_call(name, &pool.name) {
        return Err(not_found());
    }
    let member = pick(&pool.members, draw).ok_or_else(not_found)?;
    Ok(Routed { pool: Arc::clone(pool), member: member.clone(), matched })
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

/// A weighted draw among the members of the lowest priority value that have any weight.
fn pick(members: &[Member], draw: u64) -> Option<&Member> {
    let priority = members.iter().filter(|member| member.weight > 0).map(|member| member.priority).min()?;
    let candidates = || members.iter().filter(|member| member.priority == priority && member.weight > 0);
    let total: u64 = candidates().map(|member| u64::from(member.weight)).sum();
    let mut left = draw % total;
    candidates().find(|member| {
        let weight = u64::from(member.weight);
        let chosen = left < weight;
        left = left.saturating_sub(weight);
        chosen
    })
}
