//! What the admin API changes, kept in the gateway's own database and served like the folder's objects.
//!
//! ```text
//!  console ─ change ─▶ task: check (against what is served) ─▶ database ─▶ watch::Editor: render, compile, swap ─▶ answer
//! ```
//! One task owns all of it. A change that is answered survives a restart and is served.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use turnpike_console::store::{Catalog, Change, Object, Pending, ResourceStore, Since, StoreError};
use turnpike_crds::NanoUsd;
use turnpike_ledger::{
    objects::{Rewrite, StoredObject},
    reports::{DailySum, LogFilter, LogSum, Logged, SumBy},
    spend_log,
    store::SqliteStore,
};

use crate::config::watch::Editor;

/// Calls that wait for the task.
const QUEUE: usize = 64;

/// The objects of an earlier run.
///
/// # Errors
/// The database cannot be read.
pub async fn kept(database: &mut SqliteStore) -> Result<Vec<Object>, spend_log::StoreError> {
    let objects = database.objects().await?.into_iter().filter_map(|stored| {
        let StoredObject { kind, namespace, name, object } = stored;
        let read = match kind.as_str() {
            "VirtualKey" => serde_json::from_str(&object).map(|key| Object::Key(Arc::new(key))),
            "Budget" => serde_json::from_str(&object).map(|budget| Object::Budget(Arc::new(budget))),
            _ => return None,
        };
        let unread = |error: &serde_json::Error| {
            tracing::error!(kind, namespace, name, %error, "an object of the admin API cannot be read by this version");
        };
        read.inspect_err(unread).ok()
    });
    Ok(objects.collect())
}

/// The store, as the admin API sees it.
pub struct Standalone {
    asks: mpsc::Sender<Ask>,
    catalog: Arc<ArcSwap<Catalog>>,
}

/// The task behind it; it ends when this is dropped.
pub struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

enum Ask {
    Change(Vec<Change>, Reply<()>),
    Spent(Vec<Since>, Reply<Vec<NanoUsd>>),
    Logged(LogFilter, Reply<Vec<Logged>>),
    LogSums(LogFilter, Reply<Vec<LogSum>>),
    DailySums(SumBy, i64, Reply<Vec<DailySum>>),
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Starts the task.
pub fn start(database: SqliteStore, editor: Editor) -> (Standalone, Running) {
    let (asks, asked) = mpsc::channel(QUEUE);
    let catalog = Arc::clone(editor.catalog());
    (Standalone { asks, catalog }, Running(tokio::spawn(work(database, editor, asked))))
}

impl Standalone {
    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| StoreError::Unavailable)?;
        answer.await.map_err(|_| StoreError::Unavailable)?
    }
}

impl ResourceStore for Standalone {
    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    fn change(&self, changes: Vec<Change>) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(self.ask(|reply| Ask::Change(changes, reply)))
    }

    fn spent(&self, of: Vec<Since>) -> Pending<'_, Result<Vec<NanoUsd>, StoreError>> {
        Box::pin(self.ask(|reply| Ask::Spent(of, reply)))
    }

    fn logged(&self, filter: LogFilter) -> Pending<'_, Result<Vec<Logged>, StoreError>> {
        Box::pin(self.ask(|reply| Ask::Logged(filter, reply)))
    }

    fn log_sums(&self, filter: LogFilter) -> Pending<'_, Result<Vec<LogSum>, StoreError>> {
        Box::pin(self.ask(|reply| Ask::LogSums(filter, reply)))
    }

    fn daily_sums(&self, by: SumBy, since: i64) -> Pending<'_, Result<Vec<DailySum>, StoreError>> {
        Box::pin(self.ask(move |reply| Ask::DailySums(by, since, reply)))
    }
}

async fn work(mut database: SqliteStore, editor: Editor, mut asked: mpsc::Receiver<Ask>) {
    while let Some(ask) = asked.recv().await {
        // Whoever asked may be gone; a change is made all the same.
        match ask {
            Ask::Change(changes, reply) => {
                let _ = reply.send(change(&mut database, &editor, changes).await);
            }
            Ask::Spent(of, reply) => {
                let _ = reply.send(spent(&mut database, of).await.map_err(|error| told(&error)));
            }
            Ask::Logged(filter, reply) => {
                let _ = reply.send(database.logged(&filter).await.map_err(|error| told(&error)));
            }
            Ask::LogSums(filter, reply) => {
                let _ = reply.send(database.log_sums(&filter).await.map_err(|error| told(&error)));
            }
            Ask::DailySums(by, since, reply) => {
                let _ = reply.send(database.daily_sums(by, since).await.map_err(|error| told(&error)));
            }
        }
    }
}

async fn change(database: &mut SqliteStore, editor: &Editor, changes: Vec<Change>) -> Result<(), StoreError> {
    editor.check(changes.clone()).await?;
    let rewrite = rewrite(&changes).map_err(|error| {
        tracing::error!(%error, "an object of the admin API cannot be written as JSON");
        StoreError::Unavailable
    })?;
    database.rewrite(&rewrite).await.map_err(|error| told(&error))?;
    editor.make(changes).await;
    Ok(())
}

async fn spent(database: &mut SqliteStore, of: Vec<Since>) -> Result<Vec<NanoUsd>, spend_log::StoreError> {
    let mut sums = Vec::with_capacity(of.len());
    for Since { key_id, from } in of {
        sums.push(NanoUsd(database.key_cost(&key_id, from).await?));
    }
    Ok(sums)
}

fn rewrite(changes: &[Change]) -> Result<Rewrite, serde_json::Error> {
    let mut rewrite = Rewrite::default();
    for Change { before, after } in changes {
        if let Some(after) = after {
            let id = after.id();
            let object = match after {
                Object::Key(key) => serde_json::to_string(key.as_ref())?,
                Object::Budget(budget) => serde_json::to_string(budget.as_ref())?,
            };
            let (kind, place) = (id.kind.as_str().to_owned(), id.object);
            rewrite.put.push(StoredObject { kind, namespace: place.namespace, name: place.name, object });
        } else if let Some(before) = before {
            let id = before.id();
            rewrite.delete.push([id.kind.as_str().to_owned(), id.object.namespace, id.object.name]);
        }
    }
    Ok(rewrite)
}

fn told(error: &spend_log::StoreError) -> StoreError {
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, source, "the database of the admin API does not answer");
    StoreError::Unavailable
}
