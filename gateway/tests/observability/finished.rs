//! A small configuration and requests that ended in every way.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::StatusCode;
use turnpike_bundle::{
    Contents,
    entry::{self, KeyEntry, KeyHash, ModelEntry, ObjectRef, ProviderBackend, Timeouts, Visibility},
};
use turnpike_gateway::{
    config::{
        backends::Backends,
        compile::{Seen, compile},
        snapshot::{Caller, Model, Pool, Snapshot},
    },
    engines::addresses::Addresses,
    record::{CacheUse, End, Record},
};
use turnpike_ledger::spend_log::Attempt;
use turnpike_llm::{
    provider::{Capabilities, Operation, ProviderKind},
    usage::Usage,
};

pub(crate) fn object(name: &str) -> ObjectRef {
    ObjectRef { namespace: "llm".to_owned(), name: name.to_owned() }
}

/// `name` is also the public name; the upstream's model is `up-` and the name.
pub(crate) fn model(name: &str) -> ModelEntry {
    ModelEntry {
        object: object(name),
        created: 0,
        model_name: name.to_owned(),
        aliases: vec![format!("{name}-alias")],
        visibility: Visibility::Cluster,
        backend: entry::Backend::Provider(ProviderBackend {
            provider: ProviderKind::OpenAI,
            model: format!("up-{name}"),
            base_url: "https://api.openai.com/v1".to_owned(),
            api_version: None,
            region: None,
            project: None,
            credential: None,
            params: entry::Params::default(),
            egress: entry::Egress::default(),
            engine: None,
        }),
        weight: 1,
        priority: 0,
        tags: Vec::new(),
        price: None,
        capabilities: Capabilities::default(),
        timeouts: Timeouts { connect: 1, first_byte: 1, idle: 1, total: 1 },
        limits: entry::ModelLimits::default(),
        strategy: turnpike_crds::model_deployment::Strategy::default(),
        retry: None,
        fallbacks: Vec::new(),
        health: entry::Health::default(),
        cache: None,
    }
}

pub(crate) fn key(name: &str) -> KeyEntry {
    let digit = name.len() % 10;
    KeyEntry {
        object: object(name),
        key_id: format!("vk_{name}"),
        hashes: vec![KeyHash { sha256: digit.to_string().repeat(64), retires_at: None }],
        team: Some("search".to_owned()),
        user: Some("ada".to_owned()),
        tags: [("env".to_owned(), "prod".to_owned())].into(),
        allowed_models: vec!["*".to_owned()],
        ..KeyEntry::default()
    }
}

pub(crate) fn snapshot(models: Vec<ModelEntry>, keys: Vec<KeyEntry>) -> Snapshot {
    let (backends, sources, addresses) = (Backends::default(), BTreeMap::new(), Addresses::default());
    let seen = Seen { backends: &backends, sources: &sources, addresses: &addresses };
    let contents = Contents { models, keys, ..Contents::default() };
    let (snapshot, left_out) = compile(&contents, seen, 1, "h".to_owned());
    assert_eq!(left_out, []);
    snapshot
}

pub(crate) fn caller(snapshot: &Snapshot, name: &str) -> Arc<Caller> {
    let id = format!("vk_{name}");
    Arc::clone(&snapshot.keys.values().find(|key| *key.caller.key_id == *id).unwrap().caller)
}

pub(crate) fn routed(snapshot: &Snapshot, name: &str) -> (Arc<Pool>, Arc<Model>) {
    let pool = snapshot.admin.exact.get(name).unwrap();
    (Arc::clone(pool), Arc::clone(&pool.members.first().unwrap().model))
}

/// A streamed chat that cost 0.0015 USD and took 1.5 s.
pub(crate) fn served(snapshot: &Snapshot, key: &str, name: &str) -> Record {
    let (pool, model) = routed(snapshot, name);
    Record {
        request_id: "req-1".into(),
        started_at_us: 1_763_719_200_000_000,
        attempt: Attempt::default(),
        retries: 0,
        fallbacks: 0,
        operation: Operation::Chat,
        caller: caller(snapshot, key),
        requested_model: name.into(),
        upstream_model: Some(format!("up-{}", pool.name).into()),
        pool: Some(pool),
        model: Some(model),
        stream: true,
        status: StatusCode::OK,
        end: End::Success,
        usage: Some(Usage {
            prompt: 1000,
            completion: 200,
            cached: 100,
            cache_write: 30,
            cache_write_1h: 4,
            reasoning: 50,
            ..Usage::default()
        }),
        cost: Some(1_500_000),
        first_byte: Some(Duration::from_millis(40)),
        total: Duration::from_millis(1500),
        upstream: Some(Duration::from_millis(1497)),
        end_user: None,
        tags: Vec::new(),
        metadata: None,
        cache: CacheUse::None,
    }
}

/// Ended before anything was chosen.
pub(crate) fn refused(snapshot: &Snapshot, key: &str, name: &str) -> Record {
    Record {
        requested_model: name.into(),
        pool: None,
        model: None,
        upstream_model: None,
        stream: false,
        status: StatusCode::NOT_FOUND,
        end: End::Refused("model_not_found"),
        usage: None,
        cost: None,
        first_byte: None,
        total: Duration::from_millis(1),
        upstream: None,
        ..served(snapshot, key, "gpt")
    }
}
