//! A request's attempts: what one hands on to the next.

use std::sync::Arc;

use turnpike_ledger::{
    engine::Hold,
    spend_log::{Attempt, Role, SpendSlot},
};

use super::{Held, Meter};
use crate::{
    app::Ended,
    config::snapshot::{Backend, Model},
    error::Error,
    pipeline::{admit::Permit, call::Reply, detach::Lost, reserve::Reserved},
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

    /// The backend that was chosen.
    pub fn chosen(&mut self, model: &Arc<Model>, upstream_model: &Arc<str>) {
        self.mock = matches!(model.backend, Backend::Mock { .. });
        self.update(|record| {
            record.model = Some(Arc::clone(model));
            record.upstream_model = Some(Arc::clone(upstream_model));
        });
    }

    /// The first of the answer is here.
    pub fn began_to_answer(&mut self, reply: &Reply) {
        if let Some(watched) = &mut self.watched {
            watched.began_to_answer(matches!(reply, Reply::Streamed { events: true, .. }));
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
        let lasted = self.open.as_ref().map(|open| self.lasted(&open.0)).unwrap_or_default();
        let Some(open) = &mut self.open else { return };
        let (record, held) = &mut **open;
        let before = record.clone();
        if is_fallback {
            record.fallbacks = record.fallbacks.saturating_add(1);
        } else if self.dispatched.is_some() {
            record.retries = record.retries.saturating_add(1);
        }
        (self.most, self.told) = (reserved.most, None);
        let ended = Ended {
            hold: std::mem::replace(&mut held.hold, reserved.hold),
            // What was not sent needs no row.
            slot: std::mem::replace(&mut held.slot, slot),
            recorded: held.recorded.take().map(|row| (Arc::clone(&held.wal), row)),
            refused: None,
            counted: false,
            kept: None,
            saver: None,
        };
        if self.dispatched.take().is_none() {
            return;
        }
        record.attempt.of = record.attempt.of.saturating_add(1);
        record.attempt.number = record.attempt.of;
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
            self.estimate(record, lasted, ended);
        }
    }

    /// The request goes to another group at once: nobody of the first one can be asked.
    pub fn fell(&mut self) {
        self.update(|record| record.fallbacks = record.fallbacks.saturating_add(1));
    }

    /// Follows a copy of the request.
    pub fn copy(&mut self, permit: Permit, slot: SpendSlot) -> Option<Self> {
        self.beside(permit, slot, Role::Mirror)
    }

    /// Follows an attempt beside this one, with its own places.
    fn beside(&mut self, permit: Permit, slot: SpendSlot, role: Role) -> Option<Self> {
        let (record, held) = &mut **self.open.as_mut()?;
        record.attempt.of = record.attempt.of.saturating_add(1);
        let mut record = record.clone();
        record.attempt = Attempt { number: record.attempt.of, of: record.attempt.of, role };
        record.cache = CacheUse::None;
        let held = Held::new(permit, slot, &held.wal);
        Some(Self::of(Arc::clone(&self.app), self.arrival.clone(), record, held))
    }

    /// Follows a second attempt beside this one, which takes its place in flight when it is made. Whichever is dropped after its
    /// [`Lost`] is set was the slower one.
    pub fn race(&mut self, permit: Permit, slot: SpendSlot) -> Option<(Self, [Lost; 2])> {
        let mut second = self.beside(permit, slot, Role::Hedged)?;
        let lost = [Lost::default(), Lost::default()];
        let [own, other] = lost.clone();
        (self.lost, second.lost) = (Some(own), Some(other));
        Some((second, lost))
    }

    /// Whether it lost a race.
    pub fn lost(&self) -> Option<Lost> {
        self.lost.clone()
    }

    /// It won a race, or was left of it: what counts the request is in `hold`, and there were so many attempts.
    pub fn won(&mut self, hold: Hold, attempts: u16) {
        self.lost = None;
        self.give_back(hold);
        self.update(|record| (record.attempt.of, record.attempt.role) = (attempts, Role::Answer));
    }

    /// Settles an attempt that failed while another beside it went on, and gives what counts the request.
    pub fn hedged(mut self, error: &Error) -> Hold {
        let hold = self.open.as_mut().map(|open| open.1.hold.split_request()).unwrap_or_default();
        self.update(|record| (record.status, record.attempt.role) = (error.status(), Role::Hedged));
        self.finish(error.end());
        hold
    }

    /// Which attempt it is.
    pub fn number(&self) -> u16 {
        self.open.as_ref().map_or(1, |open| open.0.attempt.number)
    }

    /// Takes a place in flight of its own.
    ///
    /// # Errors
    /// There is none.
    pub fn takes_place(&mut self) -> Result<(), Error> {
        let app = Arc::clone(&self.app);
        self.open.as_mut().map_or(Ok(()), |open| open.1.permit.grow(&app.in_flight, 1))
    }

    /// It was sent.
    pub fn is_dispatched(&self) -> bool {
        self.dispatched.is_some()
    }

    /// Leaves no trace of an attempt that was not made.
    pub fn forget(mut self) {
        self.open = None;
    }

    /// Further attempts so far: within a group, and in others.
    pub fn attempted(&self) -> (u16, u16) {
        self.open.as_ref().map_or((0, 0), |open| (open.0.retries, open.0.fallbacks))
    }
}
