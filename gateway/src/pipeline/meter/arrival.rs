//! When and as what a request came.

use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;
use turnpike_llm::provider::Operation;

use crate::pipeline::deliver;

/// When and as what a request came.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// For durations.
    pub at: Instant,
    /// Wall clock, microseconds since the epoch.
    pub at_us: i64,
    /// Ours, or the client's own where it gave one.
    pub request_id: Arc<str>,
    /// What was called.
    pub operation: Operation,
}

impl Arrival {
    /// Of a request that comes now, with these headers.
    pub fn now(client: &HeaderMap, operation: Operation) -> Self {
        let request_id = deliver::request_id(client);
        Self { at: Instant::now(), at_us: jiff::Timestamp::now().as_microsecond(), request_id, operation }
    }
}
