//! The accounts that one store keeps, and the queue of those that its lease task should look at.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use tokio::sync::Notify;

use super::{Now, pot::Pot};
use crate::account::{AccountId, AccountSpec, Owner};

pub(super) struct Lane {
    pots: papaya::HashMap<AccountId, Arc<Pot>>,
    /// Pots to look at before the next tick. Locked only when a pot enters or the task takes all.
    queue: Mutex<Vec<Arc<Pot>>>,
    pub(super) wake: Notify,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self { pots: papaya::HashMap::new(), queue: Mutex::default(), wake: Notify::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.pots.len()
    }

    /// Requests that wait, by the owner of the account; only of those for which any does.
    pub(super) fn queued(&self) -> Vec<(Owner, usize)> {
        let mut queued: HashMap<Owner, usize> = HashMap::new();
        for pot in self.pots.pin().values() {
            let waiting = pot.waiting.load(Ordering::Relaxed);
            if waiting > 0 {
                *queued.entry(pot.spec.load().owner.clone()).or_default() += waiting;
            }
        }
        queued.into_iter().collect()
    }

    /// The account, if it is in memory.
    pub(super) fn peek(&self, id: &AccountId) -> Option<Arc<Pot>> {
        self.pots.pin().get(id).map(Arc::clone)
    }

    /// The account in memory, made where it is not there; `number` numbers its lease.
    pub(super) fn pot(&self, spec: &Arc<AccountSpec>, now: Now, number: impl FnOnce() -> u64) -> Arc<Pot> {
        let pots = self.pots.pin();
        if let Some(pot) = pots.get(&spec.id) {
            if !Arc::ptr_eq(&pot.spec.load(), spec) {
                // A reload: requests of the old snapshot end soon.
                pot.spec.store(Arc::clone(spec));
            }
            return Arc::clone(pot);
        }
        let made = Arc::new(Pot::new(Arc::clone(spec), number(), now));
        let pot = Arc::clone(pots.get_or_insert(spec.id.clone(), Arc::clone(&made)));
        if Arc::ptr_eq(&pot, &made) {
            self.urge(&pot);
        }
        pot
    }

    /// Has the lease task look at it now.
    pub(super) fn urge(&self, pot: &Arc<Pot>) {
        if !pot.queued.swap(true, Ordering::AcqRel) {
            self.lock().push(Arc::clone(pot));
            self.wake.notify_one();
        }
    }

    /// All that was urged since the last call.
    pub(super) fn urged(&self) -> Vec<Arc<Pot>> {
        let mut pots = std::mem::take(&mut *self.lock());
        // Who has hold of a dropped one looks it up again.
        pots.retain(|pot| !pot.gone.load(Ordering::Acquire));
        for pot in &pots {
            // Before its balance is looked at, so that a change after that urges again.
            pot.queued.store(false, Ordering::Release);
        }
        pots
    }

    /// Drops an account that nobody uses any more.
    pub(super) fn forget(&self, pot: &Pot) {
        pot.gone.store(true, Ordering::Release);
        self.pots.pin().remove(&pot.spec.load().id);
        pot.changed.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Pot>>> {
        // A vector is whole between any two pushes.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
