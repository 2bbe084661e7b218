//! Whenever the writing ends, gateways have what the last manifest said, and the next leader carries on.

use std::collections::BTreeMap;

use proptest::prelude::*;
use turnpike_bundle::{
    Bundle, Contents, Manifest, State,
    entry::{
        Backend, CredentialEntry, KeyEntry, KeyHash, ModelEntry, ObjectRef, Params, ProviderBackend, Timeouts,
        Visibility,
    },
    layout::MANIFEST,
    parse, sha256_hex, shard,
};
use turnpike_llm::provider::{Capabilities, ProviderKind};
use turnpike_operator::publish::{
    plan::{Lying, Observed, Write, plan},
    previous::Previous,
};

const CLOCK: u64 = 1000;

/// What lies in the cluster: bytes by part.
#[derive(Clone, Default)]
struct Cluster(BTreeMap<String, Vec<u8>>);

impl Cluster {
    fn observed(&self) -> Observed {
        let lying = |bytes: &Vec<u8>| Lying { hash: sha256_hex(bytes), intact: true, ..Lying::default() };
        self.0.iter().map(|(part, bytes)| (part.clone(), lying(bytes))).collect()
    }

    fn manifest(&self) -> Option<&[u8]> {
        self.0.get(MANIFEST).map(Vec::as_slice)
    }

    fn shards(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.iter().filter(|(part, _)| *part != MANIFEST).map(|(part, bytes)| (part.clone(), bytes.clone())).collect()
    }

    fn previous(&self) -> Previous {
        Previous::read(self.manifest(), &self.shards(), CLOCK)
    }

    fn execute(&mut self, write: &Write, bundle: &Bundle) {
        match write {
            Write::Apply(part) if part == MANIFEST => {
                self.0.insert(part.clone(), bundle.manifest.to_bytes());
            }
            Write::Apply(part) => {
                let shard = bundle.shards.iter().find(|shard| shard.name == *part).unwrap();
                self.0.insert(part.clone(), shard.bytes.clone());
            }
            Write::Delete(part) => {
                self.0.remove(part);
            }
        }
    }

    fn hash(&self) -> Option<String> {
        self.manifest().map(|bytes| Manifest::from_bytes(bytes).unwrap().hash)
    }
}

/// One publication: what it holds, and after how many writes the process dies.
#[derive(Clone, Debug)]
struct Step {
    contents: Contents,
    writes: usize,
    /// How writes of one stage are ordered.
    order: u64,
}

fn object(name: String) -> ObjectRef {
    ObjectRef { namespace: "ml".to_owned(), name }
}

fn model(at: usize, bytes: usize, credential: usize) -> ModelEntry {
    let backend = if credential == 0 {
        Backend::Mock { response: "x".repeat(bytes) }
    } else {
        Backend::Provider(ProviderBackend {
            provider: ProviderKind::OpenAI,
            model: "y".repeat(bytes),
            base_url: "https://example.com".to_owned(),
            api_version: None,
            region: None,
            project: None,
            credential: Some(digest(credential)),
            params: Params::default(),
            egress: turnpike_bundle::entry::Egress::default(),
            engine: None,
        })
    };
    ModelEntry {
        object: object(format!("model-{at}")),
        created: 0,
        model_name: format!("model-{at}"),
        aliases: Vec::new(),
        visibility: Visibility::Namespace,
        backend,
        weight: 1,
        priority: 0,
        tags: Vec::new(),
        price: None,
        capabilities: Capabilities::default(),
        timeouts: Timeouts { connect: 1, first_byte: 2, idle: 3, total: 4 },
        limits: turnpike_bundle::entry::ModelLimits::default(),
        strategy: turnpike_crds::model_deployment::Strategy::default(),
        retry: None,
        fallbacks: Vec::new(),
        health: turnpike_bundle::entry::Health::default(),
        cache: None,
    }
}

fn digest(credential: usize) -> String {
    format!("digest-{credential}")
}

fn key(at: usize, secret: u64) -> KeyEntry {
    KeyEntry {
        object: object(format!("key-{at}")),
        key_id: format!("vk_{at}"),
        hashes: vec![KeyHash { sha256: format!("{secret:064x}"), retires_at: None }],
        allowed_models: vec!["*".to_owned()],
        ..KeyEntry::default()
    }
}

fn contents() -> impl Strategy<Value = Contents> {
    // Sizes at which shards split and join within a few publications.
    let size = prop_oneof![3 => Just(10_usize), 1 => Just(40_000_usize)];
    let models = prop::collection::btree_map(0_usize..12, (size, 0_usize..4), 0..12);
    let keys = prop::collection::btree_map(0_usize..4, 0_u64..3, 0..4);
    (models, keys).prop_map(|(models, keys)| {
        let entry = |credential: usize| {
            let digest = digest(credential);
            (
                digest.clone(),
                CredentialEntry { digest, api_key: Some("sk".to_owned()), identity: None, headers: Vec::new() },
            )
        };
        let mut contents = Contents {
            credentials: models.values().filter(|(_, used)| *used > 0).map(|(_, used)| entry(*used)).collect(),
            models: models.into_iter().map(|(at, (bytes, used))| model(at, bytes, used)).collect(),
            keys: keys.into_iter().map(|(at, secret)| key(at, secret)).collect(),
            ..Contents::default()
        };
        contents.models.sort_by(|a, b| a.object.cmp(&b.object));
        contents
    })
}

fn step() -> impl Strategy<Value = Step> {
    (contents(), 0_usize..8, any::<u64>()).prop_map(|(contents, writes, order)| Step { contents, writes, order })
}

/// The writes in an order in which they may happen.
fn in_some_order(stages: Vec<Vec<Write>>, order: u64) -> Vec<Write> {
    let mut writes = Vec::new();
    for mut stage in stages {
        let turn = usize::try_from(order).unwrap_or_default() % stage.len();
        stage.rotate_left(turn);
        writes.extend(stage);
    }
    writes
}

fn bundle(contents: &Contents, previous: &Previous) -> Bundle {
    shard(contents, previous.manifest.as_ref(), CLOCK.max(previous.floor + 1))
}

fn has_its_credentials(contents: &Contents) -> bool {
    contents.models.iter().all(|model| match &model.backend {
        Backend::Provider(backend) => contents.credentials.contains_key(backend.credential.as_ref().unwrap()),
        _ => true,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_between_any_two_writes_leaves_gateways_with_what_the_manifest_says(
        steps in prop::collection::vec(step(), 1..6),
        late in any::<u64>(),
    ) {
        let mut cluster = Cluster::default();
        let mut of_manifest: BTreeMap<String, Contents> = BTreeMap::new();
        // One gateway sees everything at once; the other's volume is behind by parts.
        let (mut gateway, mut behind, mut volume) = (State::default(), State::default(), Cluster::default());
        for (at, step) in steps.iter().enumerate() {
            // Each step is a new leader: the one before has died.
            let previous = cluster.previous();
            let bundle = bundle(&step.contents, &previous);
            of_manifest.insert(bundle.manifest.hash.clone(), step.contents.clone());
            let stages = plan(&bundle, &cluster.observed(), &previous.credentials);
            for (write, number) in in_some_order(stages, step.order).iter().zip(0..step.writes) {
                cluster.execute(write, &bundle);
                if let Some(manifest) = cluster.manifest() {
                    gateway = parse(manifest, &cluster.shards(), gateway).state;
                    prop_assert_eq!(gateway.contents(), &of_manifest[&cluster.hash().unwrap()]);
                }
                for (turn, (part, bytes)) in (0_u32..).zip(&cluster.0) {
                    let arrives = late.rotate_left(turn + u32::try_from(at * 7 + number).unwrap()) % 2 == 0;
                    if arrives {
                        volume.0.insert(part.clone(), bytes.clone());
                    }
                }
                volume.0.retain(|part, _| cluster.0.contains_key(part));
                if let Some(manifest) = volume.manifest() {
                    behind = parse(manifest, &volume.shards(), behind).state;
                    prop_assert!(has_its_credentials(behind.contents()));
                    if let Some(hash) = behind.hash() {
                        prop_assert_eq!(behind.contents(), &of_manifest[hash]);
                    }
                }
            }
        }
        // The last leader lives: everything ends where its picture is, and a second look writes nothing.
        let last = &steps[steps.len() - 1].contents;
        let previous = cluster.previous();
        let bundle = bundle(last, &previous);
        for write in plan(&bundle, &cluster.observed(), &previous.credentials).concat() {
            cluster.execute(&write, &bundle);
        }
        for state in [gateway, behind, State::default()] {
            let parsed = parse(cluster.manifest().unwrap(), &cluster.shards(), state);
            prop_assert_eq!(parsed.rejections, vec![]);
            prop_assert_eq!(parsed.state.contents(), last);
            prop_assert_eq!(parsed.state.hash(), Some(bundle.manifest.hash.as_str()));
        }
        prop_assert_eq!(cluster.0.len(), bundle.shards.len() + 1);
        let previous = cluster.previous();
        let again = self::bundle(last, &previous);
        prop_assert_eq!(plan(&again, &cluster.observed(), &previous.credentials), Vec::<Vec<Write>>::new());
    }
}

fn two() -> (Cluster, Previous, Contents) {
    let contents = Contents {
        models: vec![model(0, 10, 1), model(1, 10, 0)],
        keys: vec![key(0, 1)],
        credentials: [(
            digest(1),
            CredentialEntry { digest: digest(1), api_key: Some("sk".to_owned()), identity: None, headers: Vec::new() },
        )]
        .into(),
        ..Contents::default()
    };
    let mut cluster = Cluster::default();
    let previous = Previous::default();
    let first = bundle(&contents, &previous);
    for write in plan(&first, &cluster.observed(), &previous.credentials).concat() {
        cluster.execute(&write, &first);
    }
    let previous = cluster.previous();
    (cluster, previous, contents)
}

fn apply(part: &str) -> Vec<Write> {
    vec![Write::Apply(part.to_owned())]
}

#[test]
fn an_empty_bundle_is_published_too_credentials_first_and_the_manifest_last() {
    let first = bundle(&Contents::default(), &Previous::default());
    let stages = plan(&first, &Observed::new(), &Previous::default().credentials);
    // Nothing is added to the credentials, so they need not come first.
    let expected = ["keys-00", "budgets-00", "models-00", "endpoints-00", "credentials-00", MANIFEST].map(apply);
    assert_eq!(stages, expected);
}

#[test]
fn one_change_writes_one_shard_and_the_manifest() {
    let (cluster, previous, mut contents) = two();
    contents.models[1] = model(1, 20, 0);
    let stages = plan(&bundle(&contents, &previous), &cluster.observed(), &previous.credentials);
    assert_eq!(stages, ["models-00", MANIFEST].map(apply));
}

#[test]
fn a_credential_comes_before_the_model_that_names_it_and_goes_after() {
    let (cluster, previous, mut contents) = two();
    let kept = contents.clone();
    contents.models[0] = model(0, 10, 2);
    let entry =
        CredentialEntry { digest: digest(2), api_key: Some("sk".to_owned()), identity: None, headers: Vec::new() };
    contents.credentials = [(digest(2), entry)].into();
    let stages = plan(&bundle(&contents, &previous), &cluster.observed(), &previous.credentials);
    assert_eq!(stages, ["credentials-00", "models-00", MANIFEST].map(apply));
    contents = kept;
    contents.models[0] = model(0, 10, 0);
    contents.credentials.clear();
    let stages = plan(&bundle(&contents, &previous), &cluster.observed(), &previous.credentials);
    assert_eq!(stages, ["models-00", "credentials-00", MANIFEST].map(apply));
}

#[test]
fn a_part_that_was_edited_deleted_or_disowned_is_written_again_and_nothing_else() {
    let (cluster, previous, contents) = two();
    let bundle = bundle(&contents, &previous);
    assert_eq!(bundle.manifest, previous.manifest.clone().unwrap());
    for part in ["models-00", "keys-00", MANIFEST] {
        let mut edited = cluster.observed();
        edited.get_mut(part).unwrap().hash = sha256_hex(b"mine");
        assert_eq!(plan(&bundle, &edited, &previous.credentials), [apply(part)]);
        let mut disowned = cluster.observed();
        disowned.get_mut(part).unwrap().intact = false;
        assert_eq!(plan(&bundle, &disowned, &previous.credentials), [apply(part)]);
        let mut gone = cluster.observed();
        gone.remove(part);
        assert_eq!(plan(&bundle, &gone, &previous.credentials), [apply(part)]);
    }
}

#[test]
fn what_the_manifest_lists_no_more_is_deleted_after_it() {
    let (mut cluster, previous, mut contents) = two();
    cluster.0.insert("models-07".to_owned(), b"{}".to_vec());
    contents.models.pop();
    let stages = plan(&bundle(&contents, &previous), &cluster.observed(), &previous.credentials);
    let expected = [apply("models-00"), apply(MANIFEST), vec![Write::Delete("models-07".to_owned())]];
    assert_eq!(stages, expected);
}

#[test]
fn versions_grow_even_where_the_manifest_is_lost() {
    let (cluster, previous, contents) = two();
    let version = previous.manifest.unwrap().version;
    let lost = Previous::read(None, &cluster.shards(), 5);
    assert_eq!(lost.manifest, None);
    assert_eq!(bundle(&contents, &lost).manifest.version, version + 1);
    // Nobody gets to push the version out of reach by an edit.
    let edited = br#"{"format":1,"version":18446744073709551615}"#;
    assert_eq!(Previous::read(Some(edited), &cluster.shards(), 5).floor, version);
}
