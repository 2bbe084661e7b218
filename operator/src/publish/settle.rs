//! Waits until changes have come to rest, so that a row of them is published once.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// No change for so long means that it was the last one for now.
pub const QUIET: Duration = Duration::from_millis(10);
/// Longest wait, however many changes come.
pub const LONGEST: Duration = Duration::from_millis(50);

/// Waits for changes to stop, after one that came at `first`.
pub async fn settle<T>(changes: &mut watch::Receiver<T>, first: Instant) {
    let deadline = first + LONGEST;
    while Instant::now() < deadline {
        let quiet = deadline.min(Instant::now() + QUIET);
        match timeout_at(quiet, changes.changed()).await {
            Ok(Ok(())) => {}
            // Quiet, or nobody is left who could change anything.
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
