//! `data/corrections.jsonl`: what is dropped, changed or kept on purpose, each with its reason.

use std::{collections::BTreeSet, error::Error};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::source::SourceRow;

/// One line; the first that fits a row holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Correction {
    provider: String,
    model: Option<String>,
    prefix: Option<String>,
    #[serde(default)]
    drop: bool,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    set: Map<String, Value>,
    /// Names of checks that this row may fail.
    #[serde(default)]
    keep: BTreeSet<String>,
    why: String,
    #[serde(skip)]
    used: bool,
}

/// A row and the checks that it may fail.
type Corrected = (SourceRow, BTreeSet<String>);

/// All corrections.
pub(crate) struct Corrections(Vec<Correction>);

impl Corrections {
    pub(crate) fn parse(text: &str) -> Result<Self, Box<dyn Error>> {
        let list: Vec<Correction> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        match list.iter().find(|entry| entry.model.is_some() == entry.prefix.is_some() || entry.why.is_empty()) {
            Some(entry) => Err(format!("needs a reason and one of model and prefix: {entry:?}").into()),
            None => Ok(Self(list)),
        }
    }

    /// The corrected row and the checks that it may fail; `None` where it is dropped.
    pub(crate) fn apply(&mut self, mut row: Map<String, Value>) -> Result<Option<Corrected>, Box<dyn Error>> {
        let Some(entry) = self.0.iter_mut().find(|entry| entry.fits(&row)) else {
            return Ok(Some((serde_json::from_value(Value::Object(row))?, BTreeSet::new())));
        };
        entry.used = true;
        if entry.drop {
            return Ok(None);
        }
        for name in &entry.remove {
            row.remove(name).ok_or_else(|| format!("{name} is not there to be removed: {entry:?}"))?;
        }
        row.extend(entry.set.clone());
        Ok(Some((serde_json::from_value(Value::Object(row))?, entry.keep.clone())))
    }

    /// Corrections that fitted nothing: the source has moved on.
    pub(crate) fn unused(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|entry| !entry.used).map(|entry| format!("fits no row: {entry:?}"))
    }
}

impl Correction {
    fn fits(&self, row: &Map<String, Value>) -> bool {
        let field = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let model = field("model");
        let fits_model = self.model.as_deref().is_some_and(|own| own == model);
        let fits_prefix = self.prefix.as_deref().is_some_and(|prefix| model.starts_with(prefix));
        field("provider") == self.provider && (fits_model || fits_prefix)
    }
}
