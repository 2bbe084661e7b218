//! The real gateway in a pod, with engines whose names a table of this test resolves.

use std::{
    fmt::Write as _,
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use turnpike_bundle::{
    Bundle, Contents, Manifest as Table,
    entry::{Egress, EndpointEntry, EngineEntry, ObjectRef},
    layout, shard,
};
use turnpike_gateway::{
    args::{self, Args},
    config::sources::{directory::Directory, minted::Minted},
    engines::Resolver,
    run,
};
use turnpike_testkit::{
    Client, Gateway, Upstream,
    gateway::{Setup, replace},
    manifest::{self, Manifest},
    upstream::Demands,
};

use crate::fixture::{backend, url};

pub(crate) const ALICE: &str = "sk-alice-0123456789abcdef";
/// Of the engines.
const KEY: &str = "engine-key-0123456789";

/// A gateway, the table, and what keeps both.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    contents: Contents,
    manifest: Table,
    folder: TempDir,
}

/// Not a test: the gateway itself, as the stage starts it. Resolving names is nothing that a flag should change.
#[test]
#[ignore = "the other tests start it"]
fn gateway() {
    let (Some(arguments), Some(table)) = (args::variable("GATEWAY_ARGUMENTS"), args::variable("GATEWAY_TABLE")) else {
        return;
    };
    let words = ["turnpike-gateway"].into_iter().chain(arguments.split(' '));
    let table = PathBuf::from(table);
    run::run_with(Args::parse_from(words), Resolver::Given(Box::new(move |host, _| look_up(&table, host)))).unwrap();
}

fn look_up(table: &Path, host: &str) -> io::Result<Vec<SocketAddr>> {
    let text = fs::read_to_string(table)?;
    let lines = text.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| *name == host);
    Ok(lines.map(|(_, address)| address.parse().unwrap()).collect())
}

/// An engine under its served name.
pub(crate) fn engine(name: &str) -> Manifest {
    manifest::model(name, &url(name))
        .with("provider.model", name)
        .with("provider.credentials", json!({"secretRef": {"name": "engine", "key": "api-key"}}))
}

/// A server of these models that takes the engines' key.
pub(crate) async fn server(models: &[&str]) -> Upstream {
    demands(models).start().await
}

pub(crate) fn demands(models: &[&str]) -> Demands {
    Demands::default().models(models).api_key(KEY)
}

/// What the operator publishes; every model is an engine with adapter `sql`.
fn contents(objects: &[Manifest]) -> Contents {
    let folder = tempfile::tempdir().unwrap();
    let objects = [objects, &[manifest::secret("engine", "api-key", KEY), manifest::key("alice", ALICE)]].concat();
    fs::write(folder.path().join("objects.yaml"), manifest::documents(&objects)).unwrap();
    let minted = Minted::open(&folder.path().join("data")).unwrap();
    let loaded = Directory::new(folder.path(), minted, |_| None).load().unwrap();
    assert_eq!(loaded.problems, []);
    let mut contents = loaded.contents;
    for model in &mut contents.models {
        let engine: EngineEntry =
            serde_json::from_value(json!({"coldStart": "Hold", "holdMs": 1000, "adapters": ["sql"]})).unwrap();
        let backend = backend(model);
        (backend.engine, backend.egress) = (Some(engine), Egress::OwnService);
    }
    contents
}

impl Stage {
    /// These engines; each name has these addresses.
    pub(crate) async fn new(engines: &[Manifest], table: &[(&str, &[SocketAddr])]) -> Self {
        Self::hinted(engines, table, None).await
    }

    /// The same, with where the operator saw an engine's pod some time ago.
    pub(crate) async fn hinted(
        engines: &[Manifest],
        table: &[(&str, &[SocketAddr])],
        hint: Option<(&str, SocketAddr)>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway");
        let script = format!(
            "#!/bin/sh\nGATEWAY_ARGUMENTS=\"$*\" GATEWAY_TABLE='{}' exec '{}' --exact stage::gateway --ignored --nocapture\n",
            folder.path().join("table").display(),
            std::env::current_exe().unwrap().display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        resolve(folder.path(), table);
        let process = Setup::new(path.to_str().unwrap()).mounted().spawn();
        let mut contents = contents(engines);
        contents.endpoints = hint.map(|(name, address)| endpoint(name, address)).into_iter().collect();
        let bundle = shard(&contents, None, 1000);
        process.bundle().publish(files(&bundle));
        process.auth().publish([(layout::TOKEN, "a-token-of-the-operator")]);
        Self { gateway: Gateway::up(process).await, contents, manifest: bundle.manifest, folder }
    }

    /// The operator now sees an engine's pod there, and no other one.
    pub(crate) fn hint(&mut self, name: &str, address: SocketAddr) {
        self.contents.endpoints = vec![endpoint(name, address)];
        let bundle = shard(&self.contents, Some(&self.manifest), 1000);
        self.gateway.process.bundle().publish(files(&bundle));
        self.manifest = bundle.manifest;
    }

    /// From now on each name has these addresses.
    pub(crate) fn resolves(&self, table: &[(&str, &[SocketAddr])]) {
        resolve(self.folder.path(), table);
    }

    /// Waits until so many addresses of an engine are verified.
    pub(crate) async fn verified(&self, name: &str, count: u32) {
        let labels = format!("model_id=\"default/{name}\",state=\"verified\"");
        self.gateway.metric_is("turnpike_engine_addresses", &labels, count.into()).await;
    }

    pub(crate) fn alice(&self) -> Client {
        self.gateway.client().with_key(ALICE)
    }

    /// Asks for a model so often, and wants each answer.
    pub(crate) async fn asks(&self, model: &str, count: usize) {
        for n in 0..count {
            let reply = self.alice().post("/v1/chat/completions", &chat(model, "Hi")).await;
            assert_eq!(reply.status, 200, "{n}: {reply:?}");
        }
    }
}

fn endpoint(name: &str, address: SocketAddr) -> EndpointEntry {
    let object = ObjectRef { namespace: "default".to_owned(), name: name.to_owned() };
    EndpointEntry { object, port: address.port(), addresses: vec![address.ip()] }
}

fn files(bundle: &Bundle) -> impl Iterator<Item = (String, Vec<u8>)> {
    let shards = bundle.shards.iter().map(|shard| (shard.name.clone(), shard.bytes.clone()));
    shards.chain([(layout::MANIFEST.to_owned(), bundle.manifest.to_bytes())])
}

fn resolve(folder: &Path, table: &[(&str, &[SocketAddr])]) {
    let mut text = String::new();
    for (name, addresses) in table {
        for address in *addresses {
            writeln!(text, "{name}-engine.llm.svc {address}").unwrap();
        }
    }
    replace(&folder.join("table"), &text);
}

/// A chat request.
pub(crate) fn chat(model: &str, prompt: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": prompt}]})
}
