//! Edits on bytes equal the same edits on a map.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use turnpike_llm::{
    json::scan,
    request::Request,
    splice::{Editor, Splices},
};

use super::arbitrary;

#[derive(Clone, Debug)]
enum Edit {
    Set(String, Value),
    Replace(String, Value),
    Delete(String),
    Rename(String, String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let key = arbitrary::key;
    prop_oneof![
        (key(), arbitrary::value()).prop_map(|(name, value)| Edit::Set(name, value)),
        (key(), arbitrary::value()).prop_map(|(name, value)| Edit::Replace(name, value)),
        key().prop_map(Edit::Delete),
        (key(), key()).prop_map(|(from, to)| Edit::Rename(from, to)),
    ]
}

fn on_map(edit: &Edit, map: &mut Map<String, Value>) {
    match edit {
        Edit::Set(name, value) => drop(map.insert(name.clone(), value.clone())),
        Edit::Replace(name, value) => {
            if let Some(old) = map.get_mut(name) {
                *old = value.clone();
            }
        }
        Edit::Delete(name) => drop(map.remove(name)),
        Edit::Rename(from, to) => {
            if from != to
                && let Some(value) = map.remove(from)
            {
                map.entry(to.clone()).or_insert(value);
            }
        }
    }
}

fn on_bytes(edit: &Edit, editor: &mut Editor<'_>) {
    match edit {
        Edit::Set(name, Value::String(text)) => editor.set_string(name, text),
        Edit::Set(name, value) => editor.set(name, value.to_string()),
        Edit::Replace(name, value) => {
            assert_eq!(editor.has(name), editor.replace(name, value.to_string()));
        }
        Edit::Delete(name) => assert_eq!(editor.has(name), editor.delete(name)),
        Edit::Rename(from, to) => editor.rename(from, to),
    }
}

/// Members in order, duplicates merged as a map does.
fn parsed(splices: &Splices) -> Map<String, Value> {
    assert_eq!(splices.len(), splices.parts().iter().map(Bytes::len).sum::<usize>());
    assert!(splices.parts().iter().all(|part| !part.is_empty()));
    serde_json::from_slice(&splices.to_bytes()).unwrap()
}

proptest! {
    #[test]
    fn edits_equal_those_on_a_map(
        object in arbitrary::object(),
        edits in proptest::collection::vec(edit(), 0..8),
        choices in proptest::collection::vec(any::<u8>(), 1..40),
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 8),
        padding in 0..1500_usize,
    ) {
        let mut object = object;
        if padding > 600 {
            object.insert("padding".to_owned(), "p".repeat(padding).into());
        }
        // Aim most edits at members that are there.
        let names: Vec<String> = object.keys().cloned().collect();
        let edits: Vec<Edit> = edits
            .into_iter()
            .zip(picks)
            .map(|(edit, pick)| match (edit, names.is_empty()) {
                (Edit::Replace(_, value), false) => Edit::Replace(pick.get(&names).clone(), value),
                (Edit::Delete(_), false) => Edit::Delete(pick.get(&names).clone()),
                (Edit::Rename(_, to), false) => Edit::Rename(pick.get(&names).clone(), to),
                (edit, _) => edit,
            })
            .collect();
        let body = Bytes::from(arbitrary::spell(&Value::Object(object.clone()), &choices));
        let members = scan(&body).unwrap();
        let mut editor = Editor::new(&body, &members);
        for edit in &edits {
            on_map(edit, &mut object);
            on_bytes(edit, &mut editor);
            for name in names.iter().chain(["model", "cache", "never there"].map(str::to_owned).iter()) {
                let value = editor.value(name).map(|value| serde_json::from_slice::<Value>(value).unwrap());
                prop_assert_eq!(editor.has(name), value.is_some());
                prop_assert_eq!(value.as_ref(), object.get(name));
            }
        }
        prop_assert_eq!(parsed(&editor.finish()), object);
    }
}

#[test]
fn no_edit_is_the_very_same_buffer() {
    for text in ["{}", " { } ", r#"{"model":"a"}"#] {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let request = Request::scan(body.clone()).unwrap();
        let mut edit = request.edit();
        edit.delete("absent");
        edit.rename("absent", "other");
        assert!(!edit.replace("absent", "1"));
        edit.strip_gateway_only();
        let splices = edit.finish();
        assert_eq!(splices.parts().len(), 1);
        assert_eq!(splices.parts()[0].as_ptr(), body.as_ptr());
        assert_eq!(splices.len(), body.len());
    }
}

#[test]
fn long_untouched_parts_are_shared() {
    let long = "x".repeat(10_000);
    let body = Bytes::from(format!(r#"{{"model":"a","messages":"{long}","cache":1,"input":"{long}","n":1}}"#));
    let request = Request::scan(body.clone()).unwrap();
    let mut edit = request.edit();
    edit.set_string("model", "other");
    edit.delete("cache");
    edit.set("seed", "7");
    let splices = edit.finish();
    assert_eq!(
        splices.to_bytes(),
        format!(r#"{{"model":"other","messages":"{long}","input":"{long}","n":1,"seed":7}}"#)
    );
    let inside = body.as_ptr_range();
    let shared: usize = splices.parts().iter().filter(|part| inside.contains(&part.as_ptr())).map(Bytes::len).sum();
    assert!(shared > 20_000, "{shared}");
    assert!(splices.parts().len() <= 4, "{}", splices.parts().len());
}

#[test]
fn commas_go_with_their_members() {
    let texts = [
        (vec!["a"], r#" { "b" : 2 , "c" : 3 } "#),
        (vec!["b"], r#" { "a" : 1 , "c" : 3 } "#),
        (vec!["c"], r#" { "a" : 1 , "b" : 2 } "#),
        (vec!["a", "b"], r#" { "c" : 3 } "#),
        (vec!["a", "c"], r#" { "b" : 2 } "#),
        (vec!["a", "b", "c"], " {  } "),
    ];
    for (names, expected) in texts {
        let body = Bytes::from_static(br#" { "a" : 1 , "b" : 2 , "c" : 3 } "#);
        let members = scan(&body).unwrap();
        let mut editor = Editor::new(&body, &members);
        for name in &names {
            assert!(editor.delete(name));
            assert!(!editor.delete(name));
        }
        assert_eq!(editor.finish().to_bytes(), expected, "{names:?}");
    }
}

#[test]
fn duplicates_of_an_edited_member_become_one() {
    let body = Bytes::from_static(br#"{"a":1,"b":2,"\u0061":3}"#);
    let members = scan(&body).unwrap();
    let edited = |change: &dyn Fn(&mut Editor<'_>)| {
        let mut editor = Editor::new(&body, &members);
        change(&mut editor);
        editor.finish().to_bytes()
    };
    assert_eq!(edited(&|editor| assert!(editor.replace("a", "9"))), r#"{"b":2,"\u0061":9}"#);
    assert_eq!(edited(&|editor| assert!(editor.delete("a"))), r#"{"b":2}"#);
    assert_eq!(edited(&|editor| editor.rename("a", "c")), r#"{"b":2,"c":3}"#);
    assert_eq!(edited(&|editor| editor.rename("a", "b")), r#"{"b":2}"#);
}

#[test]
fn usage_is_asked_for_beside_other_options() {
    for (body, expected) in [
        (json!({}), json!({"stream_options": {"include_usage": true}})),
        (json!({"stream_options": null}), json!({"stream_options": {"include_usage": true}})),
        (json!({"stream_options": {}}), json!({"stream_options": {"include_usage": true}})),
        (
            json!({"stream_options": {"include_usage": false, "x": 1}}),
            json!({"stream_options": {"include_usage": true, "x": 1}}),
        ),
    ] {
        let request = Request::scan(body.to_string().into()).unwrap();
        let mut edit = request.edit();
        edit.ask_for_usage();
        let asked: Value = serde_json::from_slice(&edit.finish().to_bytes()).unwrap();
        assert_eq!(asked, expected);
    }
    let body = Bytes::from_static(br#"{"stream_options":{"include_usage": true}}"#);
    let request = Request::scan(body.clone()).unwrap();
    let mut edit = request.edit();
    edit.ask_for_usage();
    assert_eq!(edit.finish().parts()[0].as_ptr(), body.as_ptr(), "asked already");
}
