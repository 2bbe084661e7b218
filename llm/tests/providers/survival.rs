//! Whatever the client sends: valid JSON goes on, and unknown members go on unchanged.

use proptest::{collection::btree_map, prelude::*};
use serde_json::{Map, Value};
use turnpike_llm::provider::Operation;

use super::fixture::{Backend, KINDS};

/// Members that the adapter may act on; everything else must survive.
const KNOWN: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "n",
    "logprobs",
    "logit_bias",
    "stop",
    "seed",
    "user",
    "tool_choice",
    "tools",
    "store",
    "service_tier",
    "parallel_tool_calls",
    "reasoning_effort",
    "presence_penalty",
];

/// Any JSON of a few levels.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(".{0,6}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Members with a name that no table has.
pub(crate) fn unknown() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("x[^\u{0}]{0,8}", value(), 0..6).prop_map(|map| map.into_iter().collect())
}

fn known() -> impl Strategy<Value = Map<String, Value>> {
    btree_map(proptest::sample::select(KNOWN).prop_map(str::to_owned), 0..4_u8, 0..6)
        .prop_map(|map| map.into_iter().filter_map(|(name, at)| Some((name.clone(), sample(&name, at)?))).collect())
}

/// Values of the right type, since the scan refuses others.
fn sample(name: &str, at: u8) -> Option<Value> {
    match (name, at) {
        (_, 3) => Some(Value::Null),
        ("user", _) => Some("ann".into()),
        ("logprobs", 0) => Some(false.into()),
        ("tool_choice", 0) => Some("required".into()),
        (_, 0) => Some(1.into()),
        (_, 1) => Some(0.into()),
        _ => None,
    }
}

proptest! {
    #[test]
    fn bodies_stay_valid_and_unknown_members_survive(
        unknown in unknown(),
        known in known(),
        kind in proptest::sample::select(&KINDS[..]),
        stream in any::<bool>(),
        pretty in any::<bool>(),
        model in proptest::sample::select(vec!["m", "o3-mini", "gpt-5", "gpt-4o", "a\"b"]),
    ) {
        let mut body = unknown.clone();
        body.extend(known);
        body.insert("model".to_owned(), "asked".into());
        body.insert("messages".to_owned(), Value::Array(Vec::new()));
        body.insert("stream".to_owned(), stream.into());
        body.insert("litellm_x".to_owned(), 1.into());
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        let backend = Backend { drop_unsupported: true, ..Backend::new(kind, model) };
        let encoded = backend.encode(Operation::Chat, text).unwrap().body.to_bytes();
        let sent: Map<String, Value> = serde_json::from_slice(&encoded).expect("valid JSON");
        for (name, value) in &unknown {
            prop_assert_eq!(sent.get(name), Some(value));
        }
        prop_assert!(sent.get("model").unwrap().as_str().unwrap().ends_with(model));
        prop_assert!(!sent.contains_key("litellm_x"));
        prop_assert_eq!(sent.get("messages"), Some(&Value::Array(Vec::new())));
        prop_assert_eq!(sent.get("stream"), Some(&Value::from(stream)));
    }

    #[test]
    fn nothing_to_change_is_nothing_changed(unknown in unknown()) {
        let mut body = unknown;
        body.insert("model".to_owned(), "m".into());
        let text = serde_json::to_string(&body).unwrap();
        let backend = Backend::new(turnpike_llm::provider::ProviderKind::OpenAICompatible, "m");
        let sent = backend.encode(Operation::Chat, text.clone()).unwrap().body;
        prop_assert_eq!(sent.parts().len(), 1);
        prop_assert_eq!(sent.to_bytes(), text);
    }
}
