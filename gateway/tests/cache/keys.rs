//! Two spellings of one request are one key; whatever could change the answer is another.

use std::fmt::Write as _;

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::model_deployment::CacheScope;
use turnpike_gateway::{
    cache::{
        canonical::digest,
        control::Control,
        key::{Context, Key, Target},
        settings::Settings,
    },
    config::snapshot::{Allowed, Caller},
};
use turnpike_llm::{provider::Operation, request::Request};

fn settings(scope: CacheScope) -> Settings {
    Settings { ttl: std::time::Duration::from_hours(1), scope, semantic: None, backends: [7; 32], is_tagged: false }
}

fn caller(namespace: &str, key: &str, team: Option<&str>) -> Caller {
    Caller {
        key_id: key.into(),
        object: Some(ObjectRef { namespace: namespace.into(), name: key.into() }),
        team: team.map(Into::into),
        user: None,
        tags: Vec::new(),
        allowed: Allowed::All,
        expires_at: None,
        suspended: false,
        limits: Vec::new(),
        within: Vec::new(),
    }
}

/// What a key is made of in these tests.
struct Asked {
    settings: Settings,
    caller: Caller,
    operation: Operation,
    pool: &'static str,
    headers: HeaderMap,
    control: Control,
    tags: Option<Vec<Box<str>>>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            settings: settings(CacheScope::Key),
            caller: caller("default", "alice", None),
            operation: Operation::Chat,
            pool: "gpt",
            headers: HeaderMap::new(),
            control: Control::default(),
            tags: None,
        }
    }
}

impl Asked {
    fn key(&self, body: &str) -> Key {
        let request = Request::scan(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let target = Target { settings: &self.settings, pool: self.pool, matched: None };
        Context::new(&target, &self.caller, self.operation, &self.control)
            .with(&self.headers, &request, self.tags.clone())
            .key(&request)
    }
}

fn key(body: &str) -> Key {
    Asked::default().key(body)
}

const PLAIN: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"temperature":0.5}"#;

#[test]
fn spelling_does_not_count() {
    let same = [
        r#" { "temperature" : 0.5 , "messages":[ {"content":"Hi" , "role":"user"} ], "model":"gpt" } "#,
        "{\"model\":\"gpt\",\n\t\"messages\":[{\"role\":\"user\",\"content\":\"H\\u0069\"}],\"temperature\":0.5}",
        r#"{"model":"gpt","messages":[{"r\u006fle":"user","content":"Hi"}],"temperature":0.5}"#,
    ];
    for body in same {
        assert_eq!(key(PLAIN), key(body), "{body}");
    }
}

#[test]
fn what_says_nothing_of_the_answer_does_not_count() {
    for (member, value) in [
        ("user", json!("ann")),
        ("metadata", json!({"trace": "1"})),
        ("safety_identifier", json!("x")),
        ("cache", json!({"ttl": 5})),
        ("num_retries", json!(3)),
        ("fallbacks", json!(["other"])),
        ("litellm_trace_id", json!("t")),
        ("stream", json!(false)),
        ("model", json!("an-alias")),
    ] {
        let mut body: Value = serde_json::from_str(PLAIN).unwrap();
        body[member] = value;
        assert_eq!(key(PLAIN), key(&body.to_string()), "{member}");
    }
}

#[test]
fn whatever_may_change_the_answer_counts() {
    let others = [
        r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}],"temperature":0.5}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi "}],"temperature":0.5}"#,
        r#"{"model":"gpt","messages":[{"role":"system","content":"Hi"}],"temperature":0.5}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"temperature":0.6}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}]}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":["Hi"]}],"temperature":0.5}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"},{"role":"user","content":"Hi"}],"temperature":0.5}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"temperature":0.5,"seed":1}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"temperature":"0.5"}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"temperature":0.5,"tools":[]}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"temperature":0.5,"stream":true}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"temperature":0.5,"drop_params":true}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"temperature":0.5,"unknown":null}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi\ud800"}],"temperature":0.5}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi\ud801"}],"temperature":0.5}"#,
        r#"{"model":"gpt","messages":[{"role":"user","content":"Hi\ufffd"}],"temperature":0.5}"#,
    ];
    let mut keys: Vec<Key> = others.iter().map(|body| key(body)).collect();
    keys.push(key(PLAIN));
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

#[test]
fn streams_that_show_usage_are_others() {
    let stream = r#"{"model":"gpt","messages":[],"stream":true}"#;
    let shown = r#"{"model":"gpt","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#;
    let hidden = r#"{"model":"gpt","messages":[],"stream":true,"stream_options":{"include_usage":false}}"#;
    assert_ne!(key(stream), key(shown));
    assert_eq!(key(stream), key(hidden));
}

#[test]
fn where_it_goes_counts() {
    let plain = key(PLAIN);
    let changes: [fn(&mut Asked); 7] = [
        |asked| asked.operation = Operation::Messages,
        |asked| asked.pool = "other",
        |asked| asked.settings.backends = [8; 32],
        |asked| asked.control.namespace = Some("mine".into()),
        |asked| asked.control.tool_calls = true,
        |asked| drop(asked.headers.insert("anthropic-beta", "tools".parse().unwrap())),
        |asked| asked.tags = Some(vec!["eu".into()]),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut asked = Asked::default();
        change(&mut asked);
        assert_ne!(asked.key(PLAIN), plain, "change {index}");
    }
}

#[test]
fn tags_count_as_a_set_where_they_count() {
    let tagged = |body: &str, tags: &[&str]| {
        let tags = Some(tags.iter().map(|tag| (*tag).into()).collect());
        Asked { tags, ..Asked::default() }.key(body)
    };
    let with = r#"{"model":"gpt","messages":[],"tags":["b","a"]}"#;
    let without = r#"{"model":"gpt","messages":[]}"#;
    assert_eq!(tagged(with, &[]), tagged(without, &["a", "b"]));
    assert_eq!(tagged(with, &["a"]), tagged(without, &["a", "b"]));
    assert_ne!(tagged(with, &[]), tagged(without, &["a"]));
    assert_eq!(key(with), key(without));
}

#[test]
fn who_shares_is_as_the_scope_says() {
    let of = |scope, caller| Asked { settings: settings(scope), caller, ..Asked::default() }.key(PLAIN);
    let (ann, bob) = (|| caller("a", "ann", Some("ml")), || caller("a", "bob", Some("ml")));
    let (alone, far) = (|| caller("a", "eve", None), || caller("b", "ann", Some("ml")));
    assert_ne!(of(CacheScope::Key, ann()), of(CacheScope::Key, bob()));
    assert_ne!(of(CacheScope::Key, ann()), of(CacheScope::Key, far()));
    assert_eq!(of(CacheScope::Team, ann()), of(CacheScope::Team, bob()));
    assert_ne!(of(CacheScope::Team, ann()), of(CacheScope::Team, far()));
    assert_ne!(of(CacheScope::Team, ann()), of(CacheScope::Team, alone()));
    assert_ne!(of(CacheScope::Team, alone()), of(CacheScope::Team, caller("a", "dan", None)));
    assert_eq!(of(CacheScope::Cluster, ann()), of(CacheScope::Cluster, far()));
    assert_ne!(of(CacheScope::Cluster, ann()), of(CacheScope::Team, ann()));
}

/// Any JSON value of a few levels.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~é\u{FFFD}\n\"\\\\]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-d\"\\\\]{0,2}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value, written with its members in another order, white space and escapes.
fn respelled(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push_str("{ ");
            for (index, (name, value)) in members.iter().rev().enumerate() {
                out.push_str(if index == 0 { "" } else { "\t,\n" });
                escaped(name, out);
                out.push_str(" : ");
                respelled(value, out);
            }
            out.push_str(" }");
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { " " } else { " ,\r\n" });
                respelled(item, out);
            }
            out.push_str(" ]");
        }
        Value::String(text) => escaped(text, out),
        other => out.push_str(&other.to_string()),
    }
}

fn escaped(text: &str, out: &mut String) {
    out.push('"');
    for unit in text.encode_utf16() {
        // U+FFFD may also stand for what no text can hold, so it counts as it is written.
        if unit == 0xFFFD { out.push('\u{FFFD}') } else { write!(out, "\\u{unit:04x}").unwrap() }
    }
    out.push('"');
}

proptest! {
    #[test]
    fn a_digest_is_of_the_value_and_not_of_its_spelling(value in values()) {
        let mut spelled = String::new();
        respelled(&value, &mut spelled);
        let holds_replacement = spelled.contains('\u{FFFD}');
        prop_assert_eq!(serde_json::from_str::<Value>(&spelled).unwrap(), value.clone());
        if !holds_replacement {
            prop_assert_eq!(digest(value.to_string().as_bytes()), digest(spelled.as_bytes()));
        }
    }

    #[test]
    fn other_values_have_other_digests(a in values(), b in values()) {
        let same = digest(a.to_string().as_bytes()) == digest(b.to_string().as_bytes());
        prop_assert_eq!(same, a == b, "{} {}", a, b);
    }
}
