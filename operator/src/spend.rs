//! What was spent, as the gateways' database tells it: read every few seconds by the leader, for statuses and events.
//!
//! ```text
//!  World ─ plan: which accounts, which days ─▶ PostgreSQL: three statements, whatever the number of objects
//!                                                   │
//!                    Spend ◀── assemble (pure) ◀────┘          no answer for 30 s: the figures stay, marked as old
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use turnpike_bundle::entry::{BudgetEntry, ObjectRef};
use turnpike_crds::budget::Window;
use turnpike_ledger::{
    account::{AccountSpec, Tally},
    store::Pots,
    window::Slot,
};

pub mod assemble;
pub mod plan;
mod poll;

pub use poll::run;

/// All that is known of what was spent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spend {
    /// Whether it is current.
    pub store: Store,
    /// Budgets whose accounts were read.
    pub budgets: BTreeMap<ObjectRef, BudgetSpend>,
    /// Keys that were used in the current month or since this process began, by `keyId`.
    pub keys: BTreeMap<String, KeySpend>,
    /// Keys whose own budget is used up.
    pub full_keys: BTreeSet<ObjectRef>,
    /// Budgets that refuse requests.
    pub full: Vec<Full>,
}

/// How current it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// No database is configured.
    #[default]
    Absent,
    /// Nothing was read yet, and there is no reason to worry.
    Waiting,
    /// Read some seconds ago at most.
    Fresh,
    /// The database does not answer.
    Silent {
        /// When it last did; `None` = not since this process began.
        since: Option<Timestamp>,
    },
}

/// What was spent of one Budget.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetSpend {
    /// `metadata.generation` whose limits were read.
    pub generation: Option<i64>,
    /// What gateways count by.
    pub entry: Arc<BudgetEntry>,
    /// Each amount of each limit, but for rates: those are over before anybody could read of them.
    pub amounts: Vec<Amount>,
    /// What is counted beside them, by window; not of Rolling ones.
    pub tallies: BTreeMap<(Window, Tally), i64>,
    /// What the covered keys used, by window, where days can tell.
    pub usage: BTreeMap<Window, Usage>,
}

/// One amount of a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount {
    /// What it counts, over which time, and how much is allowed.
    pub account: Arc<AccountSpec>,
    /// Its time now: of a calendar window its bounds.
    pub slot: Slot,
    /// What was used.
    pub pots: Pots,
}

/// What keys used, counted by UTC days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of prompts, cached ones included.
    pub prompt_tokens: i64,
    /// Tokens of answers.
    pub completion_tokens: i64,
    /// Tokens of prompts that providers had cached.
    pub cached_tokens: i64,
    /// Known cost, nano-USD.
    pub cost_nano: i64,
    /// The keys with the highest costs, nano-USD, the highest first.
    pub top: Vec<(ObjectRef, i64)>,
}

/// What one key used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeySpend {
    /// Nano-USD in the current month, UTC.
    pub month_nano: i64,
    /// The last hour in which it is known to have been used.
    pub last_used: Option<Timestamp>,
}

/// A Budget that refuses requests, whatever they ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// The Budget.
    pub budget: ObjectRef,
    /// The subjects whose pots are full; `None` = all keys that it covers.
    pub subjects: Option<BTreeSet<String>>,
}
