//! Reads the database, every few seconds and never for more than a small share of its time.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use turnpike_ledger::{spend_log::StoreError, store::PostgresStore};

use super::{
    Spend, Store,
    assemble::{LastUse, Standings, Used, assemble},
    plan::Plan,
};
use crate::{context::Context, kit::tell::tell};

/// Least time between two readings of accounts.
const EVERY: Duration = Duration::from_secs(2);
/// The same of what keys used.
const USAGE_EVERY: Duration = Duration::from_secs(10);
/// The same in durations of a reading, so that the database has time for gateways.
const PAUSE_FACTOR: u32 = 20;
/// Longest time for one reading.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long figures are current without an answer.
const CURRENT: Duration = Duration::from_secs(30);
/// After a failure.
const RETRY: Duration = Duration::from_secs(2);

/// Reads until cancelled, and sends what has changed. `url`: the database, if there is one.
pub async fn run(context: Context, url: Option<String>, sender: watch::Sender<Arc<Spend>>) {
    let Some(url) = url else {
        // Keeps the sender: that nothing is counted stays true.
        return std::future::pending().await;
    };
    let mut reader = Reader::new(context, sender);
    let mut store: Option<PostgresStore> = None;
    loop {
        let read = match timeout(PATIENCE, reader.read(&url, &mut store)).await {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err("it did not answer in time".to_owned()),
        };
        let pause = match read {
            Ok(took) => {
                reader.heard();
                EVERY.max(took * PAUSE_FACTOR)
            }
            Err(error) => {
                // Whatever was under way may be half done.
                store = None;
                reader.failed(&error);
                RETRY
            }
        };
        sleep(pause).await;
    }
}

struct Reader {
    context: Context,
    sender: watch::Sender<Arc<Spend>>,
    plan: Plan,
    /// [`crate::world::World::inputs`] that the plan is of.
    inputs: u64,
    used: Used,
    last_use: LastUse,
    usage_at: Instant,
    heard: Instant,
    /// By the clock, for people; `None` = never.
    heard_at: Option<Timestamp>,
    failing: bool,
}

impl Reader {
    fn new(context: Context, sender: watch::Sender<Arc<Spend>>) -> Self {
        let now = Instant::now();
        Self {
            context,
            sender,
            plan: Plan::default(),
            inputs: 0,
            used: Used::default(),
            last_use: LastUse::default(),
            usage_at: now,
            heard: now,
            heard_at: None,
            failing: false,
        }
    }

    /// How long it took, without what a new connection takes: that comes once, and may wait for others that migrate.
    async fn read(&mut self, url: &str, kept: &mut Option<PostgresStore>) -> Result<Duration, StoreError> {
        let store = match kept {
            Some(store) => store,
            none => none.insert(PostgresStore::open(url).await?),
        };
        let begun = Instant::now();
        let world = Arc::clone(&self.context.world.borrow_and_update());
        if world.inputs == 0 {
            // The first picture is on its way.
            return Ok(Duration::ZERO);
        }
        if world.inputs != self.inputs {
            self.plan = Plan::new(&world, &self.context.settings.bundle);
            self.inputs = world.inputs;
        }
        let clock = store.clock().await?;
        let now = Timestamp::from_microsecond(clock).unwrap_or_else(|_| Timestamp::now());
        let asks = self.plan.asks(clock);
        let standings = Standings { single: store.standings(&asks.single).await?, many: store.pots(&asks.many).await? };
        let days = self.plan.days(now);
        if days != self.used.days || Instant::now() >= self.usage_at {
            let start = Instant::now();
            self.used = Used { keys: store.usage(&days).await?, days };
            self.last_use.note(&self.used, now);
            self.usage_at = Instant::now() + USAGE_EVERY.max(start.elapsed() * PAUSE_FACTOR);
        }
        let spend = assemble(&self.plan, &standings, &self.used, &self.last_use, now);
        tell(&self.sender, Arc::new(spend));
        Ok(begun.elapsed())
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
        let now = Timestamp::now();
        self.heard_at = Some(now);
        self.context.metrics.spend_read.set(now.as_second());
        if self.failing {
            tracing::info!("the database answers again");
        }
        self.failing = false;
    }

    fn failed(&mut self, error: &str) {
        if !self.failing {
            tracing::warn!(error, "the database cannot be read; further failures are only counted");
        }
        self.failing = true;
        self.context.metrics.spend_read_failures.inc();
        if self.heard.elapsed() >= CURRENT {
            let mut spend = Spend::clone(&self.sender.borrow());
            let since = self.heard_at.and_then(|time| Timestamp::from_second(time.as_second()).ok());
            spend.store = Store::Silent { since };
            tell(&self.sender, Arc::new(spend));
        }
    }
}
