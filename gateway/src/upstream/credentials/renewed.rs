//! A value that expires and is renewed early, by the one task that owns it. Readers take what is there.

use std::{future::Future, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::exchange::ExchangeError;

/// Renewed so long before its end, or a fifth of its life where that is shorter.
const EARLY: Duration = Duration::from_mins(5);
/// Longest time for one exchange.
const LIMIT: Duration = Duration::from_secs(20);
/// Before the first new attempt after a failure; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest time between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A value that is good for less is taken for expired: clocks differ, and requests take a while.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
/// Not used in the last moments of its life, or twentieth of a short one: it was issued before it came, and a request takes
/// a while to arrive.
const MARGIN: Duration = Duration::from_secs(10);

/// What an exchange brought.
#[derive(Clone, Debug)]
pub struct Fresh<T> {
    /// The value.
    pub value: T,
    /// How long it is good for; `None` = for ever.
    pub lifetime: Option<Duration>,
}

/// Why there is no newer value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When the first of the attempts failed that have failed since.
    pub since: Timestamp,
    /// Why, for whoever runs the gateway: neither secrets nor anything that differs from attempt to attempt.
    pub reason: Arc<str>,
}

struct Current<T> {
    value: Arc<T>,
    expires: Option<Instant>,
}

/// A value and how its renewal goes.
pub struct Renewed<T> {
    /// For the log.
    name: String,
    current: ArcSwapOption<Current<T>>,
    /// Marked after every attempt; holds why the last one failed.
    attempts: watch::Sender<Option<Failure>>,
    /// Marked when a failure comes or goes.
    changed: Arc<watch::Sender<()>>,
}

impl<T> Renewed<T> {
    /// Nothing yet. `name` is for the log; `changed` is marked when a failure comes or goes.
    pub(super) fn new(name: String, changed: Arc<watch::Sender<()>>) -> Self {
        Self { name, current: ArcSwapOption::empty(), attempts: watch::Sender::new(None), changed }
    }

    /// The value, at once where one is valid.
    ///
    /// # Errors
    /// None is valid, and the last attempt to get one failed.
    pub async fn get(&self) -> Result<Arc<T>, Failure> {
        if let Some(value) = self.valid() {
            return Ok(value);
        }
        let mut attempts = self.attempts.subscribe();
        loop {
            // Read first: an attempt that ends after this marks another change.
            let failure = attempts.borrow_and_update().clone();
            if let Some(value) = self.valid() {
                return Ok(value);
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
            // The sender is ours: this only ever returns with a change.
            let _ = attempts.changed().await;
        }
    }

    /// Why the last attempt failed, where it did.
    pub fn failure(&self) -> Option<Failure> {
        self.attempts.borrow().clone()
    }

    fn valid(&self) -> Option<Arc<T>> {
        let current = self.current.load();
        let current = current.as_ref()?;
        let is_valid = current.expires.is_none_or(|expires| Instant::now() < expires);
        is_valid.then(|| Arc::clone(&current.value))
    }

    /// Keeps the value fresh for as long as this runs: the one writer.
    pub(super) async fn keep<F>(self: Arc<Self>, exchange: impl Fn() -> F)
    where
        F: Future<Output = Result<Fresh<T>, ExchangeError>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let outcome = timeout(LIMIT, exchange()).await.unwrap_or(Err(ExchangeError::Late));
            match outcome.and_then(Fresh::unless_expired) {
                Ok(Fresh { value, lifetime }) => {
                    let used = lifetime.map(|lifetime| lifetime.saturating_sub(MARGIN.min(lifetime / 20)));
                    let expires = used.and_then(|used| Instant::now().checked_add(used));
                    self.current.store(Some(Arc::new(Current { value: Arc::new(value), expires })));
                    self.settle(None);
                    pause = FIRST_PAUSE;
                    match lifetime {
                        Some(lifetime) => sleep(lifetime.saturating_sub(EARLY.min(lifetime / 5))).await,
                        None => return,
                    }
                }
                Err(error) => {
                    self.settle(Some(error.to_string()));
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    /// Marks the end of an attempt; tells what is new.
    fn settle(&self, failed: Option<String>) {
        let before = self.failure();
        let now = failed.map(|reason| {
            let since = before.as_ref().map_or_else(Timestamp::now, |failure| failure.since);
            Failure { since, reason: reason.into() }
        });
        let is_news = now != before;
        match &now {
            Some(Failure { reason, .. }) if is_news => {
                let valid = self.valid().is_some();
                tracing::error!(credential = self.name, %reason, valid, "a cloud credential could not be renewed");
            }
            None if is_news => tracing::info!(credential = self.name, "the cloud credential is renewed again"),
            Some(_) | None => {}
        }
        self.attempts.send_replace(now);
        if is_news {
            self.changed.send_replace(());
        }
    }
}

impl<T> Fresh<T> {
    fn unless_expired(self) -> Result<Self, ExchangeError> {
        if self.lifetime.is_some_and(|lifetime| lifetime < SHORTEST_LIFE) {
            return Err(ExchangeError::Answer("what it issued has expired already; check the clocks"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    /// Exchanges by number: `Ok(seconds)` = a token good for so long, `Err` = refused.
    fn renewed(outcomes: &'static [Result<u64, ()>]) -> (Arc<Renewed<u32>>, Arc<AtomicU32>) {
        let value = Arc::new(Renewed::new("test".to_owned(), Arc::new(watch::Sender::new(()))));
        let made = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&made);
        let exchange = move || {
            let number = count.fetch_add(1, SeqCst) + 1;
            async move {
                // Takes a while, as exchanges do.
                sleep(Duration::from_millis(100)).await;
                match outcomes.get(number as usize - 1).copied().unwrap_or(Ok(3600)) {
                    Ok(seconds) => Ok(Fresh { value: number, lifetime: Some(Duration::from_secs(seconds)) }),
                    Err(()) => Err(ExchangeError::Answer("it is no answer")),
                }
            }
        };
        tokio::spawn(Arc::clone(&value).keep(exchange));
        (value, made)
    }

    async fn got(value: &Renewed<u32>) -> Option<u32> {
        value.get().await.ok().map(|number| *number)
    }

    #[tokio::test(start_paused = true)]
    async fn many_first_uses_wait_for_one_exchange() {
        let (value, made) = renewed(&[Ok(3600)]);
        let all = futures_util::future::join_all((0..100).map(|_| got(&value))).await;
        assert!(all.iter().all(|number| *number == Some(1)), "{all:?}");
        assert_eq!(made.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_renewed_early_and_nobody_waits_for_it() {
        let (value, made) = renewed(&[Ok(3600), Ok(100)]);
        assert_eq!(got(&value).await, Some(1));
        // 3600 s less 5 min: the next exchange is under way, and the old value serves.
        sleep(Duration::from_millis(3_300_050)).await;
        assert_eq!((made.load(SeqCst), value.valid().as_deref().copied()), (2, Some(1)));
        sleep(Duration::from_millis(100)).await;
        assert_eq!(value.valid().as_deref().copied(), Some(2));
        // 100 s less a fifth.
        sleep(Duration::from_secs(79)).await;
        assert_eq!(made.load(SeqCst), 2);
        sleep(Duration::from_secs(2)).await;
        assert_eq!((made.load(SeqCst), value.valid().as_deref().copied()), (3, Some(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_valid_serves_while_its_renewal_fails() {
        let (value, _) = renewed(&[Ok(10), Err(()), Err(()), Err(()), Err(())]);
        assert_eq!(got(&value).await, Some(1));
        sleep(Duration::from_millis(8_500)).await;
        assert_eq!(got(&value).await, Some(1), "still good for more than a second");
        let failure = value.failure().map(|failure| failure.reason.to_string());
        assert_eq!(failure.as_deref(), Some("the answer cannot be used: it is no answer"));
        sleep(Duration::from_secs(2)).await;
        assert!(value.get().await.is_err(), "expired: refused at once instead of waiting");
        // Attempts after 1, 2, 4 and 8 seconds.
        sleep(Duration::from_secs(16)).await;
        assert_eq!((got(&value).await, value.failure()), (Some(6), None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_expired_is_a_failure_and_not_a_busy_loop() {
        let (value, made) = renewed(&[Ok(0), Ok(0), Ok(3600)]);
        assert!(value.get().await.is_err());
        sleep(Duration::from_secs(10)).await;
        assert_eq!((made.load(SeqCst), got(&value).await), (3, Some(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_that_hangs_ends() {
        let value: Arc<Renewed<u32>> = Arc::new(Renewed::new("test".to_owned(), Arc::new(watch::Sender::new(()))));
        tokio::spawn(Arc::clone(&value).keep(std::future::pending));
        let failure = value.get().await.err().map(|failure| failure.reason.to_string());
        assert_eq!(failure.as_deref(), Some("it did not answer in time"));
    }
}
