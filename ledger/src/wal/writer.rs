//! What a runtime records of its attempts.

use std::sync::{Arc, Mutex};

use super::{
    WalError,
    record::Kind,
    segments::{self, Log},
    sync::Waiting,
};
use crate::spend_log::SpendRow;

/// Records attempts. One for each runtime.
pub struct WalWriter {
    pub(super) log: Arc<Mutex<Log>>,
    pub(super) syncing: Option<Waiting>,
}

/// A record's place among those of its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written(u64);

impl WalWriter {
    /// Before an attempt goes upstream: `row` is what is booked if nothing more is heard of it, with the cost and the postings
    /// at the bound; its outcome is then `crashed`, and it counts as estimated. `started_at_us` must be the one that
    /// [`Self::close`] has, as stores know a repeated row by its day, too.
    ///
    /// # Errors
    /// Nothing is recorded.
    pub fn open(&self, row: &SpendRow) -> Result<Written, WalError> {
        self.append(Kind::Open, row)
    }

    /// Before the client is told the end: the row that goes to the spend log.
    ///
    /// # Errors
    /// Nothing is recorded, and what [`Self::open`] recorded stays.
    pub fn close(&self, row: &SpendRow) -> Result<Written, WalError> {
        self.append(Kind::Close, row)
    }

    /// Waits until the record survives what it shall survive. Under [`super::Sync::Never`] it does at once.
    ///
    /// # Errors
    /// It may be lost with the power.
    pub async fn synced(&self, record: Written) -> Result<(), WalError> {
        match &self.syncing {
            None => Ok(()),
            Some(syncing) => syncing.reached(record.0).await,
        }
    }

    fn append(&self, kind: Kind, row: &SpendRow) -> Result<Written, WalError> {
        let record = segments::locked(&self.log).append(kind, row)?;
        if let Some(syncing) = &self.syncing {
            syncing.wake();
        }
        Ok(Written(record))
    }
}
