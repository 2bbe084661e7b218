//! Asks one gateway, over and over, what it has loaded.
//!
//! ```text
//!  connect ─▶ GET /bundle?after=STATE&wait=30s ─▶ report ─▶ at once again, on the same connection
//!     ▲                                      └─ error ─▶ 100 ms, doubling up to 5 s, or until the pod changes
//!     └──────────────────────────────────────────┘  for 10 s nothing but errors: the report counts as none
//! ```

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep},
};
use turnpike_bundle::Report;

use crate::gateways::ask::Asker;

/// What a poll asks for.
const WAIT: Duration = Duration::from_secs(30);
/// How much longer than that an answer may take.
const GRACE: Duration = Duration::from_secs(5);
/// First and longest pause after an error.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Errors for so long make the last report worth nothing.
pub const FORGET_AFTER: Duration = Duration::from_secs(10);
/// Pause after an answer that came early and said nothing new: only a faulty gateway gives one.
const NOTHING_NEW: Duration = Duration::from_secs(1);

/// Asks a gateway what it has loaded.
#[derive(Debug)]
pub struct Poller {
    /// Asks it.
    pub asker: Asker,
    /// Told when the pod changes: worth another try at once.
    pub nudge: Arc<Notify>,
}

impl Poller {
    /// Sends each report with the pod's `uid`, and `None` once the last one is worth nothing any more. Ends only when
    /// dropped, or with the receiver.
    pub async fn run(mut self, reports: mpsc::Sender<(String, Option<Arc<Report>>)>, uid: String) {
        let mut state = String::new();
        let mut failing = Failing::default();
        loop {
            let asked = Instant::now();
            let path = format!("/bundle?after={state}&wait={}s", WAIT.as_secs());
            match self.asker.get::<Report>(&path, WAIT + GRACE).await {
                Ok(new) => {
                    failing = Failing::default();
                    let early = new.state == state && asked.elapsed() < NOTHING_NEW;
                    state.clone_from(&new.state);
                    if reports.send((uid.clone(), Some(Arc::new(new)))).await.is_err() {
                        return;
                    }
                    if early {
                        sleep(NOTHING_NEW).await;
                    }
                }
                Err(error) => {
                    if failing.since.is_none() {
                        tracing::debug!(address = %self.asker.address, %error, "a gateway did not report");
                    }
                    if failing.forget(Instant::now()) {
                        tracing::info!(address = %self.asker.address, %error, "a gateway has not reported for a while");
                        state.clear();
                        if reports.send((uid.clone(), None)).await.is_err() {
                            return;
                        }
                    }
                    self.pause(&mut failing).await;
                }
            }
        }
    }

    async fn pause(&mut self, failing: &mut Failing) {
        let pause = failing.pause();
        tokio::select! {
            () = sleep(pause) => {}
            () = self.nudge.notified() => failing.pauses = 0,
            // Without a sender nothing will ever change: the pause alone counts.
            Ok(()) = self.asker.tokens.changed() => failing.pauses = 0,
        }
    }
}

/// A row of errors.
#[derive(Debug, Default)]
struct Failing {
    since: Option<Instant>,
    forgotten: bool,
    pauses: u32,
}

impl Failing {
    /// Notes an error; true once, when the row has become too long.
    fn forget(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let forget = !self.forgotten && now >= since + FORGET_AFTER;
        self.forgotten |= forget;
        forget
    }

    fn pause(&mut self) -> Duration {
        let pause = PAUSES.0.saturating_mul(2_u32.saturating_pow(self.pauses)).min(PAUSES.1);
        self.pauses = self.pauses.saturating_add(1).min(16);
        pause
    }
}
