//! Parts ⇄ objects; and that no key or credential ever lies in a ConfigMap.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{api::ObjectMeta, core::Resource};
use proptest::prelude::*;
use turnpike_bundle::{
    Contents,
    entry::{CredentialEntry, KeyEntry, KeyHash, ObjectRef},
    layout::{self, MANIFEST},
    shard,
};
use turnpike_operator::{
    names::Names,
    publish::parts::{Part, Stamp, is_secret, part_of},
};

fn stamp() -> Stamp {
    let names = Names { instance: "blue".to_owned(), release_namespace: "turnpike".to_owned() };
    let root = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: "blue-root".to_owned(),
        uid: "uid-root".to_owned(),
        ..OwnerReference::default()
    };
    Stamp { names, root: Some(root) }
}

fn contents(secrets: &[String]) -> Contents {
    let entry = |(at, secret): (usize, &String)| {
        let digest = format!("digest-{at}");
        let headers = vec![("x-team".to_owned(), format!("header-{secret}"))];
        (digest.clone(), CredentialEntry { digest, api_key: Some(format!("api-{secret}")), identity: None, headers })
    };
    let key = |(at, secret): (usize, &String)| KeyEntry {
        object: ObjectRef { namespace: "ml".to_owned(), name: format!("key-{at:03}") },
        key_id: format!("vk_{at}"),
        hashes: vec![KeyHash { sha256: format!("hash-{secret}"), retires_at: None }],
        ..KeyEntry::default()
    };
    Contents {
        keys: secrets.iter().enumerate().map(key).collect(),
        credentials: secrets.iter().enumerate().map(entry).collect(),
        ..Contents::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_ever_in_a_config_map(secrets in prop::collection::vec("[a-zA-Z0-9]{24}", 1..20)) {
        let (stamp, bundle) = (stamp(), shard(&contents(&secrets), None, 1));
        let manifest = (MANIFEST.to_owned(), bundle.manifest.to_bytes());
        let shards = bundle.shards.iter().map(|shard| (shard.name.clone(), shard.bytes.clone()));
        let mut found = 0;
        for (name, bytes) in shards.chain([manifest]) {
            let part = stamp.part(&name, &bytes, None);
            // The whole object, as it goes over the wire, and the bytes themselves.
            let wire = match &part {
                Part::Public(object) => serde_json::to_string(object).unwrap(),
                Part::Secret(object) => serde_json::to_string(object).unwrap(),
            };
            let text = String::from_utf8(part.bytes(&name).unwrap().to_vec()).unwrap();
            prop_assert_eq!(text.as_bytes(), &bytes);
            let secret = secrets.iter().any(|secret| wire.contains(secret) || text.contains(secret));
            prop_assert!(!secret || matches!(part, Part::Secret(_)), "{} lies in a ConfigMap", name);
            found += usize::from(secret);
        }
        prop_assert_eq!(found, 2);
    }
}

#[test]
fn every_part_lies_where_gateways_look_for_it() {
    let names = stamp().names;
    for (part, secret) in layout::parts() {
        assert_eq!(is_secret(&part), secret, "{part}");
        let object = names.bundle_object(&part);
        assert_eq!(part_of(&names, &object, secret).as_deref(), Some(part.as_str()));
        assert_eq!(part_of(&names, &object, !secret), None, "{part}");
    }
    for other in ["blue-bundle-models-99", "blue-bundle-", "blue-root", "red-bundle-manifest"] {
        assert_eq!(part_of(&names, other, false), None, "{other}");
    }
}

#[test]
fn objects_carry_labels_and_owner_and_taking_one_away_is_noticed() {
    let stamp = stamp();
    let part = stamp.part("models-00", b"{}", Some("7".to_owned()));
    let Part::Public(object) = &part else { unreachable!("models are public") };
    insta::assert_json_snapshot!(object, @r#"
    {
      "apiVersion": "v1",
      "kind": "ConfigMap",
      "data": {
        "models-00": "{}"
      },
      "metadata": {
        "labels": {
          "app.kubernetes.io/managed-by": "turnpike-operator",
          "turnpike.dev/instance": "blue"
        },
        "name": "blue-bundle-models-00",
        "namespace": "turnpike",
        "ownerReferences": [
          {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "blue-root",
            "uid": "uid-root"
          }
        ],
        "resourceVersion": "7"
      }
    }
    "#);
    assert!(part.lying("models-00", &stamp).intact);
    let edits: [fn(&mut ObjectMeta); 3] = [
        |metadata| metadata.labels = None,
        |metadata| metadata.owner_references = None,
        |metadata| {
            metadata.labels.as_mut().unwrap().insert("turnpike.dev/instance".to_owned(), "red".to_owned());
        },
    ];
    for edit in edits {
        let mut object = object.clone();
        edit(object.meta_mut());
        assert!(!Part::Public(object).lying("models-00", &stamp).intact);
    }
    // What others add is theirs.
    let mut object = object.clone();
    object.meta_mut().labels.as_mut().unwrap().insert("team".to_owned(), "ml".to_owned());
    assert!(Part::Public(object).lying("models-00", &stamp).intact);
}
