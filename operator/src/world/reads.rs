//! Carries out orders to read Secrets: some at a time, again after failures, and from time to time where no watch tells
//! of them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use kube::Client;
use turnpike_bundle::entry::ObjectRef;

use super::{
    observer::Observer,
    secrets::{Answer, Order, Want},
    watches,
};
use crate::kit::backoff::{Backoff, Failure, jitter};

/// Reads at a time.
const AT_A_TIME: usize = 16;
/// How often it is looked whether a Secret exists that is referred to and not watched for want of the label.
const PROBE: Duration = Duration::from_secs(20);
/// Least time between two such looks, of whatever Secret.
const PROBES_APART: Duration = Duration::from_millis(100);

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something has come to its end.
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never kept")]
pub(super) enum Done {
    /// A read.
    Read(Order, Answer),
    /// A wait after a failure.
    Waited(ObjectRef),
    /// The time until the next look at what is not watched.
    Rested(ObjectRef),
}

/// Reads under way and to come.
pub(super) struct Reads {
    client: Client,
    orders: VecDeque<Order>,
    running: FuturesUnordered<Work<Done>>,
    waits: FuturesUnordered<Work<Done>>,
    failures: BTreeMap<ObjectRef, Backoff>,
    /// Looked at from time to time.
    probed: BTreeSet<ObjectRef>,
}

impl Reads {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            orders: VecDeque::new(),
            running: FuturesUnordered::new(),
            waits: FuturesUnordered::new(),
            failures: BTreeMap::new(),
            probed: BTreeSet::new(),
        }
    }

    /// Adds orders and starts what may be.
    pub(super) fn order(&mut self, orders: Vec<Order>) {
        self.orders.extend(orders);
        while self.running.len() < AT_A_TIME {
            let Some(order) = self.orders.pop_front() else { break };
            let read = watches::read(self.client.clone(), order);
            self.running.push(Box::pin(read.map(|(order, answer)| Done::Read(order, answer))));
        }
    }

    /// What has ended, at least one; for ever where nothing is under way.
    pub(super) async fn next(&mut self) -> Vec<Done> {
        let first = tokio::select! {
            Some(done) = self.running.next() => done,
            Some(done) = self.waits.next() => done,
            else => std::future::pending().await,
        };
        let mut all = vec![first];
        while let Some(Some(done)) = self.running.next().now_or_never() {
            all.push(done);
        }
        all
    }

    /// Hands on what has ended.
    pub(super) fn take(&mut self, observer: &mut Observer, done: Done) {
        match done {
            Done::Waited(secret) => observer.again(secret),
            Done::Rested(secret) => {
                self.probed.remove(&secret);
                observer.again(secret);
            }
            Done::Read(order, answer) => {
                let (secret, is_probe) = (order.secret.clone(), order.want == Want::Metadata);
                if observer.answer(order, answer) {
                    self.failures.remove(&secret);
                    if is_probe && self.probed.insert(secret.clone()) {
                        let count = u32::try_from(self.probed.len()).unwrap_or(u32::MAX);
                        self.wait(PROBE.max(PROBES_APART.saturating_mul(count)), Done::Rested(secret));
                    }
                    return;
                }
                let wait = self.failures.entry(secret.clone()).or_default().fail(Failure::Error, jitter());
                self.wait(wait, Done::Waited(secret));
            }
        }
    }

    fn wait(&self, time: Duration, done: Done) {
        self.waits.push(Box::pin(async move {
            tokio::time::sleep(time).await;
            done
        }));
    }
}
