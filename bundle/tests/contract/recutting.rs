//! A cut that spares itself what has not changed is the cut that knows nothing.

use proptest::prelude::*;
use turnpike_bundle::{
    Contents, Cutter, Manifest,
    manifest::{FORMAT, Kind},
    sha256_hex, shard,
};

use crate::sharding::{credential, key, model};

/// One change of the contents.
#[derive(Clone, Debug)]
enum Change {
    Model(u8, u32),
    Key(u8, u8),
    Credential(u8, u8),
    RemoveModel(u8),
    RemoveKey(u8),
    RemoveCredential(u8),
    /// Another process goes on from what is published, knowing nothing of how it came about.
    Forget,
    /// What was cut was not published.
    Lose,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        // Some are larger than a shard may be.
        4 => (0_u8..12, prop_oneof![30 => 0_u32..24_000, 1 => 690_000_u32..720_000]).prop_map(|(at, size)| Change::Model(at, size)),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(at, hash)| Change::Key(at, hash)),
        2 => (any::<u8>(), 0_u8..4).prop_map(|(at, value)| Change::Credential(at, value)),
        2 => (0_u8..12).prop_map(Change::RemoveModel),
        2 => any::<u8>().prop_map(Change::RemoveKey),
        1 => any::<u8>().prop_map(Change::RemoveCredential),
        1 => Just(Change::Forget),
        1 => Just(Change::Lose),
    ]
}

fn apply(contents: &mut Contents, change: &Change) {
    let name = |at: u8| format!("object-{at:03}");
    match change {
        Change::Model(at, size) => {
            contents.models.retain(|entry| entry.object.name != name(*at));
            contents.models.push(model(&name(*at), &"x".repeat(usize::try_from(*size).unwrap())));
        }
        Change::Key(at, hash) => {
            contents.keys.retain(|entry| entry.object.name != name(*at));
            contents.keys.push(key(&name(*at), &sha256_hex(&[*hash])));
        }
        Change::Credential(at, value) => {
            contents.credentials.insert(name(*at), credential(&name(*at), &value.to_string()));
        }
        Change::RemoveModel(at) => contents.models.retain(|entry| entry.object.name != name(*at)),
        Change::RemoveKey(at) => contents.keys.retain(|entry| entry.object.name != name(*at)),
        Change::RemoveCredential(at) => drop(contents.credentials.remove(&name(*at))),
        Change::Forget | Change::Lose => {}
    }
    contents.models.sort_by(|a, b| a.object.cmp(&b.object));
    contents.keys.sort_by(|a, b| a.object.cmp(&b.object));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cut_is_the_one_that_knows_nothing(changes in prop::collection::vec(change(), 1..30)) {
        let (mut cutter, mut contents, mut now) = (Cutter::default(), Contents::default(), 1_000);
        let mut previous: Option<Manifest> = None;
        for change in &changes {
            apply(&mut contents, change);
            if matches!(change, Change::Forget) {
                cutter = Cutter::default();
            }
            now += 1;
            let cut = cutter.cut(&contents, FORMAT, previous.as_ref(), now);
            prop_assert_eq!(&cut, &shard(&contents, previous.as_ref(), now));
            let pieces: Vec<_> = cutter.pieces().map(|(kind, object, _)| (kind, object.clone())).collect();
            let models = contents.models.iter().map(|entry| (Kind::Models, entry.object.clone()));
            let keys = contents.keys.iter().map(|entry| (Kind::Keys, entry.object.clone()));
            prop_assert_eq!(pieces, models.chain(keys).collect::<Vec<_>>());
            if !matches!(change, Change::Lose) {
                previous = Some(cut.manifest);
            }
        }
    }
}
