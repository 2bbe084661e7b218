//! Room for a request: in flight, bytes of buffered bodies, and spend rows not yet written. Full = 503, never a queue.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::error::Error;

/// A counted resource shared by all runtimes.
#[derive(Clone, Debug)]
pub struct Budget {
    used: Arc<AtomicUsize>,
    most: usize,
    what: &'static str,
}

/// A share of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Permit {
    used: Arc<AtomicUsize>,
    amount: usize,
}

impl Budget {
    /// At most `most` at a time; `what` names it to refused callers.
    pub fn new(most: usize, what: &'static str) -> Self {
        Self { used: Arc::default(), most, what }
    }

    /// Takes `amount`.
    ///
    /// # Errors
    /// [`Error::Busy`] where that is more than what is left.
    pub fn take(&self, amount: usize) -> Result<Permit, Error> {
        let before = self.used.fetch_add(amount, Ordering::Relaxed);
        let permit = Permit { used: Arc::clone(&self.used), amount };
        if before.saturating_add(amount) > self.most { Err(Error::Busy(self.what)) } else { Ok(permit) }
    }

    /// How much is taken.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// Takes more under the same permit.
    ///
    /// # Errors
    /// [`Error::Busy`] where that is more than what is left; the permit keeps what it had.
    pub fn grow(&mut self, budget: &Budget, amount: usize) -> Result<(), Error> {
        let mut more = budget.take(amount)?;
        self.amount = self.amount.saturating_add(std::mem::take(&mut more.amount));
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.used.fetch_sub(self.amount, Ordering::Relaxed);
        }
    }
}
