//! What the operator is told: by whom it may be asked, and when it answers.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use turnpike_bundle::{layout, manifest::Kind, report::BackendState};
use turnpike_testkit::{
    Upstream,
    cloud::{CLIENT_SECRET, Cloud},
    manifest,
    wait::eventually,
};

use super::{Pod, TOKEN, contents, mocks, report};
use crate::{
    credentials::{azure, entra_secret, with_secret},
    stage::ALICE,
};

/// The operator has the console, and the keys of all.
#[tokio::test]
async fn a_pod_has_no_console() {
    let pod = Pod::new(&mocks(&["one"])).await;
    for path in ["/ui", "/ui/sign-in", "/ui/models"] {
        assert_eq!(pod.gateway.admin().get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_and_rotates_without_a_restart() {
    let pod = Pod::new(&mocks(&["one"])).await;
    let internal = pod.gateway.internal();
    let status = async |token: &str| internal.with_key(token).get("/bundle").await.status;
    let refused = internal.get("/bundle").await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    for wrong in ["", "wrong", &TOKEN[1..], &format!("{TOKEN}x")] {
        assert_eq!(status(wrong).await, 401, "{wrong:?}");
    }
    assert_eq!(status(TOKEN).await, 200);
    // Probes and scrapers have no token.
    for open in ["/metrics", "/health/liveness", "/health/readiness"] {
        assert_eq!(internal.get(open).await.status, 200, "{open}");
    }
    let next = "the-next-token-of-the-operator";
    let auth = &pod.operator.auth;
    auth.publish([(layout::TOKEN, next), (layout::PREVIOUS_TOKEN, TOKEN)]);
    eventually("the new token counts", || async { (status(next).await == 200).then_some(()) }).await;
    assert_eq!(status(TOKEN).await, 200, "the old one goes on until it is taken away");
    auth.publish([(layout::TOKEN, next), (layout::PREVIOUS_TOKEN, "")]);
    eventually("the old token is gone", || async { (status(TOKEN).await == 401).then_some(()) }).await;
    assert_eq!(status(next).await, 200);
    assert_eq!(status("").await, 401, "an empty file opens no door");
}

#[tokio::test]
async fn every_waiter_hears_of_a_change_at_once() {
    let mut pod = Pod::new(&mocks(&["one"])).await;
    let internal = pod.gateway.internal();
    let before = pod.report().await;
    let query = format!("after={}&wait=30s", before.state);
    let waiting = futures_util::future::join_all((0..50).map(|_| report(&internal, &query)));
    let started = Instant::now();
    let (reports, bundle) = futures_util::future::join(waiting, async {
        // Every one of them is connected and waits: a further report on its own connection says so.
        eventually("all wait", || async {
            let connections = established(pod.gateway.internal.port());
            (connections >= 50).then_some(())
        })
        .await;
        pod.operator.publish(&mocks(&["one", "two"]))
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    for report in &reports {
        assert_eq!(report.hash.as_ref(), Some(&bundle.manifest.hash));
        assert_eq!((report.version, report), (bundle.manifest.version, &reports[0]));
        assert!(report.holds(Kind::Models, "default/two", bundle.manifest.version));
        assert!(!report.holds(Kind::Keys, "default/alice", bundle.manifest.version), "no key has changed since");
    }
}

#[tokio::test]
async fn a_credential_that_cannot_be_renewed_is_told_until_it_can() {
    let cloud = Cloud::start().await;
    cloud.failing(true);
    let objects = [azure(&cloud, &with_secret()), entra_secret(CLIENT_SECRET), manifest::key("alice", ALICE)];
    let contents = contents(&objects);
    let pod = Pod::with(&contents, |setup| setup.env("AZURE_AUTHORITY_HOST", &cloud.url())).await;
    let failing = eventually("the failure is told", || async {
        let report = pod.report().await;
        (!report.failing.is_empty()).then_some(report)
    })
    .await;
    let [credential] = failing.failing.as_slice() else { panic!("one expected: {failing:?}") };
    assert_eq!(Some(&credential.digest), contents.credentials.keys().next());
    assert_eq!(credential.reason, "127.0.0.1 answered 500: server_error: out of order");
    assert!(failing.hash.is_some(), "all of the bundle is loaded");
    cloud.failing(false);
    // The next word comes when there is news, not when the wait is over.
    let started = Instant::now();
    let next = report(&pod.gateway.internal(), &format!("after={}&wait=60s", failing.state)).await;
    assert_eq!(next.failing, []);
    assert_ne!(next.state, failing.state);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

/// TCP connections to this port of ours, by the system's own list.
fn established(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    table
        .lines()
        .filter(|line| {
            let mut columns = line.split_whitespace().skip(1);
            columns.next().is_some_and(|address| address.ends_with(&local)) && columns.nth(1) == Some("01")
        })
        .count()
}

#[tokio::test]
async fn a_wait_ends_with_the_same_report_when_nothing_happens() {
    let pod = Pod::new(&mocks(&["one"])).await;
    let internal = pod.gateway.internal();
    let now = pod.report().await;
    let started = Instant::now();
    assert_eq!(report(&internal, &format!("after={}&wait=1s", now.state)).await, now);
    assert!(started.elapsed() >= Duration::from_secs(1));
    // Without a wait, or with another state, the answer comes at once.
    let started = Instant::now();
    assert_eq!(report(&internal, &format!("after={}", now.state)).await, now);
    assert_eq!(report(&internal, "after=older&wait=60s").await, now);
    assert!(started.elapsed() < Duration::from_secs(5));
    let bad = internal.with_key(TOKEN).get("/bundle?wait=soon").await;
    assert_eq!(bad.status, 400);
    assert!(bad.text().starts_with("wait: "), "{bad:?}");
}

#[tokio::test]
async fn shutdown_ends_waits_with_an_answer() {
    let mut pod = Pod::new(&mocks(&["one"])).await;
    let internal = pod.gateway.internal();
    let now = pod.report().await;
    let query = format!("after={}&wait=60s", now.state);
    let (report, ()) = futures_util::future::join(report(&internal, &query), async {
        let port = pod.gateway.internal.port();
        eventually("it waits", || async { (established(port) >= 1).then_some(()) }).await;
        pod.gateway.process.signal("TERM");
        assert!(pod.gateway.process.exit().await.success());
    })
    .await;
    assert_eq!(report, now);
}

#[tokio::test]
async fn a_backend_that_is_down_is_told_at_once_and_so_is_its_return() {
    let upstream = Upstream::start().await;
    upstream.health(503, 200);
    let model = manifest::model("sick", &upstream.url()).with("health", json!({"active": true, "interval": "1s"}));
    let pod = Pod::new(&contents(&[model, manifest::key("alice", ALICE)])).await;
    let before = pod.report().await;
    assert_eq!(before.unhealthy, []);
    let down = report(&pod.gateway.internal(), &format!("after={}&wait=15s", before.state)).await;
    let found: Vec<_> = down.unhealthy.iter().map(|found| (found.model.as_str(), found.state)).collect();
    assert_eq!(found, [("default/sick", BackendState::Down)]);
    assert_eq!((down.unhealthy[0].reason.as_str(), &down.hash), ("probes fail: it answers 503", &before.hash));
    upstream.health(200, 200);
    let well = report(&pod.gateway.internal(), &format!("after={}&wait=19s", down.state)).await;
    assert_eq!((well.unhealthy.as_slice(), &well.state), (&[][..], &before.state));
}
