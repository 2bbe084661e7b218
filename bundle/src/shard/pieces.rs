//! Entries as shards hold them. What is made of an entry is kept until the entry is another: that of ten thousand takes
//! as long as all the rest of a publication.

use std::{cmp::Ordering, iter::Peekable, sync::Arc, vec::IntoIter};

use serde::Serialize;

use crate::{
    canonical,
    entry::{BudgetEntry, Contents, CredentialEntry, EndpointEntry, KeyEntry, ModelEntry, ObjectRef},
    manifest::Kind,
};

/// An entry that can be put into a shard.
pub(crate) trait Entry: Serialize + serde::de::DeserializeOwned + Clone + PartialEq {
    /// The name that its slot and order follow from.
    fn key(&self) -> String;
    /// The order that contents have.
    fn order(&self, other: &Self) -> Ordering;
}

impl Entry for CredentialEntry {
    fn key(&self) -> String {
        self.digest.clone()
    }

    fn order(&self, other: &Self) -> Ordering {
        self.digest.cmp(&other.digest)
    }
}

macro_rules! of_objects {
    ($($entry:ident),+) => {$(
        impl Entry for $entry {
            fn key(&self) -> String {
                self.object.to_string()
            }

            fn order(&self, other: &Self) -> Ordering {
                self.object.cmp(&other.object)
            }
        }
    )+};
}

of_objects!(ModelEntry, KeyEntry, BudgetEntry, EndpointEntry);

/// A serialized entry.
pub struct Piece {
    pub(super) key: String,
    pub(super) json: String,
    slot: u8,
    hash: String,
}

impl Piece {
    fn of<E: Entry>(entry: &E) -> Self {
        let (key, json) = (entry.key(), canonical::to_string(entry));
        Self { slot: canonical::slot(&key), hash: canonical::sha256_hex(json.as_bytes()), key, json }
    }

    /// Its hash slot.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// sha256 of the entry as canonical JSON, lower-case hex.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// The entries of one kind with their pieces, in the order of the contents.
struct Made<E>(Vec<(E, Arc<Piece>)>);

impl<E: Entry> Made<E> {
    /// Contents are sorted; what is not is made anew.
    fn renew<'a>(&mut self, entries: impl Iterator<Item = &'a E>)
    where
        E: 'a,
    {
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        let renewed = entries
            .map(|entry| same(&mut before, entry).unwrap_or_else(|| (entry.clone(), Arc::new(Piece::of(entry)))));
        self.0 = renewed.collect();
    }

    fn pieces(&self) -> Vec<&Arc<Piece>> {
        self.0.iter().map(|(_, piece)| piece).collect()
    }
}

fn same<E: Entry>(before: &mut Peekable<IntoIter<(E, Arc<Piece>)>>, entry: &E) -> Option<(E, Arc<Piece>)> {
    while before.next_if(|(old, _)| old.order(entry).is_lt()).is_some() {}
    before.next_if(|(old, _)| old == entry)
}

impl<E> Default for Made<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Everything that contents hold, with its pieces.
#[derive(Default)]
pub(super) struct Pieces {
    models: Made<ModelEntry>,
    keys: Made<KeyEntry>,
    budgets: Made<BudgetEntry>,
    credentials: Made<CredentialEntry>,
    endpoints: Made<EndpointEntry>,
}

impl Pieces {
    pub(super) fn renew(&mut self, contents: &Contents) {
        self.models.renew(contents.models.iter());
        self.keys.renew(contents.keys.iter());
        self.budgets.renew(contents.budgets.iter());
        self.credentials.renew(contents.credentials.values());
        self.endpoints.renew(contents.endpoints.iter());
    }

    pub(super) fn of_kind(&self, kind: Kind) -> Vec<&Arc<Piece>> {
        match kind {
            Kind::Models => self.models.pieces(),
            Kind::Keys => self.keys.pieces(),
            Kind::Budgets => self.budgets.pieces(),
            Kind::Credentials => self.credentials.pieces(),
            Kind::Endpoints => self.endpoints.pieces(),
        }
    }

    /// Those that an object compiles to, sorted by it within each kind.
    pub(super) fn of_objects(&self) -> impl Iterator<Item = (Kind, &ObjectRef, &Piece)> {
        let models = self.models.0.iter().map(|(entry, piece)| (Kind::Models, &entry.object, piece.as_ref()));
        let keys = self.keys.0.iter().map(|(entry, piece)| (Kind::Keys, &entry.object, piece.as_ref()));
        let budgets = self.budgets.0.iter().map(|(entry, piece)| (Kind::Budgets, &entry.object, piece.as_ref()));
        models.chain(keys).chain(budgets)
    }
}
