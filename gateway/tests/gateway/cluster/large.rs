//! Thousands of keys: a change costs what has changed, not what is there.

use std::time::Duration;

use tokio::time::Instant;
use turnpike_bundle::{Contents, entry::ObjectRef};
use turnpike_testkit::manifest;

use super::{Pod, files, mocks, report};
use crate::stage::CHAT;

const KEYS: usize = 10_000;
const MODELS: usize = 500;

/// Copies of one key and one model under other names.
fn large() -> Contents {
    let mut contents = mocks(&["model"]);
    let (key, model) = (contents.keys.remove(0), contents.models.remove(0));
    let object = |kind: &str, index: usize| ObjectRef {
        namespace: format!("team-{}", index % 50),
        name: format!("{kind}-{index:05}"),
    };
    contents.keys = (0..KEYS)
        .map(|index| {
            let mut key = key.clone();
            key.object = object("key", index);
            key.key_id = format!("vk_{index:016}");
            key.hashes[0].sha256 = manifest::sha256(&format!("sk-{index}"));
            key.team = Some(format!("team-{}", index % 50));
            key
        })
        .collect();
    contents.models = (0..MODELS)
        .map(|index| {
            let mut model = model.clone();
            model.object = object("model", index);
            model.model_name = format!("model-{index}");
            model
        })
        .collect();
    contents
}

#[tokio::test]
async fn one_change_among_thousands_is_live_soon() {
    let mut contents = large();
    let mut pod = Pod::new(&contents).await;
    let internal = pod.gateway.internal();
    let mut took = Vec::new();
    for round in 0..9_usize {
        contents.keys[round].suspended = true;
        let bundle = pod.operator.next(&contents);
        let before = pod.report().await;
        let fresh = bundle.shards.iter().filter(|shard| shard.version == bundle.manifest.version).count();
        assert_eq!(fresh, 1, "one key is one shard");
        let query = format!("after={}&wait=30s", before.state);
        let live = async { (report(&internal, &query).await, Instant::now()) };
        let (publish, (now, live)) =
            futures_util::future::join(async { pod.operator.bundle.publish(files(&bundle)) }, live).await;
        assert_eq!(now.hash, Some(bundle.manifest.hash));
        let changed = now.shards.iter().filter(|(name, shard)| before.shards.get(*name) != Some(shard)).count();
        assert_eq!(changed, 1);
        took.push(live - publish);
        let suspended = pod.gateway.client().with_key(&format!("sk-{round}")).post(CHAT, &serde_json::json!({})).await;
        assert_eq!((suspended.status, suspended.error_code().as_str()), (401, "suspended_api_key"));
    }
    took.sort_unstable();
    eprintln!("from the swap to the report: {took:?}");
    // Built without optimisation, and on a machine that is busy with other tests.
    assert!(took[took.len() / 2] < Duration::from_secs(2), "{took:?}");
}
