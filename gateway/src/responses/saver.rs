//! Follows an answer on its way to the client and has it stored when it came to a good end.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use turnpike_ledger::responses::StoredResponse;
use turnpike_llm::conversation::{self, Finished};

use super::{Ask, Responses};
use crate::{
    pipeline::{admit::Permit, body::INLINE},
    record::{End, Record},
};

/// What is stored beside the answer.
pub struct Plan {
    /// Whose it is.
    pub key_id: Arc<str>,
    /// The answer that it goes on from.
    pub previous: Option<Arc<str>>,
    /// What the request added to the conversation.
    pub input: Arc<str>,
    /// Bytes of all turns before.
    pub before: i64,
}

/// One answer under way.
pub struct Saver {
    store: Responses,
    plan: Plan,
    body: Vec<u8>,
    /// The part of all answers under way that these bytes are; `None` = there was no room.
    permit: Option<Permit>,
}

impl Saver {
    /// Of an answer that has not begun.
    pub fn new(store: &Responses, plan: Plan) -> Self {
        let permit = store.under_way.take(plan.input.len()).ok();
        Self { store: store.clone(), plan, body: Vec::new(), permit }
    }

    /// The next bytes for the client.
    pub fn see(&mut self, bytes: &[u8]) {
        let Some(permit) = &mut self.permit else { return };
        if permit.grow(&self.store.under_way, bytes.len()).is_err() {
            (self.permit, self.body) = (None, Vec::new());
            return;
        }
        self.body.extend_from_slice(bytes);
    }

    /// The request has ended.
    pub fn keep(self, record: &Record) {
        if record.end != End::Success || record.status != StatusCode::OK {
            return;
        }
        let (is_stream, request_id) = (record.stream, Arc::clone(&record.request_id));
        if self.body.len() <= INLINE {
            self.send(is_stream, &request_id);
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || self.send(is_stream, &request_id))),
            Err(_) => self.send(is_stream, &request_id),
        }
    }

    fn send(self, is_stream: bool, request_id: &str) {
        let Self { store, plan, body, permit } = self;
        let Some(permit) = permit else {
            tracing::warn!(request_id, "an answer of /v1/responses is not stored: too many bytes are on their way");
            return;
        };
        let finished = conversation::finished(&Bytes::from(body), is_stream, plan.previous.as_deref());
        let Some(Finished { id, object }) = finished else {
            tracing::debug!(request_id, "an answer of /v1/responses is not stored: it did not complete");
            return;
        };
        let own = i64::try_from(plan.input.len().saturating_add(object.len())).unwrap_or(i64::MAX);
        let response = StoredResponse {
            key_id: plan.key_id,
            id,
            previous_id: plan.previous.as_deref().map(ToOwned::to_owned),
            input: (*plan.input).to_owned(),
            response: object,
            bytes: plan.before.saturating_add(own),
            created_at: Timestamp::now().as_second(),
        };
        if store.asks.try_send(Ask::Put(Box::new(response), permit)).is_err() {
            tracing::warn!(request_id, "an answer of /v1/responses is not stored: too many are on their way");
        }
    }
}
