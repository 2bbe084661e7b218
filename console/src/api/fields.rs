//! The fields of a request's body, taken one after the other: what is left at the end is not known, or cannot be honoured.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::ApiError;

/// A field of a body: there with a value, there without one, or not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given<T> {
    /// Not mentioned: stays as it is.
    Absent,
    /// `null`: back to what it is without the field.
    Null,
    /// A value.
    Is(T),
}

impl<T> Given<T> {
    /// What is to be, of what was.
    pub(crate) fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Absent => before,
            Self::Null => None,
            Self::Is(value) => Some(value),
        }
    }

    /// The value.
    pub(crate) fn value(self) -> Option<T> {
        self.over(None)
    }
}

/// What is said of a field that has no effect here, by its name.
pub(crate) type Refusals = [(&'static str, &'static str)];

/// A body's fields.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// From a body; an empty one has none.
    pub(crate) fn read(body: &[u8]) -> Result<Self, ApiError> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        serde_json::from_slice(body).map(Self).map_err(|error| ApiError::Body(error.to_string()))
    }

    fn take<T>(&mut self, name: &str, kind: &str, read: impl FnOnce(Value) -> Option<T>) -> Result<Given<T>, ApiError> {
        match self.0.remove(name) {
            None => Ok(Given::Absent),
            Some(Value::Null) => Ok(Given::Null),
            Some(value) => read(value)
                .map(Given::Is)
                .ok_or_else(|| ApiError::field(name, format!("{name} must be {kind}; correct it"))),
        }
    }

    /// A text; an empty one counts as `null`.
    pub(crate) fn text(&mut self, name: &str) -> Result<Given<String>, ApiError> {
        let text = self.take(name, "a string", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })?;
        Ok(if text == Given::Is(String::new()) { Given::Null } else { text })
    }

    /// A text that must be there.
    pub(crate) fn needed(&mut self, name: &str) -> Result<String, ApiError> {
        let text = self.text(name)?.value();
        text.ok_or_else(|| ApiError::field(name, format!("{name} is missing; send it")))
    }

    /// A number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Given<f64>, ApiError> {
        self.take(name, "a number", |value| value.as_f64())
    }

    /// A whole number above 0.
    pub(crate) fn count(&mut self, name: &str) -> Result<Given<i64>, ApiError> {
        self.take(name, "a whole number above 0", |value| whole(&value))
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Given<bool>, ApiError> {
        self.take(name, "true or false", |value| value.as_bool())
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Given<Vec<String>>, ApiError> {
        self.take(name, "a list of strings", |value| {
            let Value::Array(items) = value else { return None };
            items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    /// Whole numbers above 0 by name.
    pub(crate) fn counts(&mut self, name: &str) -> Result<Given<BTreeMap<String, i64>>, ApiError> {
        self.take(name, "an object of whole numbers above 0", |value| {
            let Value::Object(members) = value else { return None };
            members.into_iter().map(|(name, value)| Some((name, whole(&value)?))).collect()
        })
    }

    /// Anything by name.
    pub(crate) fn object(&mut self, name: &str) -> Result<Given<Map<String, Value>>, ApiError> {
        self.take(name, "an object", |value| match value {
            Value::Object(members) => Some(members),
            _ => None,
        })
    }

    /// Whatever else was sent is refused by name, unless it says nothing (`null`, `false`, 0, or empty) of a field that is known.
    pub(crate) fn finish(self, refusals: &Refusals) -> Result<(), ApiError> {
        for (name, value) in self.0 {
            match refusals.iter().find(|(known, _)| *known == name) {
                Some(_) if says_nothing(&value) => {}
                Some((_, remedy)) => {
                    return Err(ApiError::field(&name, format!("{name} cannot be honoured: {remedy}")));
                }
                None => {
                    let message = format!("{name} is not a field of this call; correct or remove it");
                    return Err(ApiError::field(&name, message));
                }
            }
        }
        Ok(())
    }
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().filter(|number| *number > 0)
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}
