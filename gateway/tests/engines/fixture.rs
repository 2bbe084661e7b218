//! Engines as bundles have them, and snapshots of them.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::{Value, json};
use turnpike_bundle::{
    Contents,
    entry::{Backend, CredentialEntry, ModelEntry, ObjectRef},
};
use turnpike_gateway::{
    config::{
        backends::Backends,
        compile::{Seen, compile},
        snapshot::{Pool, Snapshot},
    },
    engines::addresses::Addresses,
};

/// An engine of namespace `llm`, with adapters `sql` and `poems`; more fields of its entry.
pub(crate) fn engine(name: &str, more: &Value) -> ModelEntry {
    let backend = json!({
        "kind": "Provider", "provider": "VLLM", "model": name, "baseUrl": url(name), "credential": "key",
        "egress": "OwnService",
        "engine": {"coldStart": "Hold", "holdMs": 1000, "isScaled": true, "adapters": ["sql", "poems"]},
    });
    entry(name, &backend, more)
}

/// A route to these, by weight.
pub(crate) fn route(name: &str, targets: &[(&str, u32)]) -> ModelEntry {
    let target = |(name, weight): &(&str, u32)| json!({"model": object(name), "weight": weight, "priority": 0});
    let targets: Vec<Value> = targets.iter().map(target).collect();
    entry(name, &json!({"kind": "Route", "targets": targets}), &json!({}))
}

pub(crate) fn entry(name: &str, backend: &Value, more: &Value) -> ModelEntry {
    let mut entry = json!({
        "namespace": "llm", "name": name, "created": 0, "model_name": name, "visibility": "Namespace", "backend": backend,
        "weight": 1, "priority": 0, "capabilities": {},
        "timeouts": {"connect": 1, "firstByte": 1, "idle": 1, "total": 1000},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        entry[field] = value.clone();
    }
    serde_json::from_value(entry).unwrap()
}

pub(crate) fn url(name: &str) -> String {
    format!("http://{name}-engine.llm.svc:8000/v1")
}

pub(crate) fn object(name: &str) -> ObjectRef {
    ObjectRef { namespace: "llm".to_owned(), name: name.to_owned() }
}

/// The `n`th address.
pub(crate) fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 8000))
}

/// These addresses of an engine, which list its model and these adapters.
pub(crate) fn found(addresses: &mut Addresses, name: &str, replicas: &[(u8, &[&str])]) {
    let listed = |adapters: &[&str]| adapters.iter().chain([&name]).map(|name| (*name).into()).collect();
    let replicas = replicas.iter().map(|(n, adapters)| (address(*n), listed(adapters)));
    addresses.insert((object(name), &url(name), name), replicas);
}

/// What they compile to; the engines' key is as given.
pub(crate) fn compiled(models: Vec<ModelEntry>, key: &str, backends: &Backends, addresses: &Addresses) -> Snapshot {
    let key = CredentialEntry { digest: "key".into(), api_key: Some(key.into()), identity: None, headers: Vec::new() };
    let contents = Contents { models, credentials: [("key".to_owned(), key)].into(), ..Contents::default() };
    let sources = BTreeMap::new();
    let seen = Seen { backends, sources: &sources, addresses };
    let (snapshot, left_out) = compile(&contents, seen, 1, "h".to_owned());
    assert_eq!(left_out, []);
    snapshot
}

/// The pool of a name in namespace `llm`.
pub(crate) fn pool<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Pool {
    let names = &snapshot.namespaces["llm"].exact;
    names.get(name).unwrap_or_else(|| panic!("{name} is none of {:?}", names.keys()))
}

/// Namespace's names, sorted.
pub(crate) fn names(snapshot: &Snapshot) -> Vec<&str> {
    let mut names: Vec<&str> = snapshot.namespaces["llm"].exact.keys().map(|name| &**name).collect();
    names.sort_unstable();
    names
}

/// Where the members of a pool are asked, and for which model.
pub(crate) fn asked(pool: &Pool) -> Vec<(String, String)> {
    let members = pool.members.iter().map(|member| match &member.model.backend {
        turnpike_gateway::config::snapshot::Backend::Provider(upstream) => {
            let [whole, streamed] = &upstream.endpoints.as_ref().unwrap()[0];
            assert_eq!(whole.origin.key, streamed.origin.key);
            (format!("{}:{}{}", whole.origin.host, whole.origin.port, whole.target), upstream.model.to_string())
        }
        turnpike_gateway::config::snapshot::Backend::Mock { .. } => ("mock".to_owned(), String::new()),
    });
    members.collect()
}

/// Changes an engine's backend.
pub(crate) fn backend(entry: &mut ModelEntry) -> &mut turnpike_bundle::entry::ProviderBackend {
    match &mut entry.backend {
        Backend::Provider(backend) => backend,
        Backend::Mock { .. } | Backend::Route(_) => panic!("an engine is a provider"),
    }
}
