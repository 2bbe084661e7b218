//! How many pots the end users of a key can make.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use turnpike_ledger::limits::EndUsers;

const NOON: i64 = 1_773_144_000_000_000;
const HOUR: i64 = 3_600_000_000;

#[test]
fn users_beyond_the_cap_share_a_pot_of_their_key_until_the_next_day() {
    let (one, other): (Arc<str>, Arc<str>) = ("vk_1".into(), "vk_2".into());
    let users = EndUsers::new(3);
    for name in ["a", "b", "a", "c"] {
        assert_eq!(users.pot(&one, name, NOON), format!("user:{name}"));
    }
    for name in ["d", "e"] {
        assert_eq!(users.pot(&one, name, NOON), "others:vk_1");
    }
    assert_eq!(users.pot(&one, "b", NOON + 11 * HOUR), "user:b", "who has a pot keeps it");
    assert_eq!(users.pot(&other, "d", NOON), "user:d", "another key's users are others");
    assert_eq!(users.pot(&one, "d", NOON + 12 * HOUR), "user:d", "a new day, UTC");
    assert_eq!(users.pot(&one, "e", NOON), "user:e", "a clock that goes back");
    assert_eq!(users.pot(&one, "f", NOON), "user:f");
    assert_eq!(users.pot(&one, "a", NOON + 12 * HOUR), "others:vk_1");
}

#[test]
fn no_user_can_take_the_name_of_the_common_pot() {
    let key: Arc<str> = "vk_1".into();
    let users = EndUsers::new(1);
    assert_eq!(users.pot(&key, "others:vk_1", NOON), "user:others:vk_1");
    assert_eq!(users.pot(&key, "user", NOON), "others:vk_1");
}

#[test]
fn threads_together_make_no_more_pots_than_the_cap() {
    let key: Arc<str> = "vk_1".into();
    let users = EndUsers::new(100);
    let own: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (users, key) = (&users, &key);
                let pot = move |n: i32| users.pot(key, &format!("{thread}-{n}"), NOON);
                scope.spawn(move || (0..100).filter(|n| pot(*n).starts_with("user:")).count())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(own, 100);
}
