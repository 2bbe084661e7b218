//! What one spend row says.

use std::sync::Arc;

use uuid::Uuid;

use crate::account::AccountId;

/// Names one upstream attempt for ever. Minted by the gateway; ids that clients supply are attributes, never keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The run of the gateway: a new UUID (version 7) at each start.
    pub incarnation: Uuid,
    /// Counts up within the run.
    pub sequence: u64,
}

/// What a row means to one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The account.
    pub account: AccountId,
    /// The lease that it was used of, of the row's own incarnation; `None` = of none (limits that only tell, and what was
    /// let through while the store was down).
    pub lease: Option<u64>,
    /// Start of the slot that it is booked in: the one at the time when it was held. Microseconds since the epoch.
    pub slot: i64,
    /// How much, in the account's unit.
    pub amount: i64,
}

/// Which of its request's attempts a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Counts from 1; 0 = no model was asked, an answer was kept.
    pub number: u16,
    /// How many the request had made when this one ended.
    pub of: u16,
    /// What became of it.
    pub role: Role,
}

impl Attempt {
    /// Of a request that a kept answer was given to.
    pub const NONE: Self = Self { number: 0, of: 0, role: Role::Answer };
}

impl Default for Attempt {
    /// The only one.
    fn default() -> Self {
        Self { number: 1, of: 1, role: Role::Answer }
    }
}

/// What an attempt was to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The client was answered with its outcome; each request has one.
    Answer,
    /// It failed, and another followed.
    Retried,
    /// Another was faster.
    Hedged,
    /// A copy, of whose answer the client saw nothing.
    Mirror,
}

impl Role {
    const ALL: [Self; 4] = [Self::Answer, Self::Retried, Self::Hedged, Self::Mirror];

    /// Its name in the store; `None` = the answer.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Answer => None,
            Self::Retried => Some("retried"),
            Self::Hedged => Some("hedged"),
            Self::Mirror => Some("mirror"),
        }
    }

    /// Its place among all, for records on disk.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The one at that place.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// One attempt at an upstream, or one request that ended before any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendRow {
    /// The key of the row.
    pub event: EventId,
    /// Which of the request's attempts it is.
    pub attempt: Attempt,
    /// Wall clock at the request's arrival, microseconds since the epoch.
    pub started_at_us: i64,
    /// The gateway's id of the request, also told to the client.
    pub request_id: Arc<str>,
    /// `vk_…`, or `admin`.
    pub key_id: Arc<str>,
    /// Team of the key.
    pub team: Option<Arc<str>>,
    /// User of the key.
    pub user: Option<Arc<str>>,
    /// Chosen by the client: the request's `user`.
    pub end_user: Option<Arc<str>>,
    /// The model's name in the request.
    pub requested_model: Arc<str>,
    /// `namespace/name` of the `ModelDeployment`; `None` = refused before one was chosen.
    pub model: Option<Arc<str>>,
    /// OpenTelemetry's name of the provider.
    pub provider: Option<&'static str>,
    /// The provider's name of the model.
    pub upstream_model: Option<Arc<str>>,
    /// What was called: `chat`, `text_completion`, `embeddings`, `messages`, `count_tokens`, `responses`.
    pub operation: &'static str,
    /// The answer was streamed.
    pub stream: bool,
    /// HTTP status sent to the client, or that it would have got had no other attempt followed.
    pub status: u16,
    /// `success`, `cancelled`, or the error's code.
    pub outcome: &'static str,
    /// All prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// All completion tokens, reasoning included.
    pub completion_tokens: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached_tokens: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Completion tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// nano-USD; `None` = no price is known, which is not free.
    pub cost_nano: Option<i64>,
    /// Tokens were counted by the gateway because the upstream reported none.
    pub estimated: bool,
    /// Arrival to the first byte of the answer, microseconds.
    pub first_byte_us: Option<i64>,
    /// Arrival to the end, microseconds.
    pub latency_us: i64,
    /// Time spent waiting for the upstream, microseconds.
    pub upstream_us: Option<i64>,
    /// The accounts that it counts against.
    pub postings: Arc<[Posting]>,
    /// JSON array of strings.
    pub tags: Option<Arc<str>>,
    /// The request's `metadata`, a JSON text. The store keeps it only where it is well-formed.
    pub metadata: Option<Arc<str>>,
}
