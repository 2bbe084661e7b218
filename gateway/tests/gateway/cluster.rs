//! A gateway in a pod: what an operator publishes goes in by volumes, and what is loaded is told to whoever may ask.

use std::collections::BTreeMap;

use turnpike_bundle::{Bundle, Contents, Report, layout, shard};
use turnpike_gateway::config::sources::{directory::Directory, minted::Minted};
use turnpike_testkit::{
    Client, Gateway,
    gateway::{ADMIN_KEY, Process, Setup},
    manifest::{self, Manifest},
    volume::Volume,
    wait::eventually,
};

use crate::stage::{ALICE, setup};

mod bad_parts;
mod cold;
mod draining;
mod histories;
mod keys;
mod large;
mod publishing;
mod reports;
mod starting;
mod time_prices;

/// The operator's bearer token.
const TOKEN: &str = "a-token-of-the-operator";

/// Renders and publishes as the operator does.
struct Operator {
    bundle: Volume,
    auth: Volume,
    last: Option<Bundle>,
}

impl Operator {
    fn of(process: &Process) -> Self {
        Self { bundle: process.bundle(), auth: process.auth(), last: None }
    }

    /// Publishes the Secret with the usual token and admin key.
    fn usual_auth(&self) {
        self.auth.publish([(layout::TOKEN, TOKEN), (layout::ADMIN_SHA256, &manifest::sha256(ADMIN_KEY))]);
    }

    /// The next bundle, not published yet.
    fn next(&mut self, contents: &Contents) -> Bundle {
        let bundle = shard(contents, self.last.as_ref().map(|bundle| &bundle.manifest), 1000);
        self.last = Some(bundle.clone());
        bundle
    }

    fn publish(&mut self, contents: &Contents) -> Bundle {
        let bundle = self.next(contents);
        self.bundle.publish(files(&bundle));
        bundle
    }
}

/// The files of a bundle's volume.
fn files(bundle: &Bundle) -> BTreeMap<String, Vec<u8>> {
    let manifest = (layout::MANIFEST.to_owned(), bundle.manifest.to_bytes());
    bundle.shards.iter().map(|shard| (shard.name.clone(), shard.bytes.clone())).chain([manifest]).collect()
}

/// What these objects compile to.
fn contents(manifests: &[Manifest]) -> Contents {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("objects.yaml"), manifest::documents(manifests)).unwrap();
    let minted = Minted::open(&folder.path().join("data")).unwrap();
    let loaded = Directory::new(folder.path(), minted, |_| None).load().unwrap();
    assert_eq!(loaded.problems, []);
    loaded.contents
}

/// Mock models of these names, and alice's key.
fn mocks(names: &[&str]) -> Contents {
    let models = names.iter().map(|name| manifest::mock(name, "x"));
    contents(&models.chain([manifest::key("alice", ALICE)]).collect::<Vec<_>>())
}

/// A pod that serves, and its operator.
struct Pod {
    gateway: Gateway,
    operator: Operator,
}

impl Pod {
    async fn new(contents: &Contents) -> Self {
        Self::with(contents, |setup| setup).await
    }

    async fn with(contents: &Contents, change: impl FnOnce(Setup) -> Setup) -> Self {
        let process = change(setup().mounted()).spawn();
        let mut operator = Operator::of(&process);
        operator.usual_auth();
        operator.publish(contents);
        Self { gateway: Gateway::up(process).await, operator }
    }

    fn alice(&self) -> Client {
        self.gateway.client().with_key(ALICE)
    }

    async fn report(&self) -> Report {
        report(&self.gateway.internal(), "").await
    }

    /// Waits until the gateway has loaded all of a bundle.
    async fn has(&self, bundle: &Bundle) -> Report {
        eventually("the bundle is loaded", || async {
            let report = self.report().await;
            (report.hash.as_ref() == Some(&bundle.manifest.hash)).then_some(report)
        })
        .await
    }
}

/// `/bundle` with this query, asked with the usual token.
async fn report(internal: &Client, query: &str) -> Report {
    let reply = internal.with_key(TOKEN).get(&format!("/bundle?{query}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}
