//! Keys in a cluster: times are kept by the gateway itself, and the admin key is known by its hash only.

use jiff::Timestamp;
use serde_json::json;
use turnpike_bundle::{entry::KeyHash, layout};
use turnpike_testkit::{gateway::ADMIN_KEY, manifest, wait::eventually};

use super::{Pod, TOKEN, mocks};
use crate::stage::{ALICE, CHAT, chat, with};

const NEXT: &str = "sk-alice-after-the-rotation";

#[tokio::test]
async fn a_rotated_and_an_expiring_key_end_on_time_without_a_reload() {
    let mut contents = mocks(&["one"]);
    let retires_at = Timestamp::now().as_second() + 4;
    let replaced = KeyHash { sha256: manifest::sha256(ALICE), retires_at: Some(retires_at) };
    contents.keys[0].hashes = vec![KeyHash { sha256: manifest::sha256(NEXT), retires_at: None }, replaced];
    let pod = Pod::new(&contents).await;
    let state = pod.report().await.state;
    let body = with(chat(), "model", json!("one"));
    let ask = async |key: &str| pod.gateway.client().with_key(key).post(CHAT, &body).await;
    assert_eq!((ask(ALICE).await.status, ask(NEXT).await.status), (200, 200), "both work while they overlap");
    let refused = eventually("the replaced key ends", || async {
        let reply = ask(ALICE).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert!(Timestamp::now().as_second() >= retires_at, "not before its time");
    assert_eq!((refused.status, refused.error_code().as_str()), (401, "expired_api_key"));
    assert_eq!(ask(NEXT).await.status, 200);
    assert_eq!(pod.report().await.state, state, "nothing was published meanwhile");
}

#[tokio::test]
async fn a_key_expires_without_a_reload() {
    let mut contents = mocks(&["one"]);
    let expires_at = Timestamp::now().as_second() + 4;
    contents.keys[0].expires_at = Some(expires_at);
    let pod = Pod::new(&contents).await;
    let state = pod.report().await.state;
    let body = with(chat(), "model", json!("one"));
    assert_eq!(pod.alice().post(CHAT, &body).await.status, 200);
    let refused = eventually("the key expires", || async {
        let reply = pod.alice().post(CHAT, &body).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert!(Timestamp::now().as_second() >= expires_at, "not before its time");
    assert_eq!((refused.status, refused.error_code().as_str()), (401, "expired_api_key"));
    assert_eq!(pod.report().await.state, state, "nothing was published meanwhile");
}

#[tokio::test]
async fn the_admin_key_is_a_hash_that_may_change_or_go() {
    let pod = Pod::new(&mocks(&["one"])).await;
    let status = async |key: &str| pod.gateway.client().with_key(key).get("/metrics").await.status;
    let until = async |key: &str, wanted: u16| {
        let what = format!("{key} gets {wanted}");
        eventually(&what, || async { (status(key).await == wanted).then_some(()) }).await;
    };
    until(ADMIN_KEY, 200).await;
    assert_eq!(status(ALICE).await, 403);
    let another = "sk-another-admin-key";
    let hash = manifest::sha256(another);
    pod.operator.auth.publish([(layout::TOKEN, TOKEN), (layout::ADMIN_SHA256, &format!("{hash}\n"))]);
    until(another, 200).await;
    assert_eq!(status(ADMIN_KEY).await, 401);
    assert_eq!(status(&hash).await, 401, "the hash is not the key");
    // Neither garbage nor nothing makes anybody the admin.
    pod.operator.auth.publish([(layout::TOKEN, TOKEN), (layout::ADMIN_SHA256, "garbage")]);
    until(another, 401).await;
    pod.operator.auth.publish([(layout::TOKEN, TOKEN)]);
    assert_eq!((status("garbage").await, status(another).await), (401, 401));
    assert_eq!(pod.report().await.version, 1000, "the token is still the same");
}

#[tokio::test]
async fn the_admin_api_says_that_keys_are_objects_in_a_cluster() {
    let pod = Pod::new(&mocks(&["one"])).await;
    for path in ["/key/list", "/budget/list", "/spend/logs", "/global/spend", "/model/info"] {
        let absent = pod.gateway.admin().get(path).await;
        assert_eq!((absent.status, absent.error_code().as_str()), (404, "no_admin_api"), "{path}");
        assert!(absent.text().contains("VirtualKey and Budget objects"), "{}", absent.text());
    }
}
