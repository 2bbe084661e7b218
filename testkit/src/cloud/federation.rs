//! Google's workload identity federation: its STS, its service accounts, and a place that issues proofs by URL.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{
    Answer, Rules,
    issue::{Form, only},
};
use crate::sigv4::Account;

/// The provider of a pool that proofs are for.
pub const AUDIENCE: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/clusters/providers/tests";
/// Where AWS is asked who signed, but for the host.
pub const CALLER: &str = "/sts/?Action=GetCallerIdentity&Version=2011-06-15";
/// Whom members of the pool may speak for.
pub const SPOKEN_FOR: &str = "/google/serviceAccounts/models:generateAccessToken";

const JSON: &str = "application/json";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const AWS: &str = "urn:ietf:params:aws:token-type:aws4_request";

/// Checks an exchange of a proof for a token.
pub(super) fn exchanged(rules: &Rules, form: &Form) -> Result<(), String> {
    let subject = form.get("subject_token").cloned().unwrap_or_default();
    let kind = form.get("subject_token_type").map(String::as_str).unwrap_or_default();
    only(
        form,
        &[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", AUDIENCE),
            ("scope", SCOPE),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", kind),
            ("subject_token", &subject),
        ],
    )?;
    match kind {
        JWT if subject == rules.pod_token => Ok(()),
        JWT => Err("The given credential is rejected by the attribute condition.".to_owned()),
        AWS => asked_aws(rules, &subject),
        _ => Err(format!("Unsupported subject token type {kind}")),
    }
}

/// Asks AWS, as Google would, who signed.
fn asked_aws(rules: &Rules, subject: &str) -> Result<(), String> {
    let text = percent_decode_str(subject).decode_utf8().map_err(|error| error.to_string())?;
    let question: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let text = |name: &str| question.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let url = text("url");
    if text("method") != "POST" || !url.ends_with(CALLER) {
        return Err(format!("{url} is not a question to AWS's STS who asks"));
    }
    let mut headers = HeaderMap::new();
    for header in question.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = HeaderName::try_from(text("key")).map_err(|error| error.to_string())?;
        headers.append(name, HeaderValue::try_from(text("value")).map_err(|error| error.to_string())?);
    }
    let stated = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|sent| sent == value);
    if !is("x-goog-cloud-target-resource", AUDIENCE) || !stated.contains("x-goog-cloud-target-resource") {
        return Err("the question is not signed for this provider".to_owned());
    }
    if !is("host", host) {
        return Err("the question is signed for another host".to_owned());
    }
    let named = rules.accounts.iter().map(|(account, _)| account);
    let mut named = named.filter(|account| stated.contains(&format!("Credential={}/", account.access_key_id)));
    let account = named.next_back().ok_or("AWS does not know the key")?;
    Account { service: "sts".to_owned(), ..account.clone() }.verify(&Method::POST, CALLER, &headers, b"")
}

/// A service account's token for who shows a member's.
pub(super) fn spoken_for(rules: &mut Rules, head: &Parts, body: &[u8]) -> Result<Answer, String> {
    let member = rules.bearer(head)?;
    if !member.starts_with("federated") {
        return Err(format!("{member} is nobody of the pool"));
    }
    let asked: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if asked != json!({"delegates": [], "scope": [SCOPE], "lifetime": "1800s"}) {
        return Err(format!("unexpected body {asked}"));
    }
    let (token, expires) = rules.issue("spoken-for");
    rules.tokens.push((token.clone(), expires));
    let body = json!({"accessToken": token, "expireTime": expires.to_string()}).to_string();
    Ok(Answer::new(StatusCode::OK, JSON, body, "spoken-for").with(&token))
}

/// A proof, as a machine's metadata service issues it.
pub(super) fn proof(rules: &Rules, head: &Parts) -> Result<Answer, String> {
    if head.method != Method::GET || head.headers.get("metadata").is_none_or(|value| value != "True") {
        return Err("Required metadata header not specified".to_owned());
    }
    let body = json!({"access_token": rules.pod_token, "expires_in": 3600}).to_string();
    Ok(Answer::new(StatusCode::OK, JSON, body, "proof"))
}
