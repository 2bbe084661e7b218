//! What many rows have in common is stored once and referred to: less to bind, to copy and to read.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::Arc,
};

use sqlx::{Arguments, error::BoxDynError, sqlite::SqliteArguments};

use crate::spend_log::SpendRow;

/// Contexts to remember. Clients choose some of their texts, so the number must have a bound: at it, all are forgotten.
const REMEMBERED: usize = 16_384;

/// Columns of `spend_context`, in the order of [`Context::bind`].
pub(super) const COLUMNS: [&str; 13] = [
    "id",
    "key_id",
    "team",
    "user",
    "requested_model",
    "model",
    "provider",
    "upstream_model",
    "operation",
    "stream",
    "status",
    "outcome",
    "estimated",
];

/// A row of `spend_context`.
pub(super) struct Context {
    id: i64,
    key_id: Arc<str>,
    team: Option<Arc<str>>,
    user: Option<Arc<str>>,
    requested_model: Arc<str>,
    model: Option<Arc<str>>,
    provider: Option<&'static str>,
    upstream_model: Option<Arc<str>>,
    operation: &'static str,
    stream: bool,
    status: u16,
    outcome: &'static str,
    estimated: bool,
}

impl Context {
    fn new(id: i64, row: &SpendRow) -> Self {
        Self {
            id,
            key_id: Arc::clone(&row.key_id),
            team: row.team.clone(),
            user: row.user.clone(),
            requested_model: Arc::clone(&row.requested_model),
            model: row.model.clone(),
            provider: row.provider,
            upstream_model: row.upstream_model.clone(),
            operation: row.operation,
            stream: row.stream,
            status: row.status,
            outcome: row.outcome,
            estimated: row.estimated,
        }
    }

    fn is_of(&self, row: &SpendRow) -> bool {
        self.key_id == row.key_id
            && self.team == row.team
            && self.user == row.user
            && self.requested_model == row.requested_model
            && self.model == row.model
            && self.provider == row.provider
            && self.upstream_model == row.upstream_model
            && self.operation == row.operation
            && self.stream == row.stream
            && self.status == row.status
            && self.outcome == row.outcome
            && self.estimated == row.estimated
    }

    /// Adds the values of [`COLUMNS`].
    pub(super) fn bind(&self, values: &mut SqliteArguments) -> Result<(), BoxDynError> {
        values.add(self.id)?;
        values.add(Arc::clone(&self.key_id))?;
        values.add(self.team.clone())?;
        values.add(self.user.clone())?;
        values.add(Arc::clone(&self.requested_model))?;
        values.add(self.model.clone())?;
        values.add(self.provider)?;
        values.add(self.upstream_model.clone())?;
        values.add(self.operation)?;
        values.add(self.stream)?;
        values.add(i64::from(self.status))?;
        values.add(self.outcome)?;
        values.add(self.estimated)
    }
}

/// The contexts that a connection has written.
#[derive(Default)]
pub(super) struct Contexts {
    hasher: RandomState,
    /// By [`Contexts::hash`]. Of two with one hash the later is kept: the other is written again when it is needed.
    known: HashMap<u64, Arc<Context>>,
    /// The one of the last row: many rows of a batch are alike, and comparing is cheaper than hashing.
    last: Option<Arc<Context>>,
}

impl Contexts {
    /// The context of `row`, if it was written.
    pub(super) fn of(&mut self, row: &SpendRow) -> Option<i64> {
        if let Some(last) = self.last.as_ref().filter(|context| context.is_of(row)) {
            return Some(last.id);
        }
        let context = self.known.get(&self.hash(row)).filter(|context| context.is_of(row))?;
        Some(self.last.insert(Arc::clone(context)).id)
    }

    /// Remembers a new context for `row`, to be written.
    pub(super) fn add(&mut self, id: i64, row: &SpendRow) -> Arc<Context> {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let context = Arc::new(Context::new(id, row));
        self.known.insert(self.hash(row), Arc::clone(&context));
        context
    }

    fn hash(&self, row: &SpendRow) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        row.key_id.hash(&mut hasher);
        row.requested_model.hash(&mut hasher);
        row.model.hash(&mut hasher);
        row.outcome.hash(&mut hasher);
        (row.status, row.stream, row.estimated).hash(&mut hasher);
        row.upstream_model.as_deref().map(str::len).hash(&mut hasher);
        hasher.finish()
    }
}
