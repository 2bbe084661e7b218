//! Kept answers: found by their own key alone, with all that was said before.

use turnpike_ledger::responses::{ResponseStore, StoredResponse};

use crate::fixture::{Fixture, Store};

on_every_store!(
    a_conversation_is_found_by_its_own_key,
    a_conversation_without_its_beginning_is_none,
    old_ones_are_forgotten,
);

fn turn(id: &str, previous: Option<&str>, created_at: i64) -> StoredResponse {
    StoredResponse {
        key_id: "vk_1".into(),
        id: id.to_owned(),
        previous_id: previous.map(ToOwned::to_owned),
        input: format!(r#"["{id} ü"]"#),
        response: format!(r#"{{"id":"{id}"}}"#),
        bytes: 7,
        created_at,
    }
}

/// Runs a test on whatever store it is.
macro_rules! open {
    ($fixture:ident, $store:ident => $test:expr) => {
        match $fixture.open().await {
            Store::Sqlite(mut $store) => $test,
            Store::Postgres(mut $store) => $test,
        }
    };
}

async fn a_conversation_is_found_by_its_own_key(fixture: Fixture) {
    async fn test(store: &mut impl ResponseStore) {
        let turns = [turn("a", None, 1), turn("b", Some("a"), 2), turn("c", Some("b"), 3), turn("d", Some("a"), 4)];
        for turn in &turns {
            store.put(turn).await.unwrap();
        }
        assert_eq!(store.conversation("vk_1", "c").await.unwrap(), turns[..3]);
        assert_eq!(store.conversation("vk_1", "d").await.unwrap(), [turns[0].clone(), turns[3].clone()]);
        assert_eq!(store.get("vk_1", "b").await.unwrap().as_ref(), Some(&turns[1]));
        assert_eq!(store.get("vk_2", "b").await.unwrap(), None);
        assert!(store.conversation("vk_2", "c").await.unwrap().is_empty());
        assert!(!store.delete("vk_2", "b").await.unwrap());
        let again = StoredResponse { input: "[]".to_owned(), ..turns[1].clone() };
        store.put(&again).await.unwrap();
        assert_eq!(store.get("vk_1", "b").await.unwrap(), Some(again), "the last one counts");
        // Somebody else's answer may have the same id.
        let other = StoredResponse { key_id: "vk_2".into(), ..turns[1].clone() };
        store.put(&other).await.unwrap();
        assert!(store.conversation("vk_2", "b").await.unwrap().is_empty(), "its beginning is not theirs");
    }
    open!(fixture, store => test(&mut *store).await);
}

async fn a_conversation_without_its_beginning_is_none(fixture: Fixture) {
    async fn test(store: &mut impl ResponseStore) {
        for turn in
            [turn("a", None, 1), turn("b", Some("a"), 2), turn("c", Some("b"), 3), turn("loop", Some("loop"), 4)]
        {
            store.put(&turn).await.unwrap();
        }
        assert!(store.conversation("vk_1", "loop").await.unwrap().is_empty());
        assert!(store.delete("vk_1", "a").await.unwrap());
        assert!(!store.delete("vk_1", "a").await.unwrap());
        assert!(store.conversation("vk_1", "c").await.unwrap().is_empty());
        assert!(store.get("vk_1", "c").await.unwrap().is_some());
    }
    open!(fixture, store => test(&mut *store).await);
}

async fn old_ones_are_forgotten(fixture: Fixture) {
    async fn test(store: &mut impl ResponseStore) {
        for number in 0..1500 {
            store.put(&turn(&number.to_string(), None, number)).await.unwrap();
        }
        assert_eq!(store.forget(1400).await.unwrap(), 1400);
        assert_eq!(store.forget(1400).await.unwrap(), 0);
        assert!(store.get("vk_1", "1399").await.unwrap().is_none());
        assert!(store.get("vk_1", "1400").await.unwrap().is_some());
    }
    open!(fixture, store => test(&mut *store).await);
}
