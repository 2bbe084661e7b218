//! Generated JSON, and the ways to spell it.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Keys, some of which the gateway knows.
pub(super) fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "a",
            "b",
            "model",
            "stream_options",
            "n",
            "max_tokens",
            "cache",
            "tags",
            "x\"y\\z"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
        any::<String>(),
    ]
}

/// Any JSON value.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Exact in few digits: serde_json's default reading of others is off by one unit at times.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 64.0)),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Any object.
pub(super) fn object() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::vec((key(), value()), 0..8).prop_map(|members| members.into_iter().collect())
}

/// Writes a value with white space and escapes chosen by `choices`, which repeat.
pub(super) fn spell(value: &Value, choices: &[u8]) -> String {
    let mut writer = Writer { choices: choices.iter().cycle(), out: String::new() };
    writer.value(value);
    writer.space();
    writer.out
}

struct Writer<'a> {
    choices: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    out: String,
}

impl Writer<'_> {
    fn choose(&mut self) -> u8 {
        self.choices.next().copied().unwrap_or(0)
    }

    fn space(&mut self) {
        let space = match self.choose() % 8 {
            0 => " ",
            1 => "\n",
            2 => "\r\n\t ",
            _ => "",
        };
        self.out.push_str(space);
    }

    fn value(&mut self, value: &Value) {
        self.space();
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                self.out.push('[');
                for (at, item) in items.iter().enumerate() {
                    self.comma(at);
                    self.value(item);
                }
                self.space();
                self.out.push(']');
            }
            Value::Object(members) => {
                self.out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    self.comma(at);
                    self.space();
                    self.string(key);
                    self.space();
                    self.out.push(':');
                    self.value(value);
                }
                self.space();
                self.out.push('}');
            }
            other => self.out.push_str(&other.to_string()),
        }
    }

    fn comma(&mut self, at: usize) {
        if at > 0 {
            self.space();
            self.out.push(',');
        }
    }

    fn string(&mut self, text: &str) {
        if self.choose().is_multiple_of(4) {
            self.out.push('"');
            for unit in text.encode_utf16() {
                write!(self.out, "\\u{unit:04X}").unwrap();
            }
            self.out.push('"');
        } else {
            self.out.push_str(&serde_json::to_string(text).unwrap());
        }
    }
}
