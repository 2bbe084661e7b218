//! The scanner accepts what `serde_json` accepts, and says where everything lies.

use proptest::prelude::*;
use serde_json::{Map, Value, value::RawValue};
use turnpike_llm::json::{self, Cause, JsonError, MAX_DEPTH};

use super::arbitrary;

fn cause(text: &[u8]) -> Cause {
    json::scan(text).unwrap_err().cause
}

/// What `serde_json` says to the grammar alone: raw values are not converted, so numbers may be of any size and
/// surrogates alone.
fn accepted_by_serde(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok_and(|raw| raw.get().starts_with('{'))
}

#[test]
fn names_each_kind_of_damage() {
    assert_eq!(cause(b""), Cause::Empty);
    assert_eq!(cause(b" \n\t"), Cause::Empty);
    assert_eq!(cause(b"\xEF\xBB\xBF{}"), Cause::ByteOrderMark);
    assert_eq!(cause(b"\xFF\xFE{\0}\0"), Cause::Utf16);
    assert_eq!(cause(b"{\0\"\0"), Cause::Utf16);
    assert_eq!(cause(b"\0{\0\""), Cause::Utf16);
    assert_eq!(cause(b"{\"a\":\"\xC3\x28\"}"), Cause::InvalidUtf8);
    assert_eq!(cause(b"{\"a\":\"\xED\xA0\x80\"}"), Cause::InvalidUtf8, "a surrogate in UTF-8");
    assert_eq!(cause(b"{\"a\":\"\xC0\xAF\"}"), Cause::InvalidUtf8, "an overlong form");
    assert_eq!(cause(b"[]"), Cause::NotAnObject);
    assert_eq!(cause(b"\"{}\""), Cause::NotAnObject);
    assert_eq!(cause(b"{"), Cause::UnexpectedEnd);
    assert_eq!(cause(b"{\"a\":tru"), Cause::UnexpectedEnd);
    assert_eq!(cause(b"{\"a\":tru}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{\"a\":1,}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{,\"a\":1}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{\"a\" 1}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{a:1}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{'a':1}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{\"a\":[1,2}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{\"a\":{\"b\":1]}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{\"a\":NaN}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{\"a\":1 /* one */}"), Cause::UnexpectedByte);
    assert_eq!(cause(b"{\"a\":\"x\ny\"}"), Cause::ControlCharacter);
    assert_eq!(cause(b"{\"a\n\":1}"), Cause::ControlCharacter);
    assert_eq!(cause(b"{\"a\":\"0123456789012345678901234567890123456789\x1f\"}"), Cause::ControlCharacter);
    assert_eq!(cause(br#"{"a":"\x"}"#), Cause::InvalidEscape);
    assert_eq!(cause(br#"{"a":"\u12g4"}"#), Cause::InvalidEscape);
    assert_eq!(cause(br#"{"a":"\u12"}"#), Cause::InvalidEscape);
    for number in ["01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "1.e1", "-a", "--1", "1_000"] {
        let text = format!("{{\"a\":{number}}}");
        let found = cause(text.as_bytes());
        assert!(matches!(found, Cause::InvalidNumber | Cause::UnexpectedByte), "{number}: {found:?}");
    }
    assert_eq!(cause(b"{} {}"), Cause::TrailingData);
    assert_eq!(cause(b"{}\0"), Cause::TrailingData);
    assert_eq!(json::scan(b"{\"a\":1}x"), Err(JsonError { offset: 7, cause: Cause::TrailingData }));
}

#[test]
fn accepts_the_whole_grammar() {
    let text = br#" { "a" : [ ] , "b":{}, "":-0.0e-0,"c":[[],{},[{"x":null}]],"d":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00","e":1E+5 } "#;
    let members = json::scan(text).unwrap();
    let seen: Vec<_> = members.iter().map(|member| (member.name(text), member.value.of(text))).collect();
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[0], ("a".into(), &b"[ ]"[..]));
    assert_eq!(seen[2], ("".into(), &b"-0.0e-0"[..]));
    assert_eq!(json::as_str(seen[4].1).unwrap(), "\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}");
}

#[test]
fn depth_is_bounded_where_serde_json_bounds_it() {
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", open.repeat(levels - 1), close.repeat(levels - 1));
        let deepest = nested(MAX_DEPTH as usize);
        assert!(json::scan(deepest.as_bytes()).is_ok());
        assert!(serde_json::from_str::<Value>(&deepest).is_ok());
        let deeper = nested(MAX_DEPTH as usize + 1);
        assert_eq!(cause(deeper.as_bytes()), Cause::TooDeep);
        assert!(serde_json::from_str::<Value>(&deeper).is_err());
    }
    assert_eq!(cause(format!("{{\"a\":{}", "[".repeat(5_000_000)).as_bytes()), Cause::TooDeep);
}

#[test]
fn lone_surrogates_and_huge_numbers_pass() {
    let text = br#"{"a":"\ud800 \udc00\ud800\u0041","b":1e99999}"#;
    let members = json::scan(text).unwrap();
    assert_eq!(json::as_str(members[0].value.of(text)).unwrap(), "\u{fffd} \u{fffd}\u{fffd}A");
}

#[test]
fn a_valid_text_cut_anywhere_is_refused() {
    let text = br#"{"model":"gpt-\u00e94","messages":[{"role":"user","content":"h\u00e9\n \ud83d\ude00 \"quoted\" text"}],"n":-1.5e+3,"a":true,"b":false,"c":null,"d":{}}"#;
    assert!(json::scan(text).is_ok());
    for end in 0..text.len() {
        let error = json::scan(&text[..end]).unwrap_err();
        let expected = if end == 0 { Cause::Empty } else { Cause::UnexpectedEnd };
        assert_eq!(error, JsonError { offset: error.offset, cause: expected }, "cut at {end}");
        assert!(error.offset <= end);
    }
    let raw = "{\"a\":\"\u{e9}\u{1f600}\"}".as_bytes();
    for end in 1..raw.len() {
        assert!(matches!(cause(&raw[..end]), Cause::UnexpectedEnd | Cause::InvalidUtf8), "cut at {end}");
    }
}

#[test]
fn every_byte_in_every_place_agrees_with_serde_json() {
    let text = br#"{"a":[1.5e+2,true,{"b":"\u00e9x"}], "c":null,"d":-0}"#;
    for at in 0..text.len() {
        for byte in 0..=255_u8 {
            let mut changed = text.to_vec();
            changed[at] = byte;
            assert_eq!(
                json::scan(&changed).is_ok(),
                accepted_by_serde(&changed),
                "{}",
                String::from_utf8_lossy(&changed)
            );
        }
    }
}

proptest! {
    #[test]
    fn finds_the_members_of_any_object(object in arbitrary::object(), choices in proptest::collection::vec(any::<u8>(), 1..40)) {
        let text = arbitrary::spell(&Value::Object(object.clone()), &choices);
        let members = json::scan(text.as_bytes()).unwrap();
        let found: Map<String, Value> = members
            .iter()
            .map(|member| {
                let value = serde_json::from_slice(member.value.of(text.as_bytes())).unwrap();
                (member.name(text.as_bytes()).into_owned(), value)
            })
            .collect();
        prop_assert_eq!(found, serde_json::from_str::<Map<String, Value>>(&text).unwrap());
        for (name, _) in &object {
            prop_assert!(members.iter().any(|member| member.is(name, text.as_bytes())));
        }
    }

    #[test]
    fn agrees_with_serde_json_on_damaged_text(
        object in arbitrary::object(),
        choices in proptest::collection::vec(any::<u8>(), 1..40),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut text = arbitrary::spell(&Value::Object(object), &choices).into_bytes();
        for (at, byte) in damage {
            let at = at.index(text.len());
            text[at] = byte;
        }
        if let Some(cut) = cut {
            text.truncate(cut.index(text.len()));
        }
        prop_assert_eq!(json::scan(&text).is_ok(), accepted_by_serde(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = json::scan(&text);
        let _ = json::elements(&text);
        let _ = json::unescape(&text);
        let _ = json::as_str(&text);
    }

    #[test]
    fn strings_survive_the_way_there_and_back(text in any::<String>()) {
        let quoted = json::quoted(&text);
        prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), text.clone());
        prop_assert_eq!(json::as_str(&quoted).unwrap(), text);
    }

    #[test]
    fn elements_are_those_of_the_array(items in proptest::collection::vec(arbitrary::value(), 0..6), choices in proptest::collection::vec(any::<u8>(), 1..40)) {
        let text = arbitrary::spell(&Value::Array(items), &choices);
        let text = text.as_bytes();
        let found: Vec<Value> = json::elements(text).unwrap().iter().map(|span| serde_json::from_slice(span.of(text)).unwrap()).collect();
        prop_assert_eq!(Value::Array(found), serde_json::from_slice::<Value>(text).unwrap());
    }
}
