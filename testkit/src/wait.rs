//! Waiting for conditions instead of guessing how long something takes.

use std::{future::Future, time::Duration};

/// Longest wait of any test for anything: far above what is expected, so that only a hang reaches it.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The future's result; fails the test with `what` when it takes longer than [`LIMIT`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = tokio::time::timeout(LIMIT, future).await else {
        panic!("no end after {LIMIT:?}: {what}");
    };
    output
}

/// Asks `probe` again and again until it answers `Some`; for state that can only be polled (a metric, a row, a file).
pub async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let poll = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tick.tick().await;
            if let Some(found) = probe().await {
                return found;
            }
        }
    };
    within(what, poll).await
}
