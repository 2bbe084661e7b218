//! Those who issue: what each asks for, and its answer.

use std::{collections::BTreeMap, str::Utf8Error};

use http::{HeaderMap, Method, StatusCode, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::{Answer, CLIENT, POD_ROLE, REGION, Rules, TENANT, federation, google};
use crate::sigv4::Account;

const XML: &str = "text/xml";
const JSON: &str = "application/json";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A form's fields.
pub(super) type Form = BTreeMap<String, String>;

/// The answer of an issuer; `None` = the path is none of theirs.
pub(super) fn answer(rules: &mut Rules, head: &Parts, body: &[u8]) -> Option<Answer> {
    let path = head.uri.path();
    let entra = format!("/{TENANT}/oauth2/v2.0/token");
    let what = match path {
        "/sts/" => "sts",
        "/agent" => "agent",
        "/google/token" => "google",
        "/google/sts" => "federated",
        federation::SPOKEN_FOR => "spoken-for",
        "/proof" => "proof",
        path if path == entra => "entra",
        path if path.starts_with("/computeMetadata/") => "metadata",
        path if path.starts_with("/latest/") => "machine",
        _ => return None,
    };
    if rules.failing {
        let body = r#"{"error": "server_error", "message": "out of order"}"#.to_owned();
        return Some(Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, JSON, body, what, "told to fail"));
    }
    let outcome = match what {
        "sts" => return Some(sts(rules, head, body)),
        "agent" => agent(rules, head),
        "machine" => return Some(machine(rules, head)),
        "google" => form(head, body).and_then(|form| google::granted(rules, &form)).map(|()| token(rules, what)),
        "federated" => {
            form(head, body).and_then(|form| federation::exchanged(rules, &form)).map(|()| token(rules, what))
        }
        "spoken-for" => federation::spoken_for(rules, head, body),
        "proof" => federation::proof(rules, head),
        "metadata" => metadata(head).map(|()| token(rules, what)),
        _ => form(head, body).and_then(|form| entra_application(rules, &form)).map(|()| token(rules, what)),
    };
    Some(outcome.unwrap_or_else(|reason| {
        let body = json!({"error": "invalid_grant", "error_description": reason}).to_string();
        Answer::refused(StatusCode::BAD_REQUEST, JSON, body, what, &reason)
    }))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn form(head: &Parts, body: &[u8]) -> Result<Form, String> {
    if head.method != Method::POST {
        return Err(format!("{} instead of POST", head.method));
    }
    if header(&head.headers, "content-type") != Some("application/x-www-form-urlencoded") {
        return Err("the body is not a form".to_owned());
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let decode = |text: &str| -> Result<String, Utf8Error> {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().map(std::borrow::Cow::into_owned)
    };
    let pairs = text.split('&').map(|pair| pair.split_once('=').ok_or_else(|| format!("`{pair}` is no field")));
    let mut form = Form::new();
    for pair in pairs {
        let (name, value) = pair?;
        let (name, value) = (decode(name), decode(value));
        let (name, value) = (name.map_err(|error| error.to_string())?, value.map_err(|error| error.to_string())?);
        if form.insert(name.clone(), value).is_some() {
            return Err(format!("{name} came twice"));
        }
    }
    Ok(form)
}

/// Exactly these fields, each with its value.
pub(super) fn only(form: &Form, expected: &[(&str, &str)]) -> Result<(), String> {
    let sent: Vec<&str> = form.keys().map(String::as_str).collect();
    let mut names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    if sent != names {
        return Err(format!("fields {sent:?} instead of {names:?}"));
    }
    match expected.iter().find(|(name, value)| form.get(*name).map(String::as_str) != Some(value)) {
        Some((name, _)) => Err(format!("the {name} provided is wrong")),
        None => Ok(()),
    }
}

fn token(rules: &mut Rules, what: &str) -> Answer {
    let (token, expires) = rules.issue(what);
    rules.tokens.push((token.clone(), expires));
    let seconds = rules.lifetime.as_secs();
    let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds}).to_string();
    Answer::new(StatusCode::OK, JSON, body, what).with(&token)
}

fn entra_application(rules: &Rules, form: &Form) -> Result<(), String> {
    let scope = "https://cognitiveservices.azure.com/.default";
    let common = [("client_id", CLIENT), ("scope", scope), ("grant_type", "client_credentials")];
    let proof = if form.contains_key("client_secret") {
        vec![("client_secret", rules.client_secret.as_str())]
    } else {
        vec![("client_assertion_type", ASSERTION), ("client_assertion", rules.pod_token.as_str())]
    };
    only(form, &[common.as_slice(), &proof].concat())
}

fn metadata(head: &Parts) -> Result<(), String> {
    if head.method != Method::GET || header(&head.headers, "metadata-flavor") != Some("Google") {
        return Err("Missing Metadata-Flavor:Google header.".to_owned());
    }
    let path = head.uri.path();
    if path != "/computeMetadata/v1/instance/service-accounts/default/token" {
        return Err(format!("there is nothing at {path}"));
    }
    Ok(())
}

/// A new account, known from now on.
fn account(rules: &mut Rules) -> (Account, String) {
    let (name, expires) = rules.issue("key");
    let account = Account {
        access_key_id: format!("ASIA{name}"),
        secret_access_key: format!("secret/of+{name}"),
        session_token: Some(format!("session/of+{name}==")),
        region: REGION.to_owned(),
        service: "bedrock".to_owned(),
    };
    rules.accounts.push((account.clone(), Some(expires)));
    (account, expires.to_string())
}

fn agent(rules: &mut Rules, head: &Parts) -> Result<Answer, String> {
    if head.method != Method::GET || header(&head.headers, "authorization") != Some(&rules.pod_token) {
        return Err("the agent is not shown the pod's token".to_owned());
    }
    Ok(issued_json(rules, "agent"))
}

fn issued_json(rules: &mut Rules, what: &str) -> Answer {
    let (account, expiration) = account(rules);
    let body = json!({
        "AccessKeyId": account.access_key_id,
        "SecretAccessKey": account.secret_access_key,
        "Token": account.session_token,
        "Expiration": expiration,
        "AccountId": "123456789012",
    });
    Answer::new(StatusCode::OK, JSON, body.to_string(), what).with(&account.access_key_id)
}

/// `IMDSv2`: a session first, then the role's name, then its keys.
fn machine(rules: &mut Rules, head: &Parts) -> Answer {
    const SESSION: &str = "session-of-the-metadata-service";
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    let path = head.uri.path();
    if path == "/latest/api/token" && head.method == Method::PUT {
        let ttl = header(&head.headers, "x-aws-ec2-metadata-token-ttl-seconds").and_then(|ttl| ttl.parse::<u32>().ok());
        if ttl.is_some_and(|ttl| (1..=21600).contains(&ttl)) {
            return Answer::new(StatusCode::OK, "text/plain", SESSION.to_owned(), "machine-session");
        }
    }
    let has_session = header(&head.headers, "x-aws-ec2-metadata-token") == Some(SESSION);
    match path.strip_prefix(ROLES) {
        Some("") if has_session => Answer::new(StatusCode::OK, "text/plain", "node".to_owned(), "machine-role"),
        Some("node") if has_session => issued_json(rules, "machine"),
        _ => Answer::refused(StatusCode::UNAUTHORIZED, "text/plain", String::new(), "machine", "no session"),
    }
}

fn sts(rules: &mut Rules, head: &Parts, body: &[u8]) -> Answer {
    let form = form(head, body);
    let action = form.as_ref().ok().and_then(|form| form.get("Action").cloned()).unwrap_or_default();
    match form.and_then(|form| may_assume(rules, head, body, &form)) {
        Ok(()) => {
            let (account, expiration) = account(rules);
            let id = account.access_key_id.clone();
            let body = assumed(&action, &account, &expiration);
            Answer::new(StatusCode::OK, XML, body, &action).with(&id)
        }
        Err(reason) => {
            let body = format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>Sender</Type>\n    \
                 <Code>AccessDenied</Code>\n    <Message>{reason}</Message>\n  </Error>\n</ErrorResponse>"
            );
            Answer::refused(StatusCode::FORBIDDEN, XML, body, &action, &reason)
        }
    }
}

fn assumed(action: &str, account: &Account, expiration: &str) -> String {
    let Account { access_key_id, secret_access_key, session_token, .. } = account;
    let token = session_token.as_deref().unwrap_or_default();
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <{action}Result>\n    \
         <AssumedRoleUser>\n      <Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn>\n    </AssumedRoleUser>\n    \
         <Credentials>\n      <AccessKeyId>{access_key_id}</AccessKeyId>\n      \
         <SecretAccessKey>{secret_access_key}</SecretAccessKey>\n      <SessionToken>{token}</SessionToken>\n      \
         <Expiration>{expiration}</Expiration>\n    </Credentials>\n  </{action}Result>\n</{action}Response>"
    )
}

fn may_assume(rules: &Rules, head: &Parts, body: &[u8], form: &Form) -> Result<(), String> {
    let version = ("Version", "2011-06-15");
    match form.get("Action").map(String::as_str) {
        Some("AssumeRoleWithWebIdentity") => {
            if head.headers.contains_key("authorization") {
                return Err("a web identity signs nothing".to_owned());
            }
            let fields = [
                ("Action", "AssumeRoleWithWebIdentity"),
                version,
                ("RoleArn", POD_ROLE),
                ("RoleSessionName", "turnpike"),
                ("WebIdentityToken", &rules.pod_token),
            ];
            only(form, &fields)
        }
        Some("AssumeRole") => {
            let role = form.get("RoleArn").cloned().unwrap_or_default();
            if !role.starts_with("arn:aws:iam::") {
                return Err("RoleArn is not a role's".to_owned());
            }
            let fields = [
                ("Action", "AssumeRole"),
                version,
                ("RoleArn", role.as_str()),
                ("RoleSessionName", "turnpike-default"),
                ("ExternalId", "standalone/default"),
            ];
            only(form, &fields)?;
            rules.verify("sts", head, body).map(|_| ())
        }
        _ => Err("no such action".to_owned()),
    }
}

impl Rules {
    /// Checks a signature with the account that it names; returns that account's id.
    pub(super) fn verify(&self, service: &str, head: &Parts, body: &[u8]) -> Result<String, String> {
        let stated = header(&head.headers, "authorization").ok_or("nothing is signed")?;
        let now = jiff::Timestamp::now();
        let named = self
            .accounts
            .iter()
            .find(|(account, _)| stated.contains(&format!("Credential={}/", account.access_key_id)));
        let (account, expires) = named.ok_or("The security token included in the request is invalid.")?;
        if expires.is_some_and(|expires| expires < now) {
            return Err("The security token included in the request is expired.".to_owned());
        }
        let account = Account { service: service.to_owned(), ..account.clone() };
        let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        account.verify(&head.method, target, &head.headers, body)?;
        Ok(account.access_key_id)
    }
}
