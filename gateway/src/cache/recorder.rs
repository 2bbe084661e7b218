//! Follows an answer on its way to the client and keeps it when it has come to a good end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use turnpike_llm::provider::Operation;

use super::{
    Cache,
    flight::Lead,
    keepable::{self, Allowed},
    kept::Kept,
    key::Key,
    semantic::Meaning,
};
use crate::{
    config::snapshot::Pool,
    pipeline::{admit::Permit, body::INLINE},
    record::{End, Record},
};

/// Largest answer that is kept, bytes.
pub const MOST: usize = 1024 * 1024;

/// What an answer is kept under, and what of it may be kept.
pub struct Plan {
    /// Its key.
    pub key: Key,
    /// Milliseconds that it is kept.
    pub ttl: i64,
    /// What was called.
    pub operation: Operation,
    /// The client wants a stream.
    pub is_stream: bool,
    /// What of it.
    pub allowed: Allowed,
    /// Where it may come from: an answer of another model is not kept under this one's name.
    pub pool: Arc<Pool>,
    /// The model's name in it.
    pub name: Arc<str>,
    /// Longest time that its request may take.
    pub left: Duration,
}

/// One answer under way.
pub struct Recorder {
    cache: Arc<Cache>,
    plan: Plan,
    body: Vec<u8>,
    /// The part of all answers under way that these bytes are; `None` = it is not kept, for its size or theirs.
    permit: Option<Permit>,
    /// Also found by what it means.
    pub meaning: Option<Meaning>,
    /// Equal requests wait for it.
    lead: Option<Lead>,
}

impl Recorder {
    /// Of an answer that has not begun.
    pub fn new(cache: Arc<Cache>, plan: Plan, lead: Option<Lead>) -> Self {
        let permit = cache.recording.take(0).ok();
        Self { cache, plan, body: Vec::new(), permit, meaning: None, lead }
    }

    /// The next bytes for the client.
    pub fn see(&mut self, bytes: &[u8]) {
        let Some(permit) = &mut self.permit else { return };
        let is_too_large = self.body.len().saturating_add(bytes.len()) > MOST;
        if is_too_large || permit.grow(&self.cache.recording, bytes.len()).is_err() {
            // Nobody needs to wait for what is not kept.
            (self.permit, self.body, self.lead) = (None, Vec::new(), None);
            return;
        }
        self.body.extend_from_slice(bytes);
    }

    /// The gateway lets the model write less than the client asked for.
    pub fn capped(&mut self) {
        self.plan.allowed.is_capped = true;
    }

    /// The request has ended.
    pub fn keep(self: Box<Self>, record: &Record) {
        let is_whole = record.end == End::Success && record.status == StatusCode::OK && self.permit.is_some();
        let (Some(model), Some(usage), true) = (&record.model, record.usage, is_whole) else { return };
        if !self.plan.pool.models.iter().any(|known| known.id == model.id) {
            return;
        }
        let now = jiff::Timestamp::now().as_millisecond();
        let kept = Kept {
            body: Bytes::new(),
            name: (&*self.plan.name).into(),
            model: (&*model.id).into(),
            upstream_model: record.upstream_model.as_deref().unwrap_or_default().into(),
            usage,
            at: now,
            until: now.saturating_add(self.plan.ttl),
        };
        if self.body.len() <= INLINE {
            self.check(kept);
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || self.check(kept))),
            Err(_) => self.check(kept),
        }
    }

    fn check(self: Box<Self>, kept: Kept) {
        let Self { cache, plan, body, meaning, lead, .. } = *self;
        let kept = Kept { body: Bytes::from(body.into_boxed_slice()), ..kept };
        match keepable::check(plan.operation, plan.is_stream, &kept.body, plan.allowed) {
            Ok(()) => cache.put(plan.key, kept, meaning),
            Err(why) => tracing::debug!(?why, "an answer is not kept"),
        }
        // Those who wait look again now.
        drop(lead);
    }
}
