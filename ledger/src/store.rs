//! What the ledger asks of a database, beside the spend log: leases and the standing of accounts. And the databases.
//!
//! ```text
//!  lock accounts ─▶ read leases and sums ─▶ plan (pure, the same for every database) ─▶ write ─▶ commit
//! ```

use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    account::AccountId,
    exchange::{Ask, LeaseId, Reply},
    spend_log::StoreError,
};

mod alike;
mod history;
mod memory;
mod plan;
mod postgres;
mod rates;
mod redis;
mod responses;
mod retention;
mod rollup;
mod sqlite;
mod text;

pub use alike::{Alike, AlikeError, AlikeStore, Likest, Wanted};
pub use memory::MemoryStore;
pub(crate) use plan::SILENCE;
pub use postgres::{AccountAt, KeyUse, PostgresStore, Pot, Pots, Used};
pub use rates::RateStore;
pub use redis::{Breaker, RedisStore, Turn};
pub use sqlite::SqliteStore;

/// How often a holder says that it lives. So it finds out soon that a store was away, and tells it what it holds: one that
/// changed its identity (a failover, a restore, a start) grants nothing before two of these have passed.
pub const BEAT: Duration = Duration::from_secs(5);

/// Answers to a batch of asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The store's clock when it answered, microseconds since the epoch.
    pub now: i64,
    /// One for each ask, in their order.
    pub replies: Vec<Reply>,
}

/// How an account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Booked in the window.
    pub spent: i64,
    /// Outstanding on leases: what gateways hold and may yet use.
    pub reserved: i64,
}

/// What a lost gateway may have used of an account, and may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unattributed {
    /// The lease that it held.
    pub lease: LeaseId,
    /// The account.
    pub account: AccountId,
    /// In the account's unit.
    pub amount: i64,
    /// When this last changed, microseconds since the epoch.
    pub changed: i64,
}

/// Longest exchange that its asker waits for. A store that is only busy answers before: given up sooner, each exchange would be
/// begun anew and none would end.
pub(crate) const LONGEST_EXCHANGE: Duration = Duration::from_millis(1500);

/// Leases of accounts. One owner; all methods retry nothing.
pub trait LeaseStore: Send + 'static {
    /// Answers all asks in one transaction, accounts locked in one order by everybody.
    ///
    /// # Errors
    /// Nothing was changed, or all of it was and the answer was lost; asking again is safe.
    fn exchange(&mut self, asks: &[Ask]) -> impl Future<Output = Result<Answers, StoreError>> + Send;

    /// Says that the holder lives, and how long its requests may take. Returns the store's time.
    ///
    /// # Errors
    /// The store does not answer.
    fn beat(&mut self, holder: Uuid, longest: Duration) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Says how many holders were heard of lately, where the store knows; also whether it answers at all. Changes nothing.
    ///
    /// # Errors
    /// The store does not answer.
    fn probe(&mut self) -> impl Future<Output = Result<Option<i64>, StoreError>> + Send {
        async { Ok(None) }
    }

    /// What the store does by itself, every half a second.
    fn upkeep(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Closes the leases of a holder whose write-ahead files were read to their end and whose rows were all written. From then
    /// on asks of it are answered as closed ones: its first ask for a lease may still be on its way.
    ///
    /// # Errors
    /// Nothing was changed.
    fn close(&mut self, holder: Uuid) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Closes the leases of holders that were not heard of for their longest request and 60 s more, booking what they may have
    /// used as unattributed, and forgets leases that are finished. Returns how many holders were given up.
    ///
    /// A lease is finished when its last word was heard and all is booked, for longer than a statement may take: an older ask
    /// that arrives after it was forgotten would make it anew. One with something unattributed stays, for rows yet to come.
    ///
    /// # Errors
    /// Nothing was changed.
    fn reap(&mut self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Tells other holders that somebody waits here for these accounts: they give back what they do not use.
    ///
    /// # Errors
    /// Nobody was told, or the answer was lost: what is idle then comes back at the next round of whoever holds it.
    fn recall(
        &mut self,
        _holder: Uuid,
        _accounts: &[AccountId],
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Accounts that other holders recall, for as long as the receiver lives; asked for once, in a runtime. Some may be lost.
    /// A store of one holder has none.
    fn recalls(&mut self, _holder: Uuid) -> mpsc::Receiver<AccountId> {
        mpsc::channel(1).1
    }

    /// How accounts stand, in the order of `accounts`; each with the first slot that counts and the slot of its leases.
    ///
    /// # Errors
    /// The store does not answer.
    fn balances(
        &mut self,
        accounts: &[(AccountId, i64, i64)],
    ) -> impl Future<Output = Result<Vec<Balance>, StoreError>> + Send;
}
