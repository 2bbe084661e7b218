//! Answers of `/v1/responses` that are kept, so that later requests may go on from them.

use std::sync::Arc;

use crate::spend_log::StoreError;

/// One answer, and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// Whose it is: nobody else finds it.
    pub key_id: Arc<str>,
    /// The answer's own id.
    pub id: String,
    /// The answer that it goes on from.
    pub previous_id: Option<String>,
    /// What its request added to the conversation, a JSON array.
    pub input: String,
    /// The answer, a JSON object.
    pub response: String,
    /// Bytes of the whole conversation up to here.
    pub bytes: i64,
    /// Seconds since the epoch.
    pub created_at: i64,
}

/// Where they are kept. One owner; all methods retry nothing.
pub trait ResponseStore: Send + 'static {
    /// Keeps one; an older one of the same key and id is replaced.
    ///
    /// # Errors
    /// It may not be kept; trying again is safe.
    fn put(&mut self, response: &StoredResponse) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Finds one.
    ///
    /// # Errors
    /// The store does not answer.
    fn get(
        &mut self,
        key_id: &str,
        id: &str,
    ) -> impl Future<Output = Result<Option<StoredResponse>, StoreError>> + Send;

    /// One and all that it goes on from, the first turn of the conversation first. Empty if any of them is not there.
    ///
    /// # Errors
    /// The store does not answer.
    fn conversation(
        &mut self,
        key_id: &str,
        id: &str,
    ) -> impl Future<Output = Result<Vec<StoredResponse>, StoreError>> + Send;

    /// Forgets one, and says whether it was there.
    ///
    /// # Errors
    /// Nothing was changed, or the answer was lost.
    fn delete(&mut self, key_id: &str, id: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Forgets those that were made before this time, and says how many there were.
    ///
    /// # Errors
    /// Some may be gone.
    fn forget(&mut self, before: i64) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
