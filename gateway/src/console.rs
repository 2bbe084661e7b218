//! The console of a gateway that serves from manifests: this gateway's facts, for the pages of `turnpike-console`.
//!
//! Nothing here is on a request's path: pages read the snapshot, the counters and the database when somebody looks.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use axum::Router;
use tokio::sync::Mutex;
use turnpike_bundle::entry::Contents;
use turnpike_console::{
    store::Catalog,
    ui::{
        Sessions, Ui, World,
        facts::{Budgets, Keys, Models, Overview, Requests, Search, Unavailable},
        router,
    },
};
use turnpike_ledger::{
    account::{AccountSpec, Unit},
    reports::Logged,
    spend_log::StoreError,
    store::{Balance, LeaseStore, PostgresStore, SqliteStore},
};

use crate::app::App;

mod log;
mod models;
mod money;

/// The database, for people.
pub enum Reader {
    /// A file, with the whole log.
    Sqlite(SqliteStore),
    /// A server, which is only asked how accounts stand.
    Postgres(PostgresStore),
}

/// What the console keeps.
pub struct Console {
    /// What is served; not there before the first configuration.
    catalog: OnceLock<Arc<ArcSwap<Catalog>>>,
    reader: Mutex<Reader>,
    sessions: Arc<Sessions>,
}

impl Console {
    /// Nothing is loaded yet, and nobody signed in.
    pub fn new(reader: Reader) -> Self {
        Self { catalog: OnceLock::new(), reader: Mutex::new(reader), sessions: Arc::default() }
    }

    /// What is served is kept here from now on.
    pub fn follow(&self, catalog: Arc<ArcSwap<Catalog>>) {
        // Set once: there is one configuration.
        let _ = self.catalog.set(catalog);
    }
}

/// The routes of the console, where the gateway has one.
pub fn routes<S: Clone + Send + Sync + 'static>(app: &Arc<App>) -> Router<S> {
    match &app.console {
        Some(console) => router(Ui::new(Arc::new(View { app: Arc::clone(app) }), Arc::clone(&console.sessions))),
        None => Router::new(),
    }
}

/// This gateway as the pages see it.
struct View {
    app: Arc<App>,
}

impl View {
    fn console(&self) -> Result<&Console, Unavailable> {
        self.app.console.as_deref().ok_or_else(|| Unavailable("This gateway has no console.".to_owned()))
    }

    fn contents(&self) -> Result<Arc<Contents>, Unavailable> {
        let catalog = self.console()?.catalog.get();
        Ok(catalog.map(|catalog| Arc::clone(&catalog.load().contents)).unwrap_or_default())
    }

    /// How accounts stand now, in their order.
    async fn balances(&self, accounts: &[Arc<AccountSpec>]) -> Result<Vec<Balance>, Unavailable> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.app.ledger.now();
        let asked = |account: &Arc<AccountSpec>| {
            let window = &account.window;
            (account.id.clone(), window.counted_from(now), window.lease_slot(now).start)
        };
        let asked: Vec<_> = accounts.iter().map(asked).collect();
        let found = match &mut *self.console()?.reader.lock().await {
            Reader::Sqlite(store) => store.balances(&asked).await,
            Reader::Postgres(store) => store.balances(&asked).await,
        };
        found.map_err(|error| silent(&error))
    }
}

/// What a page says of a database that does not answer; the log says why.
fn silent(error: &StoreError) -> Unavailable {
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%error, source, "the console cannot read the database");
    Unavailable("The spend database does not answer. Try again; the log says why.".to_owned())
}

/// The same unit, in the page's terms; `None` = places, which are no amount.
fn unit(unit: Unit) -> Option<turnpike_console::ui::facts::Unit> {
    use turnpike_console::ui::facts::Unit as Shown;
    match unit {
        Unit::NanoUsd => Some(Shown::Usd),
        Unit::Tokens => Some(Shown::Tokens),
        Unit::Requests => Some(Shown::Requests),
        Unit::Parallel => None,
    }
}

impl World for View {
    fn is_admin(&self, key: &str) -> bool {
        self.app.admin.accepts(key)
    }

    async fn overview(&self) -> Result<Overview, Unavailable> {
        self.summed_up().await
    }

    async fn models(&self) -> Result<Models, Unavailable> {
        self.all_models()
    }

    async fn keys(&self) -> Result<Keys, Unavailable> {
        self.all_keys().await
    }

    async fn budgets(&self) -> Result<Budgets, Unavailable> {
        self.all_budgets().await
    }

    async fn requests(&self, search: Search) -> Result<Requests, Unavailable> {
        self.newest(search).await
    }

    async fn request(&self, started_at_us: i64, id: &str) -> Result<Vec<Logged>, Unavailable> {
        self.attempts(started_at_us, id).await
    }
}

/// Seconds since the epoch.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
