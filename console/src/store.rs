//! Where the resources are that the admin API shows and changes.

use std::{fmt, pin::Pin, sync::Arc};

use turnpike_bundle::{
    Contents,
    entry::ObjectRef,
    objects::object_ref,
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::{Budget, NanoUsd, VirtualKey};
use turnpike_ledger::reports::{DailySum, LogFilter, LogSum, Logged, SumBy};

/// What will be there later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The resources that a gateway serves from, and a way to change those that the admin API made.
pub trait ResourceStore: Send + Sync + 'static {
    /// All of them as they are now.
    fn catalog(&self) -> Arc<Catalog>;

    /// Changes resources, all or none. Returns once requests are served by the change, and it survives a restart.
    fn change(&self, changes: Vec<Change>) -> Pending<'_, Result<(), StoreError>>;

    /// What keys have spent, in the order of the question.
    fn spent(&self, of: Vec<Since>) -> Pending<'_, Result<Vec<NanoUsd>, StoreError>>;

    /// Requests of the spend log, the newest first.
    fn logged(&self, filter: LogFilter) -> Pending<'_, Result<Vec<Logged>, StoreError>>;

    /// What requests of the spend log add up to, the oldest day first.
    fn log_sums(&self, filter: LogFilter) -> Pending<'_, Result<Vec<LogSum>, StoreError>>;

    /// Sums of days, from this one on (days since the epoch, UTC).
    fn daily_sums(&self, by: SumBy, since: i64) -> Pending<'_, Result<Vec<DailySum>, StoreError>>;
}

/// What is served, and where it comes from.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Every key.
    pub keys: Vec<Held<VirtualKey>>,
    /// Every budget.
    pub budgets: Vec<Held<Budget>>,
    /// What they compile to.
    pub contents: Arc<Contents>,
}

/// A key, and since when its spend is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// As in spend rows.
    pub key_id: String,
    /// Microseconds since the epoch; 0 = all that is known.
    pub from: i64,
}

/// A resource and where it comes from.
#[derive(Clone, Debug)]
pub struct Held<R> {
    /// As it was written.
    pub resource: Arc<R>,
    /// Who wrote it.
    pub origin: Origin,
}

/// Where a resource comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file of the folder of manifests: not for the admin API to change.
    File(String),
    /// The admin API.
    Api,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "manifest {file}"),
            Self::Api => f.write_str("api"),
        }
    }
}

/// A resource of a kind that the admin API makes.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A key.
    Key(Arc<VirtualKey>),
    /// A budget.
    Budget(Arc<Budget>),
}

impl Object {
    /// Its kind, namespace and name.
    pub fn id(&self) -> ObjectId {
        match self {
            Self::Key(key) => ObjectId { kind: ObjectKind::VirtualKey, object: object_ref(key.as_ref()) },
            Self::Budget(budget) => ObjectId { kind: ObjectKind::Budget, object: object_ref(budget.as_ref()) },
        }
    }
}

/// What is to become of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What whoever asks for the change has seen; `None` = there was none.
    pub before: Option<Object>,
    /// What is to be; `None` = nothing.
    pub after: Option<Object>,
}

/// Why resources stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It belongs to a file.
    #[error("{object} is in the manifest {file} and cannot be changed here; edit that file")]
    Manifest {
        /// Which.
        object: ObjectId,
        /// Name of the file.
        file: String,
    },
    /// Somebody else was faster.
    #[error("{0} was changed by somebody else at the same time; read it and try again")]
    Changed(ObjectId),
    /// There is one of this name.
    #[error("there is a {0} already; change that one, or choose another name")]
    Exists(ObjectId),
    /// Another key has the alias.
    #[error("the key_alias \"{alias}\" belongs to {object} already; choose another")]
    AliasTaken {
        /// The alias.
        alias: String,
        /// Whose it is.
        object: ObjectId,
    },
    /// Keys refer to it.
    #[error("{object} is the budget of {key}; give its keys another budget_id first")]
    InUse {
        /// The budget.
        object: ObjectId,
        /// One of its keys.
        key: ObjectId,
    },
    /// It would not be served as it is meant.
    #[error("{message}; {next_step}")]
    Refused {
        /// Path in the resource, such as `spec.allowedModels[0]`.
        field: String,
        /// What is wrong.
        message: String,
        /// What to do about it.
        next_step: String,
    },
    /// It cannot be written, or read.
    #[error("the gateway's database does not answer now; try again")]
    Unavailable,
}

/// Annotation of a key: what `LiteLLM` calls `key_alias`, unique among keys.
pub const ALIAS: &str = "turnpike.dev/key-alias";

/// A key's alias; one of a manifest is known by its name.
pub fn alias(key: &VirtualKey) -> Option<&str> {
    let given = key.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ALIAS));
    given.or(key.metadata.name.as_ref()).map(String::as_str)
}

impl Catalog {
    /// Whether changes go with what is there.
    ///
    /// # Errors
    /// A file has the resource, it is not any more what whoever asks has seen, its alias is another's, or it is in use.
    pub fn check(&self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            let Some(object) = change.before.as_ref().or(change.after.as_ref()) else { continue };
            let id = object.id();
            let now = self.find(&id);
            if let Some((_, Origin::File(file))) = &now {
                return Err(StoreError::Manifest { object: id, file: file.clone() });
            }
            if now.is_some() && change.before.is_none() {
                return Err(StoreError::Exists(id));
            }
            if now.map(|(object, _)| object) != change.before {
                return Err(StoreError::Changed(id));
            }
            match &change.after {
                Some(Object::Key(key)) => self.alias_is_free(&id, key)?,
                Some(Object::Budget(_)) => {}
                None => self.is_unused(&id, changes)?,
            }
        }
        Ok(())
    }

    fn find(&self, id: &ObjectId) -> Option<(Object, Origin)> {
        match id.kind {
            ObjectKind::VirtualKey => {
                self.key(&id.object).map(|held| (Object::Key(Arc::clone(&held.resource)), held.origin.clone()))
            }
            ObjectKind::Budget => {
                self.budget(&id.object).map(|held| (Object::Budget(Arc::clone(&held.resource)), held.origin.clone()))
            }
            ObjectKind::ModelDeployment | ObjectKind::Secret | ObjectKind::File => None,
        }
    }

    fn alias_is_free(&self, id: &ObjectId, key: &VirtualKey) -> Result<(), StoreError> {
        let wanted = alias(key);
        let others = self.keys.iter().filter(|held| object_ref(held.resource.as_ref()) != id.object);
        match others.into_iter().find(|held| wanted.is_some() && alias(&held.resource) == wanted) {
            None => Ok(()),
            Some(held) => Err(StoreError::AliasTaken {
                alias: wanted.unwrap_or_default().to_owned(),
                object: Object::Key(Arc::clone(&held.resource)).id(),
            }),
        }
    }

    /// Whether no key that stays refers to a budget that goes.
    fn is_unused(&self, id: &ObjectId, changes: &[Change]) -> Result<(), StoreError> {
        if id.kind != ObjectKind::Budget {
            return Ok(());
        }
        let goes = |key: &ObjectId| {
            changes
                .iter()
                .any(|change| change.after.is_none() && change.before.as_ref().map(Object::id).as_ref() == Some(key))
        };
        for held in &self.keys {
            let key = Object::Key(Arc::clone(&held.resource)).id();
            let names = held.resource.spec.budget_refs.iter().any(|reference| reference.name == id.object.name);
            if names && key.object.namespace == id.object.namespace && !goes(&key) {
                return Err(StoreError::InUse { object: id.clone(), key });
            }
        }
        Ok(())
    }

    /// The budget of this name.
    pub fn budget(&self, object: &ObjectRef) -> Option<&Held<Budget>> {
        self.budgets.iter().find(|held| object_ref(held.resource.as_ref()) == *object)
    }

    /// The key of this name.
    pub fn key(&self, object: &ObjectRef) -> Option<&Held<VirtualKey>> {
        self.keys.iter().find(|held| object_ref(held.resource.as_ref()) == *object)
    }

    /// The key with this lower-case hex sha256: one that can be used, or one that the admin API made.
    pub fn key_by_hash(&self, sha256: &str) -> Option<&Held<VirtualKey>> {
        let served = |entry: &&turnpike_bundle::entry::KeyEntry| entry.hashes.iter().any(|hash| hash.sha256 == sha256);
        if let Some(entry) = self.contents.keys.iter().find(served) {
            return self.key(&entry.object);
        }
        let written = |held: &&Held<VirtualKey>| hash_of(&held.resource) == Some(sha256);
        self.keys.iter().find(written)
    }

    /// The sha256 of a key, where it is known.
    pub fn sha256<'a>(&'a self, key: &'a VirtualKey) -> Option<&'a str> {
        let object = object_ref(key);
        let at = self.contents.keys.binary_search_by(|entry| entry.object.cmp(&object)).ok();
        at.and_then(|at| self.contents.keys.get(at))
            .and_then(|entry| entry.hashes.first())
            .map(|hash| hash.sha256.as_str())
            .or_else(|| hash_of(key))
    }
}

fn hash_of(key: &VirtualKey) -> Option<&str> {
    key.spec.key_hash.as_deref()?.strip_prefix("sha256:")
}
