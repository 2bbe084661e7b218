//! Starts and stops the lease tasks.

use std::{
    io,
    sync::{Arc, atomic::AtomicI64, atomic::AtomicU64},
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::{Clock, Ledger, Shared, lane::Lane, micros, task::Task};
use crate::store::LeaseStore;

/// Where leases are taken.
pub struct Leases<M, R> {
    /// For budgets.
    pub money: M,
    /// For rates and parallel requests.
    pub rates: R,
    /// The run of this gateway, as in the ids of its spend rows.
    pub holder: Uuid,
    /// How long a request may take; [`Ledger::requests_may_take`] raises it.
    pub longest: Duration,
}

/// The lease tasks under way.
pub struct Running {
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl Ledger {
    /// Starts the lease tasks on a thread of their own.
    ///
    /// # Errors
    /// The system gives no thread or no runtime.
    pub fn start<M: LeaseStore, R: LeaseStore>(leases: Leases<M, R>) -> io::Result<(Self, Running)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (ledger, running, tasks) = Self::open(leases);
        thread::Builder::new().name("leases".to_owned()).spawn(move || runtime.block_on(tasks))?;
        Ok((ledger, running))
    }

    /// The same without the thread: nothing is leased but while the future is polled, on a runtime with time.
    pub fn open<M: LeaseStore, R: LeaseStore>(
        leases: Leases<M, R>,
    ) -> (Self, Running, impl Future<Output = ()> + Send + use<M, R>) {
        let Leases { money, rates, holder, longest } = leases;
        let shared = Arc::new(Shared {
            clock: Clock::new(),
            holder,
            next: AtomicU64::new(1),
            money: Lane::new(),
            rates: Lane::new(),
            overdrawn: AtomicI64::new(0),
            exchanges: AtomicU64::new(0),
            longest: AtomicU64::new(micros(longest)),
        });
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let mut money = Task::new(Arc::clone(&shared), |shared| &shared.money, money);
        let rates = Task::new(Arc::clone(&shared), |shared| &shared.rates, rates);
        let tasks = async move {
            // Permits of rates come back by themselves.
            let (recalls, none) = (money.recalls(), mpsc::channel(1).1);
            tokio::join!(money.run(stopped.clone(), recalls), rates.run(stopped, none));
            // Nobody may be waiting any more.
            let _ = end.send(());
        };
        (Self { shared }, Running { stop, ended }, tasks)
    }
}

impl Running {
    /// Gives back all that is not used. Call it when requests have ended.
    pub async fn stop(self, limit: Duration) {
        self.stop.send_replace(true);
        // A store that is down must not keep the process.
        let _ = tokio::time::timeout(limit, self.ended).await;
    }
}
