//! A backend's `params`, made ready once so that a request only compares names and copies bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{json, splice::Editor};

/// `params` of one backend: defaults, removals and renames of top-level members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompiledParams {
    defaults: Vec<Addition>,
    drop: Vec<Box<str>>,
    rename: Vec<(Box<str>, Box<str>)>,
}

/// One member to add where the client sent none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Addition {
    name: Box<str>,
    /// JSON text.
    value: Bytes,
}

impl CompiledParams {
    /// Compiles the three parts of a backend's `params`.
    ///
    /// They apply in the order drop, rename, defaults: a dropped member is not renamed but may have a default (which
    /// makes it a fixed value), and a default is added unless the client sent the member or one that is renamed to it.
    /// `model`, `messages`, `prompt`, `input` and `stream` are the request itself: entries for them are ignored.
    pub fn compile(
        defaults: &BTreeMap<String, serde_json::Value>,
        drop: &[String],
        rename: &BTreeMap<String, String>,
    ) -> Self {
        let mut dropped: Vec<Box<str>> =
            drop.iter().filter(|name| !is_reserved(name)).map(|name| name.as_str().into()).collect();
        dropped.sort_unstable();
        dropped.dedup();
        Self {
            defaults: defaults
                .iter()
                .filter(|(name, _)| !is_reserved(name))
                .map(|(name, value)| Addition { name: name.as_str().into(), value: Bytes::from(value.to_string()) })
                .collect(),
            drop: dropped,
            rename: rename
                .iter()
                .filter(|(from, to)| !is_reserved(from) && !is_reserved(to) && from != to)
                .map(|(from, to)| (from.as_str().into(), to.as_str().into()))
                .collect(),
        }
    }

    /// Bytes that it may add to a request.
    pub(crate) fn added_bytes(&self) -> u64 {
        self.defaults.iter().map(|addition| (addition.name.len() + addition.value.len()) as u64).sum()
    }

    /// The name under which a member goes on.
    pub(crate) fn name_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.rename.iter().find(|(from, _)| from.as_ref() == name).map_or(name, |(_, to)| to)
    }

    /// Whether a member is removed.
    pub(crate) fn drops(&self, name: &str) -> bool {
        self.drop.binary_search_by(|dropped| dropped.as_ref().cmp(name)).is_ok()
    }

    /// Whether some member is renamed to this.
    pub(crate) fn renames_to(&self, name: &str) -> bool {
        self.rename.iter().any(|(_, to)| to.as_ref() == name)
    }

    /// Defaults as texts, for forms.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, Bytes)> {
        self.defaults.iter().map(|Addition { name, value }| {
            let text = json::as_str(value).map(|text| Bytes::copy_from_slice(text.as_bytes()));
            (&**name, text.unwrap_or_else(|| value.clone()))
        })
    }

    /// Changes a request in the making.
    pub(crate) fn apply(&self, edit: &mut Editor<'_>) {
        for name in &self.drop {
            edit.delete(name);
        }
        for (from, to) in &self.rename {
            edit.rename(from, to);
        }
        for addition in &self.defaults {
            if !edit.has(&addition.name) {
                edit.set(&addition.name, addition.value.clone());
            }
        }
    }
}

/// Members whose meaning the gateway has already acted on.
fn is_reserved(name: &str) -> bool {
    matches!(name, "model" | "messages" | "prompt" | "input" | "stream")
}
