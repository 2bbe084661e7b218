//! A JSON object in the making, its members in the order in which they were put.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::json;

#[derive(Debug, Default)]
pub(super) struct Object(Vec<(Cow<'static, str>, Box<RawValue>)>);

impl Object {
    /// Puts a member, in place of one of the same name.
    pub(super) fn put(&mut self, name: impl Into<Cow<'static, str>>, value: Box<RawValue>) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Puts what serialises.
    pub(super) fn set(&mut self, name: &'static str, value: &impl Serialize) {
        // These types cannot fail to serialise: no maps with other keys than strings, no numbers that are none.
        if let Ok(raw) = to_raw_value(value) {
            self.put(name, raw);
        }
    }

    /// Puts what is there.
    pub(super) fn set_some(&mut self, name: &'static str, value: Option<&impl Serialize>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Puts the members of another.
    pub(super) fn take_in(&mut self, other: Self) {
        for (name, value) in other.0 {
            self.put(name, value);
        }
    }

    /// A member's JSON text.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.get())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON text.
    pub(super) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The members of an object, or none where it is something else.
pub(super) fn members(object: &RawValue) -> Vec<(Cow<'_, str>, &RawValue)> {
    let text = object.get().as_bytes();
    let members = json::scan(text).unwrap_or_default();
    let raw = |value| serde_json::from_slice::<&RawValue>(value).ok();
    members.iter().filter_map(|member| Some((member.name(text), raw(member.value.of(text))?))).collect()
}

/// The elements of an array, or none where it is something else.
pub(super) fn elements(array: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(array.get()).unwrap_or_default()
}

/// A string's text; `None` where it is something else.
pub(super) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    json::as_str(value.get().as_bytes())
}
