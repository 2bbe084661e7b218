//! AWS's own test vectors.

use http::header::AUTHORIZATION;
use turnpike_bundle::Confidential;

use super::*;

const VECTORS: &str = include_str!("vectors.txt");

/// One vector: its name, and what it states beside what we computed.
struct Outcome {
    name: String,
    stated: String,
    computed: String,
}

fn check(vector: &str) -> Option<Outcome> {
    let (request, stated) = vector.split_once("\n# signature ")?;
    let (name, mut request) = request.split_once('\n')?;
    let mut token = None;
    let mut content_sha256 = false;
    while let Some((note, rest)) = request.split_once('\n').filter(|_| request.starts_with("# ")) {
        token = note.strip_prefix("# token ").map(Confidential::from).or(token);
        content_sha256 |= note == "# content-sha256";
        request = rest;
    }
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let (line, fields) = head.split_once('\n')?;
    let (method, target) = line.strip_suffix(" HTTP/1.1")?.split_once(' ')?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut fields: Vec<(String, String)> = fields
        .lines()
        .filter_map(|field| field.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    if content_sha256 {
        let hash = hash([body]);
        fields.push(("x-amz-content-sha256".to_owned(), hash));
    }
    let headers: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let keys = AwsKeys {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token: token,
    };
    let scope = Scope { region: "us-east-1", service: "service" };
    let body = hash([body]);
    let request = Signable { method, path, query, headers: &headers, body: &body };
    let at = "2015-08-30T12:36:00Z".parse().ok()?;
    let signed = Signer { keys: &keys, scope, at }.sign(&request)?;
    let (_, authorization) = signed.iter().find(|(name, _)| *name == AUTHORIZATION)?;
    let computed = authorization.to_str().ok()?.rsplit('=').next()?.to_owned();
    Some(Outcome { name: name.to_owned(), stated: stated.trim().to_owned(), computed })
}

#[test]
fn signatures_are_those_that_aws_states() {
    let vectors: Vec<&str> = VECTORS.split("\n\n# ").skip(1).collect();
    assert_eq!(vectors.len(), 29, "none is skipped");
    for vector in vectors {
        let outcome = check(vector);
        let known = outcome.as_ref().map(|outcome| (outcome.name.as_str(), outcome.computed.as_str()));
        let stated = outcome.as_ref().map(|outcome| (outcome.name.as_str(), outcome.stated.as_str()));
        assert!(outcome.is_some(), "a vector cannot be read: {vector}");
        assert_eq!(known, stated);
    }
}

#[test]
fn a_colon_in_a_model_id_is_encoded_twice_in_what_is_signed() {
    assert_eq!(
        canonical_path("/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"),
        "/model/anthropic.claude-3-haiku-20240307-v1%253A0/converse"
    );
}

#[test]
fn nothing_secret_is_shown() {
    let keys = AwsKeys {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "very-secret".into(),
        session_token: Some("very-secret".into()),
    };
    let request = Signable { method: "POST", path: "/", query: "", headers: &[], body: &hash([""]) };
    let scope = Scope { region: "r", service: "s" };
    let signed = Signer { keys: &keys, scope, at: Timestamp::UNIX_EPOCH }.sign(&request);
    let shown = format!("{keys:?} {signed:?}");
    assert!(!shown.contains("very-secret") && !shown.contains("Signature="), "{shown}");
}
