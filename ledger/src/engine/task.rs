//! The one owner of a store's leases: asks for more before it is needed, gives back what is idle.

use std::{
    collections::HashMap,
    iter, mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Now, Shared, lane::Lane, side::Side};
use crate::{
    account::AccountId,
    store::{LONGEST_EXCHANGE, LeaseStore},
};

/// How often accounts that somebody waits for are asked about again.
const TICK: Duration = Duration::from_millis(100);
/// Every so many ticks all accounts that changed are asked about, and what is idle goes back.
const ROUND: u32 = 5;
/// Every so many ticks the store is told that this gateway lives.
const BEAT: u32 = 50;
/// Every so many ticks holders that went silent are looked for.
const REAP: u32 = 300;
/// A store that did not answer all this time, several beats long, may not have heard of others either: nobody is given up.
const HEARING: Duration = Duration::from_secs(20);
/// Most accounts of one exchange.
const BATCH: usize = 256;

pub(super) struct Task<S> {
    shared: Arc<Shared>,
    lane: fn(&Shared) -> &Lane,
    store: S,
    sides: HashMap<AccountId, Side>,
    is_down: bool,
    /// The store is back, and may be one that was restored: it is to be told of all that is leased.
    is_back: bool,
    /// Since when the store has answered; `None` = it did not when it was last asked.
    up_since: Option<Instant>,
}

impl<S: LeaseStore> Task<S> {
    pub(super) fn new(shared: Arc<Shared>, lane: fn(&Shared) -> &Lane, store: S) -> Self {
        Self { shared, lane, store, sides: HashMap::new(), is_down: false, is_back: false, up_since: None }
    }

    /// What others recall; called in a runtime.
    pub(super) fn recalls(&mut self) -> mpsc::Receiver<AccountId> {
        self.store.recalls(self.shared.holder)
    }

    /// Runs until told to stop, then gives everything back.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>, mut recalls: mpsc::Receiver<AccountId>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick: u32 = 0;
        let shared = Arc::clone(&self.shared);
        let lane = (self.lane)(&shared);
        loop {
            tokio::select! {
                _ = stop.changed() => break,
                Some(id) = recalls.recv() => self.recalled(id, &mut recalls).await,
                () = lane.wake.notified() => self.urged().await,
                _ = ticks.tick() => {
                    self.tick(tick).await;
                    tick = tick.wrapping_add(1);
                }
            }
        }
        self.urged().await;
        let asks: Vec<_> = self.sides.values_mut().flat_map(|side| side.last_asks(self.shared.holder)).collect();
        for asks in asks.chunks(BATCH) {
            // A store that does not answer now finds out by our silence.
            let _ = timeout(LONGEST_EXCHANGE, self.store.exchange(asks)).await;
        }
    }

    async fn urged(&mut self) {
        let lane = self.lane;
        let mut ids = Vec::new();
        for pot in lane(&self.shared).urged() {
            let id = pot.spec.load().id.clone();
            let side = self.sides.entry(id.clone()).or_insert_with(|| Side::new(Arc::clone(&pot)));
            if !Arc::ptr_eq(&side.pot, &pot) && !pot.gone.load(Ordering::Acquire) {
                *side = Side::new(pot);
            }
            ids.push(id);
        }
        self.exchange(ids).await;
    }

    /// Others wait for what may be idle here.
    async fn recalled(&mut self, first: AccountId, recalls: &mut mpsc::Receiver<AccountId>) {
        let all = iter::once(first).chain(iter::from_fn(|| recalls.try_recv().ok()));
        let sides = &mut self.sides;
        let ids = all.filter(|id| sides.get_mut(id).is_some_and(Side::is_recalled)).collect();
        self.exchange(ids).await;
    }

    async fn tick(&mut self, tick: u32) {
        let now = self.shared.clock.now();
        if tick.is_multiple_of(BEAT) {
            self.beat().await;
        }
        if tick.is_multiple_of(REAP) {
            self.reap().await;
        }
        let all = tick.is_multiple_of(ROUND);
        if all {
            self.store.upkeep().await;
        }
        let is_back = mem::take(&mut self.is_back);
        let is_due = |side: &Side| side.is_urgent(now) || (all && side.is_due(now)) || (is_back && side.has_any());
        let due = self.sides.iter().filter(|(_, side)| is_due(side));
        let ids: Vec<AccountId> = due.map(|(id, _)| id.clone()).collect();
        if all && self.is_down && ids.is_empty() {
            // When it is back, there is little time to tell it what it may have lost.
            self.beat().await;
        }
        self.exchange(ids).await;
        if all {
            self.forget(now).await;
        }
    }

    async fn exchange(&mut self, mut ids: Vec<AccountId>) {
        ids.sort_unstable();
        ids.dedup();
        for ids in ids.chunks(BATCH) {
            let now = self.shared.clock.now();
            let (mut asks, mut counts) = (Vec::new(), Vec::with_capacity(ids.len()));
            for id in ids {
                let Some(side) = self.sides.get_mut(id) else { continue };
                let some = side.asks(self.shared.holder, now, || self.shared.next.fetch_add(1, Ordering::Relaxed));
                counts.push((id, some.len()));
                asks.extend(some);
            }
            let asked = Instant::now();
            self.shared.exchanges.fetch_add(1, Ordering::Relaxed);
            let answers = timeout(LONGEST_EXCHANGE, self.store.exchange(&asks)).await;
            let answers = match answers {
                Ok(Ok(answers)) => {
                    self.shared.clock.learn(answers.now, asked);
                    self.heard(None);
                    Some(answers)
                }
                Ok(Err(error)) => {
                    self.heard(Some(&error.to_string()));
                    None
                }
                Err(_) => {
                    self.heard(Some("it does not answer in time"));
                    None
                }
            };
            let mut replies = answers.as_ref().map(|answers| answers.replies.as_slice());
            for (id, count) in counts {
                let (some, rest) = match replies.and_then(|replies| replies.split_at_checked(count)) {
                    Some((some, rest)) => (Some(some), Some(rest)),
                    None => (None, None),
                };
                replies = rest;
                if let Some(side) = self.sides.get_mut(id) {
                    let time = answers.as_ref().map_or(now.time, |answers| answers.now);
                    side.answered(some, time, now, self.shared.clock.now());
                }
            }
            self.recall(ids).await;
        }
    }

    /// Has others give back what they do not use, where somebody waits here in vain.
    async fn recall(&mut self, ids: &[AccountId]) {
        let now = self.shared.clock.now();
        let sides = &mut self.sides;
        let wanted = ids.iter().filter(|id| sides.get_mut(id).is_some_and(|side| side.recalls(now)));
        let wanted: Vec<AccountId> = wanted.cloned().collect();
        if !wanted.is_empty() {
            self.shared.exchanges.fetch_add(1, Ordering::Relaxed);
            // Without it they do so at their next round.
            let _ = timeout(LONGEST_EXCHANGE, self.store.recall(self.shared.holder, &wanted)).await;
        }
    }

    /// One line when the store goes, one when it is back.
    fn heard(&mut self, failure: Option<&str>) {
        self.up_since = if failure.is_some() { None } else { self.up_since.or_else(|| Some(Instant::now())) };
        match (failure, self.is_down) {
            (Some(error), false) => {
                tracing::warn!(error, "the ledger's store does not answer; leases already held go on");
                self.is_down = true;
            }
            (None, true) => {
                tracing::info!("the ledger's store answers again");
                self.is_down = false;
                self.is_back = true;
            }
            _ => {}
        }
    }

    async fn beat(&mut self) {
        let asked = Instant::now();
        let longest = Duration::from_micros(self.shared.longest.load(Ordering::Relaxed));
        match timeout(LONGEST_EXCHANGE, self.store.beat(self.shared.holder, longest)).await {
            Ok(Ok(now)) => {
                self.shared.clock.learn(now, asked);
                self.heard(None);
            }
            Ok(Err(error)) => self.heard(Some(&error.to_string())),
            Err(_) => self.heard(Some("it does not answer in time")),
        }
    }

    async fn reap(&mut self) {
        if self.up_since.is_none_or(|since| since.elapsed() < HEARING) {
            return;
        }
        if let Ok(Ok(holders)) = timeout(LONGEST_EXCHANGE, self.store.reap()).await
            && holders > 0
        {
            tracing::warn!(holders, "gateways went silent; what they may have spent is booked as unattributed");
        }
    }

    /// Accounts that nobody uses leave memory.
    async fn forget(&mut self, now: Now) {
        let idle: Vec<AccountId> =
            self.sides.iter().filter(|(_, side)| side.is_idle(now)).map(|(id, _)| id.clone()).take(BATCH).collect();
        let mut asks = Vec::new();
        for id in &idle {
            if let Some(mut side) = self.sides.remove(id) {
                (self.lane)(&self.shared).forget(&side.pot);
                asks.extend(side.last_asks(self.shared.holder));
            }
        }
        if !asks.is_empty() {
            // Where this is lost the lease ends with this gateway: it has nothing outstanding.
            let _ = timeout(LONGEST_EXCHANGE, self.store.exchange(&asks)).await;
        }
    }
}
