//! What a schema says once all of its parts are known, in the way that Google takes.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Kind, Schema, elements, get, string};

impl Schema {
    /// `type`, which may be several.
    pub(super) fn take_kind(&mut self, members: &[(Cow<'_, str>, &RawValue)]) {
        let Some(raw) = get(members, "type") else { return };
        let mut kinds: Vec<Kind> = match string(raw) {
            Some(only) => kind(&only).into_iter().collect(),
            None => elements(raw).into_iter().filter_map(|one| kind(&string(one)?)).collect(),
        };
        if kinds.len() > 1 && kinds.contains(&Kind::Null) {
            self.nullable = true;
            kinds.retain(|kind| *kind != Kind::Null);
        }
        match kinds.as_slice() {
            [only] => self.kind = Some(*only),
            several => self.any_of = several.iter().map(|kind| Self::of(*kind)).collect(),
        }
    }

    /// One part of `allOf`.
    pub(super) fn take_in(&mut self, part: Self) {
        self.kind = self.kind.or(part.kind);
        self.description = self.description.take().or(part.description);
        self.title = self.title.take().or(part.title);
        self.format = self.format.take().or(part.format);
        self.nullable |= part.nullable;
        for (name, property) in part.properties.0 {
            if !self.properties.0.iter().any(|(known, _)| *known == name) {
                self.properties.0.push((name, property));
            }
        }
        self.required.extend(part.required);
        self.items = self.items.take().or(part.items);
        if self.values.is_empty() {
            self.values = part.values;
        }
        if self.any_of.is_empty() {
            self.any_of = part.any_of;
        }
        for (name, value) in part.same.0 {
            if !self.same.0.iter().any(|(known, _)| *known == name) {
                self.same.0.push((name, value));
            }
        }
    }

    /// What Google wants besides: a type everywhere, items in arrays, `required` naming what is there, strings in enums, and
    /// nothing beside `anyOf`.
    pub(super) fn settled(mut self) -> Self {
        // What it is by itself says more than which of its members go together.
        let by_itself = !matches!(self.kind, None | Some(Kind::Object | Kind::Array));
        if by_itself || !self.properties.is_empty() {
            self.any_of.clear();
        }
        match self.any_of.len() {
            0 => {}
            // One is no choice.
            1 => {
                if let Some(only) = self.any_of.pop() {
                    let nullable = self.nullable || only.nullable;
                    let Self { title, description, .. } = self;
                    let description = description.or(only.description);
                    self = Self { title: title.or(only.title), description, nullable, any_of: only.any_of, ..only };
                }
            }
            _ => return self.choice(),
        }
        if !self.any_of.is_empty() {
            return self.choice();
        }
        let kind = self.kind.or_else(|| self.implied());
        let Some(kind) = kind else {
            return Self { description: self.description, nullable: self.nullable, ..Self::any() }.choice();
        };
        self.kind = Some(kind);
        if kind == Kind::Array && self.items.is_none() {
            self.items = Some(Box::new(Self::of(Kind::String)));
        }
        let properties = &self.properties.0;
        self.required.retain(|name| properties.iter().any(|(known, _)| known == name));
        self.required.dedup();
        let takes = |format: &str| match kind {
            Kind::String => matches!(format, "date-time" | "enum"),
            Kind::Number => matches!(format, "float" | "double"),
            Kind::Integer => matches!(format, "int32" | "int64"),
            Kind::Boolean | Kind::Array | Kind::Object | Kind::Null => false,
        };
        self.format = self.format.filter(|format| takes(format));
        self
    }

    /// Nothing may stand beside a choice: what was said of it is said of each.
    pub(super) fn choice(self) -> Self {
        let Self { any_of, description, nullable, .. } = self;
        let variant = |variant: Self| Self {
            description: variant.description.clone().or_else(|| description.clone()),
            nullable: nullable || variant.nullable,
            ..variant
        };
        Self { any_of: any_of.into_iter().map(variant).collect(), ..Self::default() }
    }

    /// `enum` and `const`: strings only; other values are told in words.
    pub(super) fn take_values(&mut self, members: &[(Cow<'_, str>, &RawValue)]) {
        let mut values = get(members, "enum").map(elements).unwrap_or_default();
        values.extend(get(members, "const"));
        if values.is_empty() {
            return;
        }
        let count = values.len();
        values.retain(|value| value.get() != "null");
        self.nullable |= values.len() < count;
        let strings: Vec<String> = values.iter().filter_map(|value| Some(string(value)?.into_owned())).collect();
        if strings.len() == values.len() && self.kind.is_none_or(|kind| kind == Kind::String) {
            self.kind = Some(Kind::String);
            // An empty one is refused.
            self.values = strings.into_iter().filter(|value| !value.is_empty()).collect();
            return;
        }
        let all = values.iter().map(|value| value.get()).collect::<Vec<_>>().join(", ");
        let told = format!("One of: {all}.");
        self.description = Some(match self.description.take() {
            Some(description) => format!("{description} {told}"),
            None => told,
        });
        if self.kind.is_none() && values.iter().all(|value| value.get().parse::<f64>().is_ok()) {
            self.kind = Some(Kind::Number);
        }
        if self.kind.is_none() && values.iter().all(|value| matches!(value.get(), "true" | "false")) {
            self.kind = Some(Kind::Boolean);
        }
    }

    fn implied(&self) -> Option<Kind> {
        if !self.properties.is_empty() {
            Some(Kind::Object)
        } else if self.items.is_some() {
            Some(Kind::Array)
        } else {
            None
        }
    }
}

fn kind(word: &str) -> Option<Kind> {
    Some(match word.to_ascii_lowercase().as_str() {
        "string" => Kind::String,
        "number" => Kind::Number,
        "integer" => Kind::Integer,
        "boolean" => Kind::Boolean,
        "array" => Kind::Array,
        "object" => Kind::Object,
        "null" => Kind::Null,
        _ => return None,
    })
}
