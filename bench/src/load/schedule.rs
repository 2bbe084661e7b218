//! When requests of an open loop are due. The runtime's timer has millisecond steps, far too coarse for thousands of
//! requests a second, so a thread keeps the time.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::sync::Semaphore;

pub(crate) struct Schedule {
    times: Times,
    taken: std::cell::Cell<u32>,
    /// One permit for each request that is due and not taken, and at the end one for each connection, to end it.
    due: Arc<Semaphore>,
}

/// A request that is due.
pub(crate) struct Due {
    pub(crate) at: Instant,
    /// A connection was free before it was due.
    pub(crate) had_to_wait: bool,
}

#[derive(Clone, Copy)]
struct Times {
    origin: Instant,
    rate: f64,
    requests: u32,
}

impl Times {
    fn of(self, index: u32) -> Instant {
        self.origin + Duration::from_secs_f64(f64::from(index) / self.rate)
    }
}

impl Schedule {
    /// `rate` requests a second for `length` from `origin`.
    pub(crate) fn start(origin: Instant, rate: f64, length: Duration, connections: u32) -> anyhow::Result<Self> {
        let mut requests = 0;
        let times = Times { origin, rate, requests: u32::MAX };
        while times.of(requests) < origin + length {
            requests += 1;
        }
        let times = Times { requests, ..times };
        let due = Arc::new(Semaphore::new(0));
        let permits = due.clone();
        let keep = move || keep_time(times, &permits, usize::try_from(connections).unwrap_or(usize::MAX));
        thread::Builder::new().name("schedule".to_owned()).spawn(keep).context("schedule")?;
        Ok(Self { times, taken: std::cell::Cell::new(0), due })
    }

    /// Waits for the next request that nobody took; `None` = there are no more. A backlog is handed out at once.
    pub(crate) async fn next(&self) -> anyhow::Result<Option<Due>> {
        let had_to_wait = self.due.available_permits() == 0;
        self.due.acquire().await?.forget();
        let index = self.taken.get();
        if index == self.times.requests {
            return Ok(None);
        }
        self.taken.set(index + 1);
        Ok(Some(Due { at: self.times.of(index), had_to_wait }))
    }
}

/// Ends with the schedule, or when the connections gave up.
fn keep_time(times: Times, permits: &Arc<Semaphore>, connections: usize) {
    for index in 0..times.requests {
        while let Some(left) = times.of(index).checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
        if Arc::strong_count(permits) == 1 {
            return;
        }
        permits.add_permits(1);
    }
    permits.add_permits(connections);
}
