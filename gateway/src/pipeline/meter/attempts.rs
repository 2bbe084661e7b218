//! A request's attempts: what one hands on to the next.

use std::sync::Arc;

use turnpike_ledger::{
    engine::Hold,
    spend_log::{Role, SpendSlot},
};

use super::Meter;
use crate::{
    app::Ended,
    error::Error,
    pipeline::reserve::Reserved,
    record::{CacheUse, End},
};

impl Meter {
    /// What it may use is held.
    pub fn hold(&mut self, reserved: Reserved) {
        self.capped(reserved.cap);
        if let Some(open) = &mut self.open {
            open.1.hold = reserved.hold;
            self.most = reserved.most;
        }
    }

    /// The attempt has failed, which is the end of the request only if no other follows.
    pub fn failed(&mut self, error: &Error) {
        if self.open.as_ref().is_some_and(|open| open.0.upstream.is_none()) {
            self.answered();
        }
        self.failed = Some((error.status(), error.end(), self.arrival.at.elapsed()));
        self.unwatch(error.end());
    }

    /// Routing is told how the attempt ended.
    fn unwatch(&mut self, end: End) {
        let usage = self.open.as_ref().and_then(|open| open.0.usage);
        if let Some(watched) = self.watched.take() {
            watched.ended(end, usage.as_ref());
        }
    }

    /// Whether the attempt that failed was never sent or was refused, so that what it holds is free for the next one.
    fn is_free(&self) -> bool {
        !self.owed && self.open.as_ref().is_none_or(|open| open.0.usage.is_none())
    }

    /// What the next attempt may begin with: all that the failed one holds, if that costs nothing; else what counts the request.
    pub fn take_hold(&mut self) -> Hold {
        let is_free = self.is_free();
        match &mut self.open {
            None => Hold::default(),
            Some(open) if is_free => std::mem::take(&mut open.1.hold),
            Some(open) => open.1.hold.split_request(),
        }
    }

    /// There is no next attempt: what was taken for it goes back to where it was.
    pub fn give_back(&mut self, hold: Hold) {
        if let Some(open) = &mut self.open {
            open.1.hold.join(hold);
        }
    }

    /// Settles the attempt that failed; what follows is another one, with a place and a hold of its own.
    pub fn retry(&mut self, slot: SpendSlot, reserved: Reserved, is_fallback: bool) {
        self.capped(reserved.cap);
        let Some(open) = &mut self.open else { return };
        let (record, held) = &mut **open;
        let before = record.clone();
        if is_fallback {
            record.fallbacks = record.fallbacks.saturating_add(1);
        } else if self.dispatched.is_some() {
            record.retries = record.retries.saturating_add(1);
        }
        self.most = reserved.most;
        let ended = Ended {
            hold: std::mem::replace(&mut held.hold, reserved.hold),
            // What was not sent needs no row.
            slot: std::mem::replace(&mut held.slot, slot),
            recorded: held.recorded.take().map(|row| (Arc::clone(&held.wal), row)),
            refused: None,
            counted: false,
            kept: None,
        };
        if self.dispatched.take().is_none() {
            return;
        }
        record.attempt.number = record.attempt.number.saturating_add(1);
        record.attempt.of = record.attempt.number;
        (record.usage, record.cost, record.upstream) = (None, None, None);
        let mut record = before;
        (record.attempt.role, record.cache) = (Role::Retried, CacheUse::None);
        if let Some((status, end, total)) = self.failed.take() {
            (record.status, record.end, record.total) = (status, end, total);
        }
        let is_owed = std::mem::take(&mut self.owed);
        self.counted |= is_owed || record.usage.is_some();
        if record.usage.is_some() || !is_owed {
            self.app.settle(&record, ended);
        } else {
            self.estimate(record, ended);
        }
    }

    /// The request goes to another group at once: nobody of the first one can be asked.
    pub fn fell(&mut self) {
        self.update(|record| record.fallbacks = record.fallbacks.saturating_add(1));
    }

    /// Further attempts so far: within a group, and in others.
    pub fn attempted(&self) -> (u16, u16) {
        self.open.as_ref().map_or((0, 0), |open| (open.0.retries, open.0.fallbacks))
    }
}
