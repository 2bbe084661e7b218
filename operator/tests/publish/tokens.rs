//! The gateways' token is made once, renewed in time, and both work for a while.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use turnpike_operator::publish::{
    mint::{fill, read},
    tokens::{GatewayAuth, OVERLAP, ROTATE_AFTER},
};

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(24 * days)
}

#[test]
fn a_token_is_made_where_there_is_none_and_kept_where_there_is_one() {
    let first = GatewayAuth::default().at(at(0), Some(b"sk-admin\n"), "one".to_owned());
    assert_eq!((first.token.as_deref(), first.previous.as_deref()), (Some("one"), None));
    assert_eq!(first.rotated_at, Some(at(0)));
    // printf sk-admin | sha256sum
    assert_eq!(first.admin_sha256.as_deref(), Some("46db358cf47822ef17fa2cea371f2dd33512fb20ae94b092a5efb955d515b410"));
    assert_eq!(first.at(at(29), Some(b"sk-admin"), "two".to_owned()), first);
    assert_eq!(first.due(), Some(at(30)));
}

#[test]
fn after_30_days_a_new_one_is_made_and_the_old_one_works_for_a_day() {
    let first = GatewayAuth::default().at(at(0), None, "one".to_owned());
    let second = first.at(at(30), None, "two".to_owned());
    assert_eq!((second.token.as_deref(), second.previous.as_deref()), (Some("two"), Some("one")));
    assert_eq!(second.due(), Some(at(31)));
    let just_before = at(31) - SignedDuration::from_secs(1);
    assert_eq!(second.at(just_before, None, "three".to_owned()), second);
    let third = second.at(at(31), None, "three".to_owned());
    assert_eq!((third.token.as_deref(), third.previous.as_deref()), (Some("two"), None));
    assert_eq!(third.due(), Some(at(60)));
    assert!(OVERLAP < ROTATE_AFTER);
}

#[test]
fn a_token_of_unknown_age_is_kept_and_ages_from_now() {
    let found = GatewayAuth { token: Some("found".to_owned()), ..GatewayAuth::default() };
    let kept = found.at(at(3), None, "new".to_owned());
    assert_eq!((kept.token.as_deref(), kept.rotated_at), (Some("found"), Some(at(3))));
}

#[test]
fn the_admin_follows_whoever_edits_the_key_and_no_key_means_no_admin() {
    let first = GatewayAuth::default().at(at(0), Some(b"sk-one"), "t".to_owned());
    let second = first.at(at(1), Some(b"sk-two"), "t2".to_owned());
    assert_ne!(first.admin_sha256, second.admin_sha256);
    assert_eq!(first.token, second.token);
    for none in [None, Some(b" \n".as_slice()), Some([0xff, 0xfe].as_slice())] {
        assert_eq!(second.at(at(1), none, "t3".to_owned()).admin_sha256, None);
    }
}

#[test]
fn the_secret_keeps_what_else_is_in_it() {
    let first = GatewayAuth::default().at(at(0), Some(b"sk-one"), "one".to_owned());
    let second = first.at(at(30), None, "two".to_owned());
    let mut secret: Secret = serde_json::from_value(serde_json::json!({"data": {"other": "b3RoZXI="}})).unwrap();
    for auth in [first, second.clone(), second.at(at(31), None, "three".to_owned())] {
        fill(&mut secret, &auth);
        assert_eq!(read(&secret), auth);
        assert!(secret.data.as_ref().unwrap().contains_key("other"));
    }
    assert_eq!(secret.data.unwrap().into_keys().collect::<Vec<_>>(), ["other", "token"]);
}

#[test]
fn debug_shows_no_token() {
    let auth = GatewayAuth::default().at(at(0), Some(b"sk-one"), "sesame".to_owned());
    assert!(!format!("{auth:?}").contains("sesame"));
}
