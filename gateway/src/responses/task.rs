//! The one owner of the store's connection.

use std::time::Duration;

use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};
use turnpike_ledger::{
    responses::{ResponseStore, StoredResponse},
    spend_log::StoreError,
};

use super::{Ask, QUEUE, Responses};

/// Between looks for what is too old.
const TIDY: Duration = Duration::from_hours(1);
/// Pauses before an answer that was refused is written again; the connection may have been lost.
const RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

const DAY: i64 = 86_400;

/// Starts the task; answers are kept for so many days. It ends when the last [`Responses`] is dropped.
pub fn start<S: ResponseStore>(store: S, days: u32) -> Responses {
    let (asks, mine) = mpsc::channel(QUEUE);
    tokio::spawn(Task { store, asks: mine, days }.run());
    Responses::new(asks)
}

struct Task<S> {
    store: S,
    asks: mpsc::Receiver<Ask>,
    days: u32,
}

impl<S: ResponseStore> Task<S> {
    async fn run(mut self) {
        let mut tidy = interval(TIDY);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.serve(ask).await,
                    None => return,
                },
                _ = tidy.tick() => self.tidy().await,
            }
        }
    }

    async fn serve(&mut self, ask: Ask) {
        // Who asked may have gone meanwhile.
        match ask {
            Ask::Put(response, permit) => {
                self.put(&response).await;
                drop(permit);
            }
            Ask::Get(name, reply) => drop(reply.send(told(self.store.get(&name.key_id, &name.id).await))),
            Ask::Conversation(name, reply) => {
                drop(reply.send(told(self.store.conversation(&name.key_id, &name.id).await)));
            }
            Ask::Delete(name, reply) => drop(reply.send(told(self.store.delete(&name.key_id, &name.id).await))),
            Ask::Flush(done) => drop(done.send(())),
        }
    }

    async fn put(&mut self, response: &StoredResponse) {
        for pause in RETRIES {
            if self.store.put(response).await.is_ok() {
                return;
            }
            sleep(pause).await;
        }
        if told(self.store.put(response).await).is_none() {
            tracing::warn!(id = response.id, "an answer of /v1/responses is not stored and cannot be gone on from");
        }
    }

    async fn tidy(&mut self) {
        let before = Timestamp::now().as_second() - i64::from(self.days) * DAY;
        if let Some(1..) = told(self.store.forget(before).await) {
            tracing::debug!("old answers of /v1/responses were deleted");
        }
    }
}

/// The answer; why there is none goes to the log.
fn told<T>(answer: Result<T, StoreError>) -> Option<T> {
    answer
        .inspect_err(|error| {
            let source = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, source, "the store of responses does not answer");
        })
        .ok()
}
