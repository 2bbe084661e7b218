//! Google's workload identity federation: `external_account` files of the gateway's own.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use turnpike_testkit::{
    Gateway,
    cloud::{AUDIENCE, CALLER, Cloud, KEY_ID, POD_TOKEN, SECRET_KEY, SPOKEN_FOR},
};

use crate::credentials::{alice, call, gateway, issued, pod_token, says_none_of, vertex};
use crate::stage::{CHAT, chat};

const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const AWS: &str = "urn:ietf:params:aws:token-type:aws4_request";

/// A file, as `gcloud iam workload-identity-pools create-cred-config` makes it.
fn file(cloud: &Cloud, kind: &str, source: &Value, speaks_for: bool) -> (TempDir, PathBuf) {
    let mut file = json!({
        "universe_domain": "googleapis.com",
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": kind,
        "token_url": format!("{}/google/sts", cloud.url()),
        "credential_source": source,
    });
    if speaks_for {
        file["service_account_impersonation_url"] = format!("{}{SPOKEN_FOR}", cloud.url()).into();
        file["service_account_impersonation"] = json!({"token_lifetime_seconds": 1800});
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, file.to_string()).unwrap();
    (folder, path)
}

async fn started(cloud: &Cloud, file: &Path, more: &[(&str, &str)]) -> Gateway {
    let setup = gateway(cloud, vertex(cloud, &json!({}))).env("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap());
    more.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start().await
}

#[tokio::test]
async fn the_pod_s_token_is_exchanged_for_one_of_google_cloud() {
    let cloud = Cloud::start().await;
    let (_token, token) = pod_token();
    let (_folder, file) = file(&cloud, JWT, &json!({"file": token}), false);
    let gateway = started(&cloud, &file, &[]).await;
    assert_eq!(call(&gateway, &cloud).await, "federated-1");
    says_none_of(&gateway, &[POD_TOKEN, "federated-1"]);
}

#[tokio::test]
async fn who_is_in_the_pool_may_speak_for_a_service_account() {
    let cloud = Cloud::start().await;
    let format = json!({"type": "json", "subject_token_field_name": "access_token"});
    let source = json!({"url": format!("{}/proof", cloud.url()), "headers": {"Metadata": "True"}, "format": format});
    let (_folder, file) = file(&cloud, JWT, &source, true);
    let gateway = started(&cloud, &file, &[]).await;
    assert_eq!(call(&gateway, &cloud).await, "spoken-for-2");
    assert_eq!((issued(&cloud, "proof").len(), issued(&cloud, "federated")), (1, vec!["federated-1".to_owned()]));
    says_none_of(&gateway, &[POD_TOKEN, "federated-1", "spoken-for-2"]);
}

#[tokio::test]
async fn an_identity_of_aws_is_proved_by_a_signed_question() {
    let cloud = Cloud::start().await;
    let source = json!({
        "environment_id": "aws1",
        "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
        "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
        "regional_cred_verification_url": format!("{}{CALLER}", cloud.url()),
    });
    let (_folder, file) = file(&cloud, AWS, &source, true);
    let keys = [("AWS_ACCESS_KEY_ID", KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    let gateway = started(&cloud, &file, &keys).await;
    assert_eq!(call(&gateway, &cloud).await, "spoken-for-2");
    says_none_of(&gateway, &[SECRET_KEY, "Signature="]);
}

#[tokio::test]
async fn a_refusal_and_a_file_that_lacks_something_are_said() {
    let cloud = Cloud::start().await;
    let (_token, token) = pod_token();
    std::fs::write(&token, "another").unwrap();
    let (_folder, file) = file(&cloud, JWT, &json!({"file": token}), false);
    let refused = started(&cloud, &file, &[]).await;
    assert_eq!(alice(&refused).post(CHAT, &chat()).await.status, 503);
    refused.process.wrote("the reason", |output| output.contains("rejected by the attribute condition")).await;
    std::fs::write(&file, json!({"type": "external_account", "audience": AUDIENCE}).to_string()).unwrap();
    let torn = started(&cloud, &file, &[]).await;
    assert_eq!(alice(&torn).post(CHAT, &chat()).await.status, 503);
    torn.process.wrote("the reason", |output| output.contains("lacks audience, subject_token_type")).await;
}
