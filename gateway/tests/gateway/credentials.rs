//! Identities in clouds: what is exchanged for what, how often, and what happens when that fails.

use std::{path::PathBuf, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use turnpike_testkit::{
    Client, Gateway,
    cloud::{CLIENT, CLIENT_SECRET, Cloud, KEY_ID, POD_ROLE, POD_TOKEN, REGION, SECRET_KEY, ServiceAccount, TENANT},
    gateway::Setup,
    manifest::{self, Manifest},
};

use crate::stage::{ALICE, CHAT, chat, setup};

const MODEL: &str = "gpt-test";
/// With what no path may hold as it is.
const CLAUDE: &str = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";

/// A model in AWS.
fn bedrock(cloud: &Cloud, aws: &Value) -> Manifest {
    manifest::provider("Bedrock", MODEL, &cloud.url())
        .with("provider.model", CLAUDE)
        .with("provider.region", REGION)
        .with("provider.credentials", json!({ "aws": aws }))
}

/// A model in Google Cloud.
pub(crate) fn vertex(cloud: &Cloud, gcp: &Value) -> Manifest {
    manifest::provider("VertexAI", MODEL, &cloud.url())
        .with("provider.model", "gemini-2.5-flash")
        .with("provider.region", "europe-west1")
        .with("provider.project", "tests")
        .with("provider.credentials", json!({ "gcp": gcp }))
}

/// A model in Azure.
pub(crate) fn azure(cloud: &Cloud, azure: &Value) -> Manifest {
    manifest::provider("AzureOpenAI", MODEL, &cloud.url())
        .with("provider.model", "gpt-4o-mini")
        .with("provider.credentials", json!({ "azure": azure }))
}

/// The application with its secret.
pub(crate) fn with_secret() -> Value {
    json!({"tenantId": TENANT, "clientId": CLIENT, "clientSecret": {"secretRef": {"name": "entra", "key": "secret"}}})
}

pub(crate) fn entra_secret(secret: &str) -> Manifest {
    manifest::secret("entra", "secret", secret)
}

fn access_key() -> (Value, [Manifest; 2]) {
    let reference = |name: &str| json!({"secretRef": {"name": name, "key": "value"}});
    let secrets = [manifest::secret("aws-id", "value", KEY_ID), manifest::secret("aws-key", "value", SECRET_KEY)];
    (json!({"accessKeyId": reference("aws-id"), "secretAccessKey": reference("aws-key")}), secrets)
}

/// A gateway with this model, whose clouds are this one.
pub(crate) fn gateway(cloud: &Cloud, model: Manifest) -> Setup {
    setup()
        .manifests(&[model, manifest::key("alice", ALICE)])
        .env("AWS_ENDPOINT_URL_STS", &format!("{}/sts/", cloud.url()))
        .env("AWS_REGION", REGION)
        .env("TURNPIKE_GOOGLE_TOKEN_URL", &format!("{}/google/token", cloud.url()))
        .env("GCE_METADATA_HOST", &cloud.authority())
        .env("AZURE_AUTHORITY_HOST", &format!("{}/", cloud.url()))
}

pub(crate) fn alice(gateway: &Gateway) -> Client {
    gateway.client().with_key(ALICE)
}

/// Calls the model, which must answer; returns the credential that it was shown.
pub(crate) async fn call(gateway: &Gateway, cloud: &Cloud) -> String {
    let reply = alice(gateway).post(CHAT, &chat()).await;
    let calls = cloud.log();
    assert_eq!(reply.status, 200, "{} {calls:#?}", reply.text());
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello");
    calls.into_iter().rfind(|call| call.what == "model").unwrap().credential
}

/// The pod's token, as the kubelet writes it.
pub(crate) fn pod_token() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{POD_TOKEN}\n")).unwrap();
    (folder, path)
}

pub(crate) fn issued(cloud: &Cloud, what: &str) -> Vec<String> {
    let calls = cloud.calls(what);
    assert!(calls.iter().all(|call| call.refused.is_none()), "{calls:#?}");
    calls.into_iter().map(|call| call.credential).collect()
}

/// None of these is in the log.
pub(crate) fn says_none_of(gateway: &Gateway, secrets: &[&str]) {
    let output = gateway.process.output();
    assert!(!output.is_empty());
    for secret in secrets {
        assert!(!output.contains(secret), "the log holds {secret}");
    }
}

#[tokio::test]
async fn an_application_s_secret_is_exchanged_once_for_all_first_requests() {
    let cloud = Cloud::start().await;
    let gateway =
        gateway(&cloud, azure(&cloud, &with_secret())).manifests(&[entra_secret(CLIENT_SECRET)]).start().await;
    let (client, body) = (alice(&gateway), chat());
    let replies = join_all((0..20).map(|_| client.post(CHAT, &body))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{:#?}", cloud.log());
    assert_eq!(issued(&cloud, "entra").len(), 1);
    assert_eq!(cloud.calls("model").len(), 20);
    says_none_of(&gateway, &[CLIENT_SECRET, "entra-1"]);
}

#[tokio::test]
async fn the_pod_s_token_is_read_again_for_each_exchange() {
    let cloud = Cloud::start().await;
    cloud.lifetime(Duration::from_secs(5));
    let (_folder, path) = pod_token();
    let setup = gateway(&cloud, azure(&cloud, &json!({})))
        .env("AZURE_TENANT_ID", TENANT)
        .env("AZURE_CLIENT_ID", CLIENT)
        .env("AZURE_FEDERATED_TOKEN_FILE", path.to_str().unwrap());
    let gateway = setup.start().await;
    assert_eq!(call(&gateway, &cloud).await, "entra-1");
    cloud.pod_token("replaced-token-of-the-pod");
    std::fs::write(&path, "replaced-token-of-the-pod").unwrap();
    cloud.wait_for("another exchange", |log| log.iter().filter(|call| call.what == "entra").count() == 2).await;
    assert_eq!(issued(&cloud, "entra"), ["entra-1", "entra-2"]);
}

#[tokio::test]
async fn tokens_are_renewed_before_they_expire() {
    let cloud = Cloud::start().await;
    cloud.lifetime(Duration::from_secs(5));
    let gateway =
        gateway(&cloud, azure(&cloud, &with_secret())).manifests(&[entra_secret(CLIENT_SECRET)]).start().await;
    let mut shown = Vec::new();
    // Calls without a pause: the model refuses each token that has expired.
    while shown.last().is_none_or(|token| token != "entra-3") {
        shown.push(call(&gateway, &cloud).await);
    }
    shown.dedup();
    assert_eq!(shown, ["entra-1", "entra-2", "entra-3"]);
    assert_eq!(issued(&cloud, "entra").len(), 3);
}

#[tokio::test]
async fn what_is_valid_serves_while_its_renewal_fails_and_the_failure_shows() {
    let cloud = Cloud::start().await;
    cloud.lifetime(Duration::from_secs(8));
    let gateway =
        gateway(&cloud, azure(&cloud, &with_secret())).manifests(&[entra_secret(CLIENT_SECRET)]).start().await;
    assert_eq!(call(&gateway, &cloud).await, "entra-1");
    gateway.metric_is("turnpike_credentials_failing", "", 0.0).await;
    cloud.failing(true);
    gateway.metric_is("turnpike_credentials_failing", "", 1.0).await;
    assert_eq!(call(&gateway, &cloud).await, "entra-1", "the old one is good for a while");
    let detail = gateway.internal().get("/health/readiness").await;
    assert_eq!(detail.status, 200, "other models are served");
    let failing = detail.json()["failing_credentials"].clone();
    assert_eq!(failing[0]["reason"], "127.0.0.1 answered 500: server_error: out of order", "{failing}");
    let refused = turnpike_testkit::wait::eventually("the token expires", || async {
        let reply = alice(&gateway).post(CHAT, &chat()).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "backend_credential_unavailable"));
    assert!(refused.header("retry-after").is_some());
    assert!(cloud.calls("model").iter().all(|call| call.refused.is_none()), "no expired token is ever shown");
    cloud.failing(false);
    gateway.metric_is("turnpike_credentials_failing", "", 0.0).await;
    assert_eq!(call(&gateway, &cloud).await, "entra-2");
    assert_eq!(gateway.internal().get("/health/readiness").await.json()["failing_credentials"], json!([]));
    let output = gateway.process.output();
    assert_eq!(output.matches("a cloud credential could not be renewed").count(), 1, "told once for all attempts");
}

#[tokio::test]
async fn a_replaced_secret_counts_at_once() {
    let cloud = Cloud::start().await;
    let gateway = gateway(&cloud, azure(&cloud, &with_secret())).file("secret.yaml", &entra_secret("wrong").yaml());
    let gateway = gateway.start().await;
    let refused = alice(&gateway).post(CHAT, &chat()).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "backend_credential_unavailable"));
    assert!(cloud.calls("model").is_empty());
    gateway.write("secret.yaml", &entra_secret(CLIENT_SECRET).yaml());
    // The failing one is gone a moment before requests see the other.
    turnpike_testkit::wait::eventually("the secret counts", || async {
        (alice(&gateway).post(CHAT, &chat()).await.status == 200).then_some(())
    })
    .await;
    gateway.metric_is("turnpike_credentials_failing", "", 0.0).await;
    assert_eq!(call(&gateway, &cloud).await, "entra-1");
    // The one that failed is nobody's any more: its attempts have ended.
    cloud.client_secret("next");
    gateway.write("secret.yaml", &entra_secret("next").yaml());
    cloud.wait_for("an exchange", |log| log.iter().any(|call| call.credential == "entra-2")).await;
    assert_eq!(cloud.calls("entra").iter().filter(|call| call.refused.is_none()).count(), 2);
}

#[tokio::test]
async fn a_service_account_signs_for_its_tokens() {
    let cloud = Cloud::start().await;
    let account = ServiceAccount::default();
    cloud.service_account(&account);
    let model = vertex(&cloud, &json!({"serviceAccountJson": {"secretRef": {"name": "google", "key": "json"}}}));
    let gateway =
        gateway(&cloud, model).manifests(&[manifest::secret("google", "json", &account.file())]).start().await;
    assert_eq!(call(&gateway, &cloud).await, "google-1");
    says_none_of(&gateway, &["google-1", "PRIVATE KEY"]);
}

#[tokio::test]
async fn a_wrong_key_of_a_service_account_is_said_in_google_s_words() {
    let cloud = Cloud::start().await;
    cloud.service_account(&ServiceAccount::default());
    let model = vertex(&cloud, &json!({"serviceAccountJson": {"secretRef": {"name": "google", "key": "json"}}}));
    let other = ServiceAccount::default().file();
    let gateway = gateway(&cloud, model).manifests(&[manifest::secret("google", "json", &other)]).start().await;
    assert_eq!(alice(&gateway).post(CHAT, &chat()).await.status, 503);
    gateway.process.wrote("the reason", |output| output.contains("invalid_grant: Invalid JWT Signature.")).await;
}

#[tokio::test]
async fn the_metadata_server_issues_for_the_workload() {
    let cloud = Cloud::start().await;
    let gateway = gateway(&cloud, vertex(&cloud, &json!({}))).start().await;
    assert_eq!(call(&gateway, &cloud).await, "metadata-1");
}

#[tokio::test]
async fn requests_are_signed_with_an_access_key() {
    let cloud = Cloud::start().await;
    let (aws, secrets) = access_key();
    let gateway = gateway(&cloud, bedrock(&cloud, &aws)).manifests(&secrets).start().await;
    assert_eq!(call(&gateway, &cloud).await, KEY_ID);
    says_none_of(&gateway, &[SECRET_KEY, "Signature="]);
}

#[tokio::test]
async fn a_large_request_is_signed_too() {
    let cloud = Cloud::start().await;
    let (aws, secrets) = access_key();
    let gateway = gateway(&cloud, bedrock(&cloud, &aws)).manifests(&secrets).start().await;
    let mut body = chat();
    body["messages"][0]["content"] = "ü".repeat(300_000).into();
    let reply = alice(&gateway).post(CHAT, &body).await;
    assert_eq!(reply.status, 200, "{} {:#?}", reply.text(), cloud.log());
}

#[tokio::test]
async fn a_role_is_assumed_from_an_access_key() {
    let cloud = Cloud::start().await;
    let (mut aws, secrets) = access_key();
    aws["roleArn"] = "arn:aws:iam::210987654321:role/models".into();
    let gateway = gateway(&cloud, bedrock(&cloud, &aws)).manifests(&secrets).start().await;
    assert_eq!(call(&gateway, &cloud).await, "ASIAkey-1");
    assert_eq!(issued(&cloud, "AssumeRole"), ["ASIAkey-1"]);
    says_none_of(&gateway, &[SECRET_KEY, "secret/of+key-1", "session/of+key-1"]);
}

#[tokio::test]
async fn the_pod_s_web_identity_is_exchanged_and_assumes_roles() {
    let cloud = Cloud::start().await;
    let (_folder, path) = pod_token();
    let aws = json!({"roleArn": "arn:aws:iam::210987654321:role/models"});
    let setup = gateway(&cloud, bedrock(&cloud, &aws))
        .manifests(&[bedrock(&cloud, &json!({})).named("plain")])
        .env("AWS_ROLE_ARN", POD_ROLE)
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", path.to_str().unwrap());
    let gateway = setup.start().await;
    let assumed = call(&gateway, &cloud).await;
    assert_eq!(issued(&cloud, "AssumeRole"), [assumed]);
    let mut body = chat();
    body["model"] = "plain".into();
    assert_eq!(alice(&gateway).post(CHAT, &body).await.status, 200, "{:#?}", cloud.log());
    assert_eq!(issued(&cloud, "AssumeRoleWithWebIdentity").len(), 2, "one for each identity");
    says_none_of(&gateway, &[POD_TOKEN, "secret/of", "session/of"]);
}

#[tokio::test]
async fn the_pod_identity_agent_issues_keys() {
    let cloud = Cloud::start().await;
    let (_folder, path) = pod_token();
    let setup = gateway(&cloud, bedrock(&cloud, &json!({})))
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/agent", cloud.url()))
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path.to_str().unwrap());
    let gateway = setup.start().await;
    assert_eq!(call(&gateway, &cloud).await, "ASIAkey-1");
    assert_eq!(issued(&cloud, "agent"), ["ASIAkey-1"]);
}

#[tokio::test]
async fn the_machine_s_identity_is_taken_only_where_that_was_asked_for() {
    let cloud = Cloud::start().await;
    let gateway_without = gateway(&cloud, bedrock(&cloud, &json!({}))).start().await;
    assert_eq!(alice(&gateway_without).post(CHAT, &chat()).await.status, 503);
    let said = |output: &str| output.contains("the gateway has no AWS identity");
    gateway_without.process.wrote("the reason", said).await;
    assert!(cloud.log().is_empty());
    let setup = gateway(&cloud, bedrock(&cloud, &json!({}))).env("TURNPIKE_AWS_INSTANCE_METADATA", &cloud.url());
    let gateway = setup.start().await;
    assert_eq!(call(&gateway, &cloud).await, "ASIAkey-1");
    assert_eq!(issued(&cloud, "machine"), ["ASIAkey-1"]);
}
