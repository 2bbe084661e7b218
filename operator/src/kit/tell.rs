//! Telling others what has changed.

use tokio::sync::watch;

/// Sends a value, and wakes nobody for what they know. Whether it was news.
pub fn tell<T: PartialEq>(sender: &watch::Sender<T>, value: T) -> bool {
    sender.send_if_modified(|sent| {
        let is_other = *sent != value;
        *sent = value;
        is_other
    })
}
