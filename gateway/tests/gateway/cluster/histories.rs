//! Whatever is put into the volume, in whatever order: nothing that was good is lost, nothing that is bad is taken, time
//! never runs backwards, and a clean bundle is always taken in full.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index};
use turnpike_bundle::{
    Bundle, Contents,
    entry::{Backend, ModelEntry},
    layout,
    manifest::Kind,
    shard,
};
use turnpike_gateway::config::sources::mounted::Mounted;
use turnpike_testkit::volume::Volume;

use super::{files, mocks};

/// Objects that are always there, of each kind.
const OBJECTS: usize = 6;

/// What an operator does next, and what happens to it on its way.
#[derive(Clone, Debug)]
struct Step {
    /// The objects that change, and whether they are large: large ones have the shards split and joined.
    edits: Vec<(Index, bool)>,
    fault: Fault,
}

#[derive(Clone, Debug)]
enum Fault {
    /// None: all arrives.
    Clean,
    /// A part is cut off.
    Torn(Index, Index),
    /// A byte of a part is another.
    Edited(Index, Index),
    /// A part is not there.
    Missing(Index),
    /// A part is that of an earlier bundle.
    Stale(Index, Index),
    /// A whole earlier bundle is there again.
    Older(Index),
    /// A part holds what another should.
    Swapped(Index, Index),
    /// There is nothing at all.
    Empty,
}

fn fault() -> impl Strategy<Value = Fault> {
    let one = any::<Index>;
    prop_oneof![
        2 => Just(Fault::Clean),
        1 => (one(), one()).prop_map(|(part, at)| Fault::Torn(part, at)),
        1 => (one(), one()).prop_map(|(part, at)| Fault::Edited(part, at)),
        1 => one().prop_map(Fault::Missing),
        1 => (one(), one()).prop_map(|(part, from)| Fault::Stale(part, from)),
        1 => one().prop_map(Fault::Older),
        1 => (one(), one()).prop_map(|(part, with)| Fault::Swapped(part, with)),
        1 => Just(Fault::Empty),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let edits = proptest::collection::vec((any::<Index>(), prop::bool::weighted(0.3)), 0..5);
    (edits, fault()).prop_map(|(edits, fault)| Step { edits, fault })
}

/// Models and keys whose content says at which step they were written.
struct World {
    contents: Contents,
    published: Vec<BTreeMap<String, Vec<u8>>>,
    last: Option<Bundle>,
}

impl World {
    fn new() -> Self {
        let mut contents = mocks(&["model"]);
        let (model, key) = (contents.models.remove(0), contents.keys.remove(0));
        for index in 0..OBJECTS {
            let (mut model, mut key) = (model.clone(), key.clone());
            model.object.name = format!("model-{index}");
            key.object.name = format!("key-{index}");
            contents.models.push(model);
            contents.keys.push(key);
        }
        let mut world = Self { contents, published: Vec::new(), last: None };
        (0..OBJECTS).for_each(|index| world.write(index, 0, false));
        world
    }

    fn write(&mut self, index: usize, step: usize, large: bool) {
        let padding = if large { "x".repeat(60_000) } else { String::new() };
        self.contents.models[index].backend = Backend::Mock { response: format!("{step}/{padding}") };
        self.contents.keys[index].key_id = format!("{step}/");
    }

    /// The files that an operator writes for the present contents.
    fn publish(&mut self) -> BTreeMap<String, Vec<u8>> {
        let bundle = shard(&self.contents, self.last.as_ref().map(|bundle| &bundle.manifest), 1000);
        let files = files(&bundle);
        self.last = Some(bundle);
        self.published.push(files.clone());
        files
    }
}

fn spoil(
    mut files: BTreeMap<String, Vec<u8>>,
    fault: &Fault,
    published: &[BTreeMap<String, Vec<u8>>],
) -> BTreeMap<String, Vec<u8>> {
    let names: Vec<String> = files.keys().cloned().collect();
    match fault {
        Fault::Clean => {}
        Fault::Torn(part, at) => {
            let bytes = files.get_mut(part.get(&names)).unwrap();
            bytes.truncate(at.index(bytes.len()));
        }
        Fault::Edited(part, at) => {
            let bytes = files.get_mut(part.get(&names)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1;
        }
        Fault::Missing(part) => {
            files.remove(part.get(&names));
        }
        Fault::Stale(part, from) => {
            let name = part.get(&names);
            if let Some(bytes) = from.get(published).get(name) {
                files.insert(name.clone(), bytes.clone());
            }
        }
        Fault::Older(from) => files = from.get(published).clone(),
        Fault::Swapped(part, with) => {
            let bytes = files[with.get(&names)].clone();
            files.insert(part.get(&names).clone(), bytes);
        }
        Fault::Empty => files.clear(),
    }
    files
}

/// The step that wrote each object that is served.
fn served(contents: &Contents) -> BTreeMap<String, usize> {
    let step = |text: &str| text.split_once('/').unwrap().0.parse().unwrap();
    let written = |model: &ModelEntry| match &model.backend {
        Backend::Mock { response } => step(response),
        other => panic!("nobody wrote {other:?}"),
    };
    let models = contents.models.iter().map(|model| (model.object.name.clone(), written(model)));
    models.chain(contents.keys.iter().map(|key| (key.object.name.clone(), step(&key.key_id)))).collect()
}

fn follow(steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let volume = Volume::new(folder.path());
    let (mut world, mut mounted) = (World::new(), Mounted::new(folder.path()));
    volume.publish(world.publish());
    assert!(mounted.look().unwrap().report.hash.is_some());
    let mut before = served(mounted.contents());
    for (number, Step { edits, fault }) in steps.iter().enumerate() {
        for (object, large) in edits {
            world.write(object.index(OBJECTS), number + 1, *large);
        }
        let files = world.publish();
        volume.publish(spoil(files, fault, &world.published));
        let look = mounted.look();
        let now = served(mounted.contents());
        assert_eq!(now.len(), 2 * OBJECTS, "nothing is lost, nothing is double: {now:?}");
        let good = served(&world.contents);
        for (object, step) in &now {
            assert!((before[object]..=good[object]).contains(step), "{object}: {step} after {}", before[object]);
        }
        if let Some(look) = &look {
            let all = look.report.hash.is_some();
            let listed = look.report.hash.as_ref() == world.last.as_ref().map(|bundle| &bundle.manifest.hash);
            assert!(!(all && listed) || now == good, "it says that all is loaded: {now:?} {good:?}");
        }
        before = now;
    }
    volume.publish(world.publish());
    let last = mounted.look();
    assert_eq!(mounted.contents(), &world.contents, "once all arrives, all is taken");
    if let Some(look) = last {
        assert_eq!(look.rejections, []);
        assert_eq!(look.report.hash, world.last.map(|bundle| bundle.manifest.hash));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_history_of_a_volume_loses_or_spoils_anything(steps in proptest::collection::vec(step(), 1..12)) {
        follow(&steps);
    }
}

#[test]
fn the_histories_split_shards() {
    let mut world = World::new();
    (0..OBJECTS).for_each(|index| world.write(index, 1, true));
    let files = world.publish();
    assert!(files.keys().filter(|name| name.starts_with(Kind::Models.name())).count() > 1, "{:?}", files.keys());
    assert!(files.contains_key(layout::MANIFEST));
}
