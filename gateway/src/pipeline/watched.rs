//! What routing sees of an attempt: when it began, when its first token came, how it ended.

use std::sync::Arc;

use turnpike_llm::{request::Request, usage::Usage};
use turnpike_routing::{Moment, failure::Failure, stats::Attempt};

use super::{failure, journey::now};
use crate::{config::snapshot::Model, record::End};

/// Bytes of a request that are reckoned as one token.
const BYTES_PER_TOKEN: usize = 4;

/// An attempt under way. Dropped, it was given up.
pub struct Watched {
    attempt: Attempt,
    model: Arc<Model>,
    began: Moment,
    answers: bool,
}

impl Watched {
    /// It is sent now.
    pub fn begin(model: &Arc<Model>, request: &Request) -> Self {
        let began = now();
        let expected = request.bytes().len() / BYTES_PER_TOKEN;
        let attempt = model.live.begin(began, u64::try_from(expected).unwrap_or(u64::MAX));
        Self { attempt, model: Arc::clone(model), began, answers: false }
    }

    /// The first of its answer is here.
    pub fn began_to_answer(&mut self, is_stream: bool) {
        self.answers = true;
        if is_stream {
            self.attempt.first_token(now());
        }
    }

    /// It has ended; `usage` as far as it is known.
    pub fn ended(self, end: End, usage: Option<&Usage>) {
        let now = now();
        let (tokens, output) = usage.map_or((0, 0), |usage| (usage.total(), usage.completion));
        match end {
            End::Success => self.attempt.succeeded(now, tokens, output),
            // Nothing can be said of a backend whose client left.
            End::Cancelled | End::Refused(_) => {}
            End::Upstream(class) => {
                // What failed before it answered was counted where the next attempt was chosen.
                if self.answers {
                    let failure = Failure { cause: failure::cause(class), sent: true, retry_after: None };
                    self.model.live.health.failed(&self.model.traits, &failure, (self.began, now));
                }
                self.attempt.failed(now, tokens);
            }
        }
    }
}
