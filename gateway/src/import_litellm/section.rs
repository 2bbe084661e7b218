//! Reads one mapping of the config, and knows which of its members nobody asked for, so that none is lost in silence.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use turnpike_crds::DurationString;

use super::{
    notes::{Note, Outcome},
    secrets::Secrets,
};

/// What a value starts with that names a variable of the environment.
pub(super) const FROM_VARIABLE: &str = "os.environ/";

/// A setting that is not carried over by itself: its name, what became of it, and the remedy.
pub(super) type Setting = (&'static str, Outcome, &'static str);

/// What an import gathers on its way.
pub(super) struct Context<'a> {
    /// Looks a variable up, for what is not secret.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) notes: Vec<Note>,
    pub(super) secrets: Secrets,
    /// Variables whose content is in the result.
    pub(super) written: BTreeSet<String>,
}

impl Context<'_> {
    pub(super) fn note(&mut self, path: impl Into<String>, outcome: Outcome, text: impl Into<String>) {
        let note = Note { path: path.into(), outcome, text: text.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn hand(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.note(path, Outcome::Hand, text);
    }

    pub(super) fn left(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.note(path, Outcome::Left, text);
    }

    pub(super) fn changed(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.note(path, Outcome::Changed, text);
    }

    /// A value as text, with a variable's content in place of its name. `None` = reported.
    fn text_of(&mut self, path: &str, value: &Value) -> Option<String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                self.hand(path, "this is neither text nor a number, and was left out; correct it and import again");
                return None;
            }
        };
        let Some(name) = text.strip_prefix(FROM_VARIABLE) else { return Some(text) };
        let found = (self.variable)(name).filter(|content| !content.is_empty());
        self.written.insert(name.to_owned());
        if found.is_none() {
            self.hand(
                path,
                format!("manifests have the value itself here; set {name} in the environment and import again"),
            );
        }
        found
    }
}

/// One mapping.
pub(super) struct Section<'a> {
    path: String,
    members: Option<&'a Map<String, Value>>,
    taken: BTreeSet<&'a str>,
}

impl<'a> Section<'a> {
    pub(super) fn new(path: impl Into<String>, value: Option<&'a Value>, context: &mut Context<'_>) -> Self {
        let path = path.into();
        let members = value.and_then(Value::as_object);
        if members.is_none() && value.is_some_and(|value| !value.is_null()) {
            context.hand(&*path, "this is no mapping, and was left out; correct it and import again");
        }
        Self { path, members, taken: BTreeSet::new() }
    }

    /// Where a member stands.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Whether a member is there, without asking for it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.and_then(|members| members.get(name)).is_some_and(|value| !value.is_null())
    }

    /// A member; `null` is none.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a Value> {
        let (name, value) = self.members?.get_key_value(name)?;
        self.taken.insert(name);
        Some(value).filter(|value| !value.is_null())
    }

    /// The entries of a list.
    pub(super) fn items(&mut self, name: &str, context: &mut Context<'_>) -> &'a [Value] {
        match self.take(name) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(_) => {
                context.hand(self.path(name), "this is no list, and was left out; correct it and import again");
                &[]
            }
        }
    }

    /// A mapping within.
    pub(super) fn section(&mut self, name: &str, context: &mut Context<'_>) -> Section<'a> {
        let path = self.path(name);
        Section::new(path, self.take(name), context)
    }

    pub(super) fn text(&mut self, name: &str, context: &mut Context<'_>) -> Option<String> {
        let value = self.take(name)?;
        context.text_of(&self.path(name), value)
    }

    /// A number that is not negative.
    pub(super) fn number(&mut self, name: &str, context: &mut Context<'_>) -> Option<f64> {
        let text = self.text(name, context)?;
        let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        if number.is_none() {
            context.hand(self.path(name), "this is no number of 0 or more, and was left out; correct it");
        }
        number
    }

    /// A whole number within bounds; one outside is moved to the nearest, and that is said.
    pub(super) fn count(&mut self, name: &str, most: i64, context: &mut Context<'_>) -> Option<i64> {
        let number = self.number(name, context)?;
        // Whole numbers up to 2^53 are exact, and every bound is below that.
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the bound is below")]
        let whole = number.ceil() as i64;
        let bounded = whole.min(most);
        if bounded != whole {
            context.changed(self.path(name), format!("{most} is the most that is possible here"));
        }
        Some(bounded)
    }

    /// A number of 1 or more; 0 is said to have no counterpart.
    pub(super) fn positive(&mut self, name: &str, most: i64, context: &mut Context<'_>) -> Option<i64> {
        let count = self.count(name, most, context)?;
        if count == 0 {
            context
                .left(self.path(name), "a limit of 0 stops everything; remove the model, or suspend its keys, instead");
        }
        (count > 0).then_some(count)
    }

    pub(super) fn flag(&mut self, name: &str, context: &mut Context<'_>) -> Option<bool> {
        let text = self.text(name, context)?;
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => {
                context.hand(self.path(name), "this is neither true nor false, and was left out; correct it");
                None
            }
        }
    }

    /// Seconds, rounded up to whole ones.
    pub(super) fn seconds(&mut self, name: &str, context: &mut Context<'_>) -> Option<DurationString> {
        self.count(name, MOST_SECONDS, context).map(|seconds| DurationString(format!("{seconds}s")))
    }

    /// The texts of a list, or of a single value.
    pub(super) fn texts(&mut self, name: &str, context: &mut Context<'_>) -> Vec<String> {
        let path = self.path(name);
        self.take(name).map(|value| texts(&path, value, context)).unwrap_or_default()
    }

    /// Members that nobody has asked for, with their values; they count as asked for now.
    pub(super) fn others(&mut self) -> Vec<(&'a str, &'a Value)> {
        let Some(members) = self.members else { return Vec::new() };
        let others: Vec<_> = members
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .filter(|(name, _)| !self.taken.contains(name))
            .collect();
        self.taken.extend(others.iter().map(|(name, _)| *name));
        others
    }

    /// Says of every member that nobody asked for what becomes of it.
    pub(super) fn finish(mut self, known: &[Setting], context: &mut Context<'_>) {
        for (name, _) in self.others() {
            let path = self.path(name);
            match known.iter().find(|(known, ..)| *known == name) {
                Some((_, outcome, text)) => context.note(path, *outcome, *text),
                None => {
                    context.left(path, "the importer does not know this setting; look for its effect in the guides");
                }
            }
        }
    }
}

/// The longest span that is taken over, a year.
const MOST_SECONDS: i64 = 366 * 86_400;

/// The texts of a list, or of a single value.
pub(super) fn texts(path: &str, value: &Value, context: &mut Context<'_>) -> Vec<String> {
    let Value::Array(items) = value else { return context.text_of(path, value).into_iter().collect() };
    (0..).zip(items).filter_map(|(at, item): (usize, _)| context.text_of(&format!("{path}[{at}]"), item)).collect()
}
