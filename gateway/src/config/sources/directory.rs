//! A folder of manifests as the source of configuration: what an API server and the operator do in a cluster.
//!
//! ```text
//!  files ─ documents ─▶ objects ─ mint keys ─▶ bundle::render ─▶ Loaded
//!    │ not readable        │ invalid                │ invalid
//!    └─▶ the file's        └────────────────────────┴─▶ the object's last good version, as an API server that
//!        last objects                                   refuses an edit would leave it
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    io, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use turnpike_bundle::{
    Contents, Objects, Problem, Rendered, Secret, Settings, entry::ObjectRef, objects::Value, problem::ObjectId, render,
};
use turnpike_crds::{Reason, Time, VirtualKey};

use super::minted::{Minted, MintedKey};
use files::Files;
use manifests::{Item, Lookup, Manifest, Object};

mod beside;
mod documents;
mod files;
mod manifests;

/// Ends the next step of a problem whose object is served as it was before.
const LAST_GOOD: &str = "; until then its last good version is served";

/// A folder of manifests, and what was good of it so far.
pub struct Directory {
    path: PathBuf,
    minted: Minted,
    variable: Box<Lookup>,
    /// The folder's files when they were last read.
    read: Files,
    files: BTreeMap<String, Known>,
    /// Each object's last version without a fault of its own.
    good: BTreeMap<ObjectId, Object>,
    /// Objects that are in no file. One of the same name in a file goes before.
    beside: BTreeMap<ObjectId, Object>,
    /// Secrets that were made.
    secrets: Secrets,
}

/// What is known of a file.
#[derive(Default)]
struct Known {
    /// Its objects when it was last readable.
    items: Vec<Item>,
    /// It was readable as a whole then.
    is_whole: bool,
}

/// What a folder gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// To serve from.
    pub contents: Contents,
    /// Hash of the contents.
    pub hash: String,
    /// Why something is not served as it is written.
    pub problems: Vec<Problem>,
    /// What is served, but perhaps not as meant.
    pub warnings: Vec<Problem>,
    /// Keys that were made, now or earlier.
    pub minted: Vec<MintedKey>,
}

impl Directory {
    /// `variable` looks up what values `env:NAME` of Secrets name.
    pub fn new(path: &Path, minted: Minted, variable: impl Fn(&str) -> Option<String> + Send + 'static) -> Self {
        let variable = Box::new(variable);
        Self {
            path: path.to_owned(),
            minted,
            variable,
            read: Files::new(),
            files: BTreeMap::new(),
            good: BTreeMap::new(),
            beside: BTreeMap::new(),
            secrets: Secrets::new(),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the folder and compiles what it holds.
    ///
    /// # Errors
    /// The folder cannot be read; what was read before stays as it was.
    pub fn load(&mut self) -> io::Result<Loaded> {
        self.read = files::read(&self.path)?;
        Ok(self.again())
    }

    /// The same from what was last read.
    pub fn again(&mut self) -> Loaded {
        let files = mem::take(&mut self.read);
        let loaded = self.load_files(&files);
        self.read = files;
        loaded
    }

    /// Whether a file that had objects is now gone or empty, as it is for a moment while some editors save it.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn may_be_half_saved(&self) -> io::Result<bool> {
        let now = files::read(&self.path)?;
        let empty = |name: &String| now.get(name).is_none_or(|bytes| bytes.trim_ascii().is_empty());
        Ok(self.files.iter().any(|(name, known)| !known.items.is_empty() && empty(name)))
    }

    fn load_files(&mut self, files: &Files) -> Loaded {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut current = BTreeMap::new();
        self.files.retain(|name, _| files.contains_key(name));
        for (name, bytes) in files {
            let Manifest { items, is_torn, problems: faults, warnings: notes } =
                manifests::read(name, bytes, &*self.variable);
            problems.extend(faults);
            warnings.extend(notes);
            let known = self.files.entry(name.clone()).or_default();
            if !is_torn || !known.is_whole {
                *known = Known { items, is_whole: !is_torn };
            }
            for item in self.files.get(name).into_iter().flat_map(|known| &known.items) {
                self.add(name, item, &mut current, &mut problems);
            }
        }
        self.add_beside(&mut current, &mut warnings);
        let (minted, secrets) = self.mint(&mut current, &mut problems);
        let rendered = self.render(&mut current, &secrets);
        self.secrets = secrets;
        problems.extend(rendered.problems);
        problems.sort();
        warnings.extend(rendered.warnings);
        warnings.sort();
        Loaded { hash: rendered.contents.hash(), contents: rendered.contents, problems, warnings, minted }
    }

    /// Takes an object, or its last good version. The first file wins a name.
    fn add(&self, file: &str, item: &Item, current: &mut BTreeMap<ObjectId, Object>, problems: &mut Vec<Problem>) {
        if current.contains_key(&item.id) {
            let next_step = "rename or remove one of the two".to_owned();
            let message = format!("{} is in another file, or twice in this one; the first is taken", item.id);
            let object = manifests::file_id(file);
            problems.push(Problem {
                object,
                field: "metadata.name".to_owned(),
                reason: Reason::Invalid,
                message,
                next_step,
            });
            return;
        }
        if let Some(object) = &item.object {
            current.insert(item.id.clone(), object.clone());
        } else if let Some(good) = self.good.get(&item.id) {
            current.insert(item.id.clone(), good.clone());
            mark_last_good(problems, &item.id);
        }
    }

    /// Renders; objects with a fault of their own are replaced by their last good version, where there is one.
    fn render(&mut self, current: &mut BTreeMap<ObjectId, Object>, secrets: &Secrets) -> Rendered {
        let mut rendered = render(&objects(current, secrets), &Settings::standalone());
        let faulty: BTreeSet<ObjectId> = rendered
            .problems
            .iter()
            .filter(|problem| problem.reason == Reason::Invalid)
            .map(|problem| problem.object.clone())
            .collect();
        let (restored, lost): (BTreeSet<_>, BTreeSet<_>) =
            faulty.into_iter().partition(|id| self.good.contains_key(id));
        if !restored.is_empty() {
            for id in &restored {
                mark_last_good(&mut rendered.problems, id);
                current.extend(self.good.get(id).map(|good| (id.clone(), good.clone())));
            }
            let again = render(&objects(current, secrets), &Settings::standalone());
            rendered.problems.retain(|problem| restored.contains(&problem.object));
            let others = again.problems.into_iter().filter(|problem| !restored.contains(&problem.object));
            rendered.problems.extend(others);
            rendered.contents = again.contents;
            rendered.warnings = again.warnings;
        }
        self.good = current
            .iter()
            .filter(|(id, _)| !lost.contains(id))
            .map(|(id, object)| (id.clone(), object.clone()))
            .collect();
        rendered
    }

    /// Gives every `VirtualKey` that asks for it a key, in a Secret that is only its own.
    fn mint(&self, current: &mut BTreeMap<ObjectId, Object>, problems: &mut Vec<Problem>) -> (Vec<MintedKey>, Secrets) {
        let mut minted = Vec::new();
        let mut secrets = Secrets::new();
        for (id, object) in current.iter_mut() {
            let Object::Key(key) = object else { continue };
            let Some(generate) = key.spec.generate.clone() else { continue };
            let ObjectRef { namespace, name } = id.object.clone();
            let secret = generate.secret_name.unwrap_or(name);
            match self.minted.client_key(&namespace, &secret, &generate.secret_key) {
                Ok(stored) => {
                    start_ttl(Arc::make_mut(key), Timestamp::try_from(stored.created).unwrap_or_default());
                    let made = || {
                        Arc::new(Secret {
                            data: BTreeMap::from([(generate.secret_key, Value::digested(stored.key.as_bytes()))]),
                            minted_for: Some(id.object.clone()),
                            ..Secret::default()
                        })
                    };
                    secrets.entry(ObjectRef { namespace, name: secret }).or_insert_with(made);
                    minted.push(MintedKey { object: id.object.clone(), path: stored.path });
                }
                Err(error) => problems.push(Problem {
                    object: id.clone(),
                    field: "spec.generate".to_owned(),
                    reason: Reason::Invalid,
                    message: error.to_string(),
                    next_step: "make the data folder writable, or choose other names".to_owned(),
                }),
            }
        }
        (minted, secrets)
    }
}

/// Secrets that were made, by name.
type Secrets = BTreeMap<ObjectRef, Arc<Secret>>;

/// In a folder nothing says when an object was made, but a key's file does.
fn start_ttl(key: &mut VirtualKey, created: Timestamp) {
    key.metadata.creation_timestamp.get_or_insert(Time(created));
}

fn mark_last_good(problems: &mut [Problem], id: &ObjectId) {
    for problem in problems.iter_mut().filter(|problem| problem.object == *id) {
        if !problem.next_step.ends_with(LAST_GOOD) {
            problem.next_step.push_str(LAST_GOOD);
        }
    }
}

/// A Secret of the folder goes before one that was made: its key is told that it is somebody else's.
fn objects(current: &BTreeMap<ObjectId, Object>, secrets: &Secrets) -> Objects {
    let mut objects = Objects { secrets: secrets.clone(), ..Objects::default() };
    for (id, object) in current {
        match object {
            Object::Model(model) => objects.models.push(model.clone()),
            Object::Key(key) => objects.keys.push(key.clone()),
            Object::Budget(budget) => objects.budgets.push(budget.clone()),
            Object::Secret(secret) => {
                objects.secrets.insert(id.object.clone(), secret.clone());
            }
        }
    }
    objects
}
