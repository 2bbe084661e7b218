//! Answers of `/v1/responses` that are kept, so that requests may go on from them by `previous_response_id`.
//!
//! ```text
//!  request ─ resume (the earlier turns before its own) ─▶ any upstream ─▶ answer ─ Saver ─▶ task ─▶ database
//!                └──────────────── conversation ◀───────────────────────────────────────────┘
//! ```
//! Nothing of it is there without `--response-store-days`.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use turnpike_ledger::responses::StoredResponse;

use crate::{
    error::Error,
    pipeline::admit::{Budget, Permit},
};

pub mod resume;
pub mod saver;
mod task;

pub use task::start;

/// Answers on their way to the store.
const QUEUE: usize = 1024;
/// Bytes of answers that are being followed or are on their way to the store.
const UNDER_WAY: usize = 64 * 1024 * 1024;
/// Longest that a request waits for the store.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest id, characters.
const MOST_ID: usize = 256;
/// An answer is written behind its client's back, who may go on from it at once, at another gateway: when it is looked for
/// again.
const AGAIN: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(80), Duration::from_millis(300), Duration::from_millis(600)];

/// What the store is asked.
pub(crate) enum Ask {
    /// Keep it.
    Put(Box<StoredResponse>, Permit),
    /// Find one.
    Get(Name, Reply<Option<StoredResponse>>),
    /// Find it and all before it.
    Conversation(Name, Reply<Vec<StoredResponse>>),
    /// Forget it.
    Delete(Name, Reply<bool>),
    /// Say when all of the above is done.
    Flush(oneshot::Sender<()>),
}

type Reply<T> = oneshot::Sender<Option<T>>;

/// One answer of one key.
#[derive(Clone, Debug)]
pub struct Name {
    /// Whose.
    pub key_id: Arc<str>,
    /// Its id.
    pub id: Box<str>,
}

impl Name {
    /// As a client gives it. What no id can be names nothing: one too long, or with what a database does not take.
    pub fn new(key_id: &Arc<str>, id: &str) -> Self {
        Self { key_id: Arc::clone(key_id), id: id.chars().filter(|c| *c != '\0').take(MOST_ID).collect() }
    }
}

/// The store, as requests see it.
#[derive(Clone)]
pub struct Responses {
    asks: mpsc::Sender<Ask>,
    under_way: Budget,
}

impl Responses {
    fn new(asks: mpsc::Sender<Ask>) -> Self {
        Self { asks, under_way: Budget::new(UNDER_WAY, "bytes of answers to be stored") }
    }

    /// One answer.
    ///
    /// # Errors
    /// There is none of this key and id, or the store does not answer.
    pub async fn get(&self, name: &Name) -> Result<StoredResponse, Error> {
        for pause in AGAIN.map(Some).into_iter().chain([None]) {
            if let Some(found) = self.ask(|reply| Ask::Get(name.clone(), reply)).await? {
                return Ok(found);
            }
            if let Some(pause) = pause {
                sleep(pause).await;
            }
        }
        Err(Error::ResponseNotFound(name.id.clone()))
    }

    /// The turns of a conversation up to an answer, the first one first.
    ///
    /// # Errors
    /// There is none of this key and id, or not all before it, or the store does not answer.
    pub async fn conversation(&self, name: &Name) -> Result<Vec<StoredResponse>, Error> {
        for pause in AGAIN.map(Some).into_iter().chain([None]) {
            let turns = self.ask(|reply| Ask::Conversation(name.clone(), reply)).await?;
            if !turns.is_empty() {
                return Ok(turns);
            }
            if let Some(pause) = pause {
                sleep(pause).await;
            }
        }
        Err(Error::PreviousNotFound(name.id.clone()))
    }

    /// Forgets an answer.
    ///
    /// # Errors
    /// There is none of this key and id, or the store does not answer.
    pub async fn delete(&self, name: &Name) -> Result<(), Error> {
        // What is on its way is found first.
        self.get(name).await?;
        let is_gone = self.ask(|reply| Ask::Delete(name.clone(), reply)).await?;
        if is_gone { Ok(()) } else { Err(Error::ResponseNotFound(name.id.clone())) }
    }

    /// Waits until what was given to the store is written, for as long as this.
    pub async fn flush(&self, patience: Duration) {
        let (done, waited) = oneshot::channel();
        let asked = async {
            if self.asks.send(Ask::Flush(done)).await.is_ok() {
                waited.await.ok();
            }
        };
        if timeout(patience, asked).await.is_err() {
            tracing::warn!("not all answers of /v1/responses could be stored before the end");
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, Error> {
        const AWAY: Error = Error::Busy("the store of responses");
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.asks.send(ask(reply)).await.ok()?;
            answer.await.ok()?
        };
        timeout(PATIENCE, asked).await.ok().flatten().ok_or(AWAY)
    }
}
