//! Leader election by a Lease: one process writes, the others wait and serve their health.
//!
//! ```text
//!  acquire ── guard clear? ── Lease free, or not renewed for its duration ── update with resourceVersion ──▶ hold
//!  hold    ── renew every 4 s; 8 s without success, or another holder: lost, and the process ends
//!  release ── holder "" at a clean end: the next one takes it at once
//! ```
//! No clock is compared with another machine's: a Lease has expired when this process has seen it unchanged for the Lease's
//! duration. The duration outlasts the leader's own patience, so the old leader has ended before a new one starts.

use std::{pin::pin, time::Duration};

use futures_util::{Stream, StreamExt};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::{
    context::Context,
    guard::Guard,
    kit::{
        apply::{counted, label, stamp},
        backoff::{Backoff, Failure, brief, jitter},
    },
    metrics::Verb,
};

pub mod observe;

use observe::{Next, Observation, held_by, holder};

/// Seconds without a renewal after which another may take the Lease. With the time that a watch needs this is how long a
/// killed leader is missed at most.
pub const DURATION_SECONDS: i32 = 12;
/// Time between renewals.
const RENEW: Duration = Duration::from_secs(4);
/// A leader that could not renew for this long gives up: well before [`DURATION_SECONDS`].
const PATIENCE: Duration = Duration::from_secs(8);
/// Longest wait for one renewal's answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Pause after a renewal that failed.
const RENEW_AGAIN: Duration = Duration::from_millis(500);
/// Time in which a Lease is given back at the end.
const RELEASE: Duration = Duration::from_secs(3);
/// Tries to give it back.
const RELEASE_TRIES: usize = 3;

/// Why this process leads no longer.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Another process holds the Lease.
    #[error("the Lease is held by {0}")]
    Taken(String),
    /// The Lease was deleted.
    #[error("the Lease is gone")]
    Gone,
    /// The apiserver did not take a renewal in time.
    #[error("the Lease could not be renewed for {} s", PATIENCE.as_secs())]
    NotRenewed,
}

/// The Lease as this process holds it.
#[derive(Clone, Debug)]
pub struct Held {
    /// As last written.
    pub lease: Lease,
    /// A time before that write: the Lease runs at least from then.
    pub renewed: Instant,
}

/// This process as a candidate for the Lease.
pub struct Election {
    context: Context,
    leases: Api<Lease>,
    identity: String,
}

impl Election {
    /// A candidate called `identity`, which no other process may ever have used.
    pub fn new(context: Context, identity: String) -> Self {
        let leases = Api::namespaced(context.client.clone(), &context.names.release_namespace);
        Self { context, leases, identity }
    }

    /// Waits until this process holds the Lease and nothing forbids it to lead.
    pub async fn acquire(&self, guard: &mut Guard) -> Held {
        let name = self.context.names.lease();
        let mut stream = pin!(watcher::watch_object(self.leases.clone(), &name).default_backoff());
        let mut seen = None;
        let mut backoff = Backoff::default();
        loop {
            guard.wait_until_clear().await;
            let current = self.wait_until_free(&mut stream, &mut seen).await;
            if guard.check().await.is_err() {
                continue;
            }
            match self.take(current).await {
                // Another instance may have looked and taken its own Lease at the same time as we did.
                Ok(held) if guard.check().await.is_ok() && held.renewed.elapsed() < PATIENCE => {
                    tracing::info!(identity = self.identity, "this process leads");
                    return held;
                }
                Ok(_) => self.release().await,
                Err(error) => {
                    tracing::info!(error = brief(&error), "the Lease could not be taken");
                    sleep(backoff.fail(Failure::of(&error), jitter())).await;
                    self.look(&mut seen).await;
                }
            }
        }
    }

    /// Follows the Lease until it may be taken; answers what it is then.
    async fn wait_until_free(
        &self,
        stream: &mut (impl Stream<Item = watcher::Result<Option<Lease>>> + Unpin),
        seen: &mut Option<Observation>,
    ) -> Option<Lease> {
        loop {
            let next = seen.as_ref().map_or(Next::Look, |seen| seen.next(&self.identity, Instant::now()));
            let changed = match next {
                Next::Take => return seen.as_ref().and_then(|seen| seen.lease().cloned()),
                Next::Look => stream.next().await,
                Next::Wait(until) => {
                    tokio::select! {
                        changed = stream.next() => changed,
                        () = sleep_until(until) => continue,
                    }
                }
            };
            match changed {
                Some(Ok(lease)) => observe::see(seen, lease, Instant::now()),
                Some(Err(error)) => tracing::warn!(error = %error, "the Lease cannot be watched"),
                // A watch does not end; should it, looking from time to time will do.
                None => {
                    sleep(RENEW).await;
                    self.look(seen).await;
                }
            }
        }
    }

    /// Reads the Lease.
    async fn look(&self, seen: &mut Option<Observation>) {
        match self.leases.get_opt(&self.context.names.lease()).await {
            Ok(lease) => observe::see(seen, lease, Instant::now()),
            Err(error) => tracing::warn!(error = brief(&error), "the Lease cannot be read"),
        }
    }

    async fn take(&self, current: Option<Lease>) -> kube::Result<Held> {
        let renewed = Instant::now();
        let lease = self.taken(current, Timestamp::now());
        let (name, params) = (self.context.names.lease(), PostParams::default());
        let lease = if lease.metadata.resource_version.is_some() {
            let write = self.leases.replace(&name, &params, &lease);
            counted::<Lease, _>(&self.context, Verb::Update, write).await?
        } else {
            counted::<Lease, _>(&self.context, Verb::Create, self.leases.create(&params, &lease)).await?
        };
        Ok(Held { lease, renewed })
    }

    /// The Lease as it is once this process has taken it.
    fn taken(&self, current: Option<Lease>, now: Timestamp) -> Lease {
        let transitions = current.as_ref().map_or(0, |lease| {
            lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0).saturating_add(1)
        });
        let mut lease = current.unwrap_or_else(|| {
            let metadata = ObjectMeta { name: Some(self.context.names.lease()), ..ObjectMeta::default() };
            let mut lease = Lease { metadata, spec: None };
            stamp(&self.context, &mut lease);
            lease
        });
        label(&self.context.names, &mut lease);
        lease.metadata.managed_fields = None;
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(DURATION_SECONDS),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        });
        lease
    }

    /// Renews the Lease until that fails.
    pub async fn hold(&self, held: Held) -> Lost {
        let Held { mut lease, mut renewed } = held;
        loop {
            sleep_until(renewed + RENEW).await;
            let started = Instant::now();
            match timeout_at(renewed + PATIENCE, self.renew(&mut lease)).await {
                Ok(Ok(())) => renewed = started,
                Ok(Err(lost)) => return lost,
                Err(_) => return Lost::NotRenewed,
            }
        }
    }

    /// Renews once, however often that has to be tried.
    async fn renew(&self, lease: &mut Lease) -> Result<(), Lost> {
        let mut told = false;
        loop {
            if let Some(spec) = &mut lease.spec {
                spec.renew_time = Some(MicroTime(Timestamp::now()));
            }
            let params = PostParams::default();
            let name = self.context.names.lease();
            let write = timeout(ANSWER, self.leases.replace(&name, &params, lease));
            let write = async { write.await.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into()))) };
            match counted::<Lease, _>(&self.context, Verb::Update, write).await {
                Ok(written) => {
                    *lease = written;
                    return Ok(());
                }
                Err(error) if !std::mem::replace(&mut told, true) => {
                    tracing::warn!(error = brief(&error), "the Lease could not be renewed; trying again");
                }
                Err(_) => {}
            }
            // An answer that was lost on its way has changed the resourceVersion; so has somebody's label.
            match timeout(ANSWER, self.leases.get_opt(&name)).await {
                Ok(Ok(Some(found))) if held_by(&found, &self.identity) => *lease = found,
                Ok(Ok(Some(found))) => return Err(Lost::Taken(holder(&found).unwrap_or("nobody").to_owned())),
                Ok(Ok(None)) => return Err(Lost::Gone),
                Ok(Err(_)) | Err(_) => {}
            }
            sleep(RENEW_AGAIN).await;
        }
    }

    /// Gives the Lease back, if this process holds it, so that another need not wait for it to expire.
    pub async fn release(&self) {
        let tries = async {
            for _ in 0..RELEASE_TRIES {
                match self.try_release().await {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(error = brief(&error), "the Lease could not be given back"),
                }
            }
        };
        if timeout(RELEASE, tries).await.is_err() {
            tracing::warn!("the Lease could not be given back in time; it expires by itself");
        }
    }

    async fn try_release(&self) -> kube::Result<()> {
        let name = self.context.names.lease();
        let Some(mut lease) = self.leases.get_opt(&name).await?.filter(|lease| held_by(lease, &self.identity)) else {
            return Ok(());
        };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let params = PostParams::default();
        let write = self.leases.replace(&name, &params, &lease);
        counted::<Lease, _>(&self.context, Verb::Update, write).await.map(drop)
    }
}
