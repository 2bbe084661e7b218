//! A leader holds its Lease through conflicts and outages, lets go of one that is not its own, and gives it back.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Client, api::ObjectMeta};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use turnpike_operator::leader::{Election, Held, Lost};

use crate::server::{self, Seen};

/// A Lease at an apiserver that checks resourceVersions.
#[derive(Clone, Default)]
struct Stored(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Lease>,
    down: bool,
}

impl Stored {
    fn held(holder: &str) -> Self {
        let metadata = ObjectMeta {
            name: Some("trial-operator".to_owned()),
            namespace: Some("llm".to_owned()),
            resource_version: Some("1".to_owned()),
            ..ObjectMeta::default()
        };
        let spec = LeaseSpec { holder_identity: Some(holder.to_owned()), ..LeaseSpec::default() };
        let lease = Some(Lease { metadata, spec: Some(spec) });
        Self(Arc::new(Mutex::new(State { lease, down: false })))
    }

    fn lease(&self) -> Option<Lease> {
        self.0.lock().unwrap().lease.clone()
    }

    fn holder(&self) -> Option<String> {
        self.lease()?.spec?.holder_identity
    }

    /// Somebody else writes.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock().unwrap();
        change(&mut state);
        if let Some(lease) = &mut state.lease {
            next(lease);
        }
    }

    fn answer(&self, seen: &Seen) -> (u16, Value) {
        let mut state = self.0.lock().unwrap();
        let Some(current) = state.lease.clone().filter(|_| !state.down) else {
            return if state.down {
                server::refusal(503, "ServiceUnavailable")
            } else {
                server::refusal(404, "NotFound")
            };
        };
        if seen.line.starts_with("GET ") {
            return (200, json!(current));
        }
        let mut written: Lease = serde_json::from_value(seen.body.clone()).unwrap();
        if written.metadata.resource_version != current.metadata.resource_version {
            return server::refusal(409, "Conflict");
        }
        next(&mut written);
        state.lease = Some(written.clone());
        (200, json!(written))
    }

    fn election(&self) -> Election {
        let stored = self.clone();
        let (client, _): (Client, _) = server::client(move |seen| stored.answer(seen));
        Election::new(server::context(client).0, "me".to_owned())
    }

    fn taken(&self) -> Held {
        Held { lease: self.lease().unwrap(), renewed: Instant::now() }
    }
}

fn next(lease: &mut Lease) {
    let version: u64 = lease.metadata.resource_version.as_deref().unwrap().parse().unwrap();
    lease.metadata.resource_version = Some((version + 1).to_string());
}

/// Holds the Lease for at most a minute of the clock; `None` = it is still held.
async fn hold(stored: &Stored) -> (Option<Lost>, Duration) {
    let start = Instant::now();
    let lost = timeout(Duration::from_mins(1), stored.election().hold(stored.taken())).await.ok();
    (lost, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_often_enough_and_not_more() {
    let stored = Stored::held("me");
    assert!(hold(&stored).await.0.is_none());
    let version: u64 = stored.lease().unwrap().metadata.resource_version.unwrap().parse().unwrap();
    assert!((14..=16).contains(&version), "one write each 4 s: {version}");
}

#[tokio::test(start_paused = true)]
async fn somebodys_label_on_it_is_no_loss() {
    let stored = Stored::held("me");
    let held = stored.taken();
    stored.change(|state| {
        state.lease.as_mut().unwrap().metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    });
    assert!(timeout(Duration::from_mins(1), stored.election().hold(held)).await.is_err());
    assert_eq!(stored.lease().unwrap().metadata.labels.unwrap()["a"], "b", "and it stays");
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_no_loss_and_a_long_one_ends_it_before_another_may_start() {
    let stored = Stored::held("me");
    stored.change(|state| state.down = true);
    let back = stored.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(7)).await;
        back.change(|state| state.down = false);
    });
    assert!(hold(&stored).await.0.is_none());
    stored.change(|state| state.down = true);
    let (lost, after) = hold(&stored).await;
    assert!(matches!(lost, Some(Lost::NotRenewed)), "{lost:?}");
    assert_eq!(after, Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_took_or_somebody_deleted_is_lost_at_the_next_renewal() {
    let stored = Stored::held("me");
    let held = stored.taken();
    stored.change(|state| state.lease.as_mut().unwrap().spec.as_mut().unwrap().holder_identity = Some("x".to_owned()));
    let lost = stored.election().hold(held).await;
    assert!(matches!(&lost, Lost::Taken(by) if by == "x"), "{lost:?}");
    let held = stored.taken();
    stored.change(|state| state.lease = None);
    assert!(matches!(stored.election().hold(held).await, Lost::Gone));
}

#[tokio::test(start_paused = true)]
async fn it_is_given_back_only_by_who_holds_it_and_an_end_does_not_wait_for_the_apiserver() {
    let stored = Stored::held("me");
    stored.election().release().await;
    assert_eq!(stored.holder().as_deref(), Some(""));
    let stored = Stored::held("x");
    stored.election().release().await;
    assert_eq!(stored.holder().as_deref(), Some("x"));
    stored.change(|state| state.down = true);
    timeout(Duration::from_secs(5), stored.election().release()).await.unwrap();
}
