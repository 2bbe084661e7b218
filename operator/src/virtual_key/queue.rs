//! What is to be looked at, and when: each object at most once at a time, by urgency, with its failures counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;
use turnpike_bundle::entry::ObjectRef;

use crate::kit::backoff::{Backoff, Failure};

/// Objects per second of the backlog: 10,000 take less than three minutes, and leave room for what is urgent.
const BACKLOG_RATE: u32 = 60;
/// What changed while it was worked on is looked at after this: mostly it was the work itself, whose other traces are
/// about to be seen too.
const SETTLE: Duration = Duration::from_millis(50);
/// So many of the backlog may go at once after a quiet time.
const BACKLOG_BURST: u32 = 20;

/// The queue. Times are given by the caller.
#[derive(Debug, Default)]
pub struct Queue {
    /// When each is due, and the same by time.
    due: BTreeMap<ObjectRef, Instant>,
    by_time: BTreeSet<(Instant, ObjectRef)>,
    /// What nobody waits for.
    backlog: BTreeSet<ObjectRef>,
    /// When the backlog's allowance is full again.
    full_at: Option<Instant>,
    /// Being worked on; true = changed meanwhile.
    running: BTreeMap<ObjectRef, bool>,
    failures: BTreeMap<ObjectRef, Backoff>,
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; look again then, `None` = on the next change.
    Done(Option<Instant>),
    /// Try again.
    Failed(Failure),
}

impl Queue {
    /// To be looked at now: it has changed. An object that failed waits no longer.
    pub fn now(&mut self, object: ObjectRef, now: Instant) {
        match self.running.get_mut(&object) {
            Some(changed) => *changed = true,
            None => self.at(object, now),
        }
    }

    /// To be looked at then, or earlier if that was said already.
    pub fn at(&mut self, object: ObjectRef, when: Instant) {
        self.backlog.remove(&object);
        let earlier = self.due.get(&object).is_some_and(|due| *due <= when);
        if !earlier {
            self.forget_time(&object);
            self.by_time.insert((when, object.clone()));
            self.due.insert(object, when);
        }
    }

    /// To be looked at when there is time.
    pub fn some_time(&mut self, object: ObjectRef) {
        if !self.due.contains_key(&object) && !self.running.contains_key(&object) {
            self.backlog.insert(object);
        }
    }

    /// Nothing is to be done about it any more.
    pub fn forget(&mut self, object: &ObjectRef) {
        self.forget_time(object);
        self.backlog.remove(object);
        self.failures.remove(object);
    }

    /// Whether it is being worked on.
    pub fn is_running(&self, object: &ObjectRef) -> bool {
        self.running.contains_key(object)
    }

    /// Whether it has failed since it last succeeded.
    pub fn has_failed(&self, object: &ObjectRef) -> bool {
        self.failures.contains_key(object)
    }

    /// The next one to work on, if one is due. It counts as being worked on until [`Queue::done`].
    pub fn take(&mut self, now: Instant) -> Option<ObjectRef> {
        let object = match self.by_time.first() {
            Some((due, _)) if *due <= now => {
                let (_, object) = self.by_time.pop_first()?;
                self.due.remove(&object);
                object
            }
            _ if self.allowance(now) => {
                let object = self.backlog.pop_first()?;
                self.full_at = Some(self.full_at.map_or(now, |full| full.max(now)) + interval());
                object
            }
            _ => return None,
        };
        self.running.insert(object.clone(), false);
        Some(object)
    }

    /// Ends the work on an object. `jitter` is drawn from 0..1.
    pub fn done(&mut self, object: ObjectRef, outcome: Outcome, now: Instant, jitter: f64) {
        let changed = self.running.remove(&object).unwrap_or(false);
        let again = match outcome {
            Outcome::Done(again) => {
                self.failures.remove(&object);
                again
            }
            Outcome::Failed(failure) => {
                let backoff = self.failures.entry(object.clone()).or_default();
                Some(now + backoff.fail(failure, jitter))
            }
        };
        if let Some(when) = if changed { Some(now + SETTLE) } else { again } {
            self.at(object, when);
        }
    }

    /// When [`Queue::take`] may have something; in the past if it has now.
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let due = self.by_time.first().map(|(due, _)| *due);
        let backlog = (!self.backlog.is_empty()).then(|| self.full_at.map_or(now, allowed));
        due.into_iter().chain(backlog).min()
    }

    fn allowance(&self, now: Instant) -> bool {
        !self.backlog.is_empty() && self.full_at.is_none_or(|full| allowed(full) <= now)
    }

    fn forget_time(&mut self, object: &ObjectRef) {
        if let Some(due) = self.due.remove(object) {
            self.by_time.remove(&(due, object.clone()));
        }
    }
}

fn interval() -> Duration {
    Duration::from_secs(1) / BACKLOG_RATE
}

/// From when on one more may go if the allowance is full again at `full`.
fn allowed(full: Instant) -> Instant {
    full.checked_sub(interval() * (BACKLOG_BURST - 1)).unwrap_or(full)
}
