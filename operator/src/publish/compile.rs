//! One picture of the cluster → the bundle to publish, and what became of each object in it.
//!
//! ```text
//!  World ─ render ─▶ Contents ─ shard ─▶ Bundle ─ left out? ─▶ problem BundleFull
//!  Endpoints ──────────▲
//!                       │                  │
//!                       ▼ digest           ▼ version of the shard
//!                     unchanged: `since` stays; changed, new or vanished: the shard's version
//! ```

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use turnpike_bundle::{
    Bundle, Contents, Cutter, Manifest, Problem, Rendered, Settings,
    entry::{Backend, ObjectRef},
    manifest::{FORMAT, Kind},
    problem::{ObjectId, ObjectKind},
    render,
    shard::Piece,
};
use turnpike_crds::Reason;

use crate::{
    publish::{
        Compiled,
        endpoints::Endpoints,
        previous::{Known, Previous, kind_of, short},
    },
    world::World,
};

/// What is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// The objects.
    pub world: &'a World,
    /// Where engines' pods are. They are part of no object's entry.
    pub endpoints: &'a Endpoints,
    /// The bundle's format, one that this build writes.
    pub format: u32,
}

/// What is to be published of one picture of the cluster.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// To write.
    pub bundle: Bundle,
    /// Every object of the picture.
    pub objects: BTreeMap<ObjectId, Compiled>,
    /// Digests of the credentials in the bundle.
    pub credentials: BTreeSet<String>,
    /// Where engines' pods are.
    pub endpoints: Endpoints,
    /// How many objects found no room.
    pub left_out: usize,
}

impl Compilation {
    /// What the next compilation compares with, once this one is published.
    pub fn into_previous(self) -> (Previous, BTreeMap<ObjectId, Compiled>) {
        let known = |compiled: &Compiled| Known { digest: compiled.digest.clone(), since: compiled.since };
        let previous = Previous {
            known: self.objects.iter().map(|(id, compiled)| (id.clone(), known(compiled))).collect(),
            credentials: self.credentials,
            endpoints: self.endpoints,
            floor: self.bundle.manifest.version,
            manifest: Some(self.bundle.manifest),
        };
        (previous, self.objects)
    }
}

/// Compiles a picture without engines' pods, in the newest format. `now_ms` is the clock, unix milliseconds; versions grow even
/// where it does not.
pub fn compile(world: &World, settings: &Settings, previous: &Previous, now_ms: u64) -> Compilation {
    let picture = Picture { world, endpoints: &Endpoints::default(), format: FORMAT };
    Compiler::default().compile(picture, settings, previous, now_ms)
}

/// Compiles picture after picture as [`compile`] does, and spares itself what has not changed since the last one.
#[derive(Default)]
pub struct Compiler {
    cutter: Cutter,
}

impl Compiler {
    /// As [`compile`], of whatever picture.
    pub fn compile(
        &mut self,
        picture: Picture<'_>,
        settings: &Settings,
        previous: &Previous,
        now_ms: u64,
    ) -> Compilation {
        let Picture { world, endpoints, format } = picture;
        let mut rendered = render(&world.objects(), settings);
        rendered.contents.endpoints = endpoints.to_vec();
        let now_ms = now_ms.max(previous.floor.saturating_add(1));
        let bundle = self.fit(&mut rendered, format, previous.manifest.as_ref(), now_ms);
        let objects = self.objects(world, &rendered, &bundle.manifest, &previous.known);
        let left_out = rendered.problems.iter().filter(|problem| problem.reason == Reason::BundleFull).count();
        let credentials = rendered.contents.credentials.into_keys().collect();
        Compilation { left_out, bundle, objects, credentials, endpoints: endpoints.clone() }
    }

    /// Cuts the contents, and takes what does not fit out of them. A model goes with its credential: gateways would wait
    /// for that for ever.
    fn fit(&mut self, rendered: &mut Rendered, format: u32, previous: Option<&Manifest>, now_ms: u64) -> Bundle {
        loop {
            let bundle = self.cutter.cut(&rendered.contents, format, previous, now_ms);
            let left_out: BTreeSet<&str> = bundle.left_out.iter().map(String::as_str).collect();
            let full = take_out(&mut rendered.contents, &left_out);
            let again = bundle.left_out.iter().any(|entry| entry.starts_with("credentials "));
            rendered.problems.extend(full.into_iter().map(no_room));
            if !again {
                rendered.problems.sort();
                return bundle;
            }
        }
    }

    fn objects(
        &self,
        world: &World,
        rendered: &Rendered,
        manifest: &Manifest,
        known: &BTreeMap<ObjectId, Known>,
    ) -> BTreeMap<ObjectId, Compiled> {
        let mut problems = by_object(&rendered.problems);
        let mut warnings = by_object(&rendered.warnings);
        let credentials: BTreeMap<&ObjectRef, &str> = rendered
            .contents
            .models
            .iter()
            .filter_map(|entry| match &entry.backend {
                Backend::Provider(backend) => Some((&entry.object, backend.credential.as_deref()?)),
                Backend::Route(_) | Backend::Mock { .. } => None,
            })
            .collect();
        let pieces: BTreeMap<(Kind, &ObjectRef), &Piece> =
            self.cutter.pieces().map(|(kind, object, piece)| ((kind, object), piece)).collect();
        let compiled = |(object, generation): (ObjectId, i64)| {
            let kind = kind_of(object.kind);
            let piece = kind.and_then(|kind| pieces.get(&(kind, &object.object)));
            let shard = kind.and_then(|kind| match piece {
                Some(piece) => manifest.in_slot(kind, piece.slot()),
                None => manifest.covering(kind, &object.object.to_string()),
            });
            let problems = problems.remove(&object).unwrap_or_default();
            let fits = problems.iter().all(|problem| problem.reason != Reason::BundleFull);
            let digest = piece.filter(|_| fits).map(|piece| short(piece.hash()));
            let version = shard.map_or(manifest.version, |shard| shard.version);
            let since = match known.get(&object) {
                Some(known) if known.digest == digest => known.since.min(version),
                _ => version,
            };
            let warnings = warnings.remove(&object).unwrap_or_default();
            let credential = credentials.get(&object.object).filter(|_| object.kind == ObjectKind::ModelDeployment);
            let credential = credential.map(|digest| (*digest).to_owned());
            (object, Compiled { generation, digest, since, problems, warnings, credential })
        };
        generations(world).map(compiled).collect()
    }
}

/// Removes the entries that were left out, and says whose they were.
fn take_out(contents: &mut Contents, left_out: &BTreeSet<&str>) -> Vec<ObjectId> {
    let mut full = Vec::new();
    if left_out.is_empty() {
        return full;
    }
    let credentials = |digest: &str| left_out.contains(format!("credentials {digest}").as_str());
    contents.credentials.retain(|digest, _| !credentials(digest));
    let mut keep = |kind: ObjectKind, name: &str, object: &ObjectRef, whole: bool| {
        let stays = whole && !left_out.contains(format!("{name} {object}").as_str());
        if !stays {
            full.push(ObjectId { kind, object: object.clone() });
        }
        stays
    };
    contents.models.retain(|entry| {
        let whole = match &entry.backend {
            Backend::Provider(backend) => !backend.credential.as_deref().is_some_and(credentials),
            Backend::Route(_) | Backend::Mock { .. } => true,
        };
        keep(ObjectKind::ModelDeployment, "models", &entry.object, whole)
    });
    contents.keys.retain(|entry| keep(ObjectKind::VirtualKey, "keys", &entry.object, true));
    contents.budgets.retain(|entry| keep(ObjectKind::Budget, "budgets", &entry.object, true));
    full
}

fn no_room(object: ObjectId) -> Problem {
    Problem {
        object,
        field: "spec".to_owned(),
        reason: Reason::BundleFull,
        message: "the bundle that gateways load has no room for it".to_owned(),
        next_step: "make it smaller, or remove objects that nobody uses".to_owned(),
    }
}

fn by_object(problems: &[Problem]) -> BTreeMap<ObjectId, Vec<Problem>> {
    let mut map: BTreeMap<ObjectId, Vec<Problem>> = BTreeMap::new();
    for problem in problems {
        map.entry(problem.object.clone()).or_default().push(problem.clone());
    }
    map
}

/// Every object with its generation, those that are being deleted included.
fn generations(world: &World) -> impl Iterator<Item = (ObjectId, i64)> + '_ {
    fn of<K: ResourceExt>(
        kind: ObjectKind,
        objects: &BTreeMap<ObjectRef, std::sync::Arc<K>>,
    ) -> impl Iterator<Item = (ObjectId, i64)> {
        objects.iter().map(move |(object, resource)| {
            let id = ObjectId { kind, object: object.clone() };
            (id, resource.meta().generation.unwrap_or_default())
        })
    }
    of(ObjectKind::ModelDeployment, &world.models)
        .chain(of(ObjectKind::VirtualKey, &world.keys))
        .chain(of(ObjectKind::Budget, &world.budgets))
}
