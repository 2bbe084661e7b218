//! AWS Signature Version 4: a pure function from a request, keys and a time to the headers that authenticate it.
//!
//! Of the body only its sha256 is signed. The path is signed with its percent-encoding encoded once more: a model id's `:`
//! is `%3A` on the wire and `%253A` in what is signed.

use std::{borrow::Cow, fmt::Write};

use aws_lc_rs::{
    digest::{self, SHA256},
    hmac::{self, HMAC_SHA256},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{self, AUTHORIZATION},
};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use turnpike_bundle::entry::AwsKeys;

use super::Endpoint;

#[cfg(test)]
mod vectors;

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";

/// What a signature is good for, on one day.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Such as `us-east-1`.
    pub region: &'a str,
    /// Signing name of the service, such as `bedrock`.
    pub service: &'a str,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signable<'a> {
    /// As on the wire.
    pub method: &'a str,
    /// As on the wire, percent-encoded once; empty = `/`.
    pub path: &'a str,
    /// After the `?`, as on the wire.
    pub query: &'a str,
    /// Lower-case names and values, `host` among them, in any order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// See [`hash`].
    pub body: &'a str,
}

/// sha256 of a body in parts, in hex.
pub fn hash(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut context = digest::Context::new(&SHA256);
    parts.into_iter().for_each(|part| context.update(part.as_ref()));
    hex(context.finish().as_ref())
}

/// Who signs, for what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// With these keys.
    pub keys: &'a AwsKeys,
    /// For this.
    pub scope: Scope<'a>,
    /// AWS refuses times that are minutes off.
    pub at: Timestamp,
}

impl Signer<'_> {
    /// Signs a call: adds the headers to those that it will be sent with. Signed are Host, Content-Type and AWS's own, as
    /// what passes on the way may touch the others. `None` as in [`Self::sign`].
    pub fn call(&self, method: &Method, endpoint: &Endpoint, headers: &mut HeaderMap, body: &str) -> Option<()> {
        let is_signed = |name: &HeaderName| *name == header::CONTENT_TYPE || name.as_str().starts_with("x-amz-");
        let chosen = headers.iter().filter(|(name, _)| is_signed(name));
        let host = ("host", endpoint.origin.header.as_bytes());
        let chosen: Vec<(&str, &[u8])> =
            chosen.map(|(name, value)| (name.as_str(), value.as_bytes())).chain([host]).collect();
        let (path, query) = (endpoint.target.path(), endpoint.target.query().unwrap_or_default());
        let request = Signable { method: method.as_str(), path, query, headers: &chosen, body };
        for (name, value) in self.sign(&request)? {
            headers.insert(name, value);
        }
        Some(())
    }

    /// The headers to add: authorization, date, and the session token where the keys have one. They replace any that the
    /// request carries. `None` = the keys hold what no header can carry.
    pub fn sign(&self, request: &Signable<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let Self { keys, scope: Scope { region, service }, at } = *self;
        let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = time.get(..8).unwrap_or_default();
        let place = format!("{day}/{region}/{service}/aws4_request");
        let ours = [AUTHORIZATION.as_str(), DATE, TOKEN];
        let others = request.headers.iter().filter(|(name, _)| !ours.contains(name));
        let mut headers: Vec<(&str, &[u8])> = others.copied().collect();
        headers.push((DATE, time.as_bytes()));
        if let Some(token) = &keys.session_token {
            headers.push((TOKEN, token.expose().as_bytes()));
        }
        let (canonical, names) = canonical_request(request, headers);
        let to_sign = format!("{ALGORITHM}\n{time}\n{place}\n{}", hash([&canonical]));
        let signature = hex(hmac(self.key(day), &to_sign).as_ref());
        let id = &keys.access_key_id;
        let authorization =
            format!("{ALGORITHM} Credential={id}/{place}, SignedHeaders={names}, Signature={signature}");
        let date = HeaderValue::try_from(time).ok()?;
        let mut added = vec![(AUTHORIZATION, sensitive(&authorization)?), (HeaderName::from_static(DATE), date)];
        if let Some(token) = &keys.session_token {
            added.push((HeaderName::from_static(TOKEN), sensitive(token.expose())?));
        }
        Some(added)
    }

    fn key(&self, day: &str) -> hmac::Tag {
        let secret = format!("AWS4{}", self.keys.secret_access_key.expose());
        let key = hmac(secret.as_bytes(), day);
        let key = hmac(key, self.scope.region);
        let key = hmac(key, self.scope.service);
        hmac(key, "aws4_request")
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn hmac(key: impl AsRef<[u8]>, text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key.as_ref()), text.as_bytes())
}

/// The canonical request, and the names of its headers.
fn canonical_request(request: &Signable<'_>, mut headers: Vec<(&str, &[u8])>) -> (Vec<u8>, String) {
    // Stable: values of a repeated header keep their order.
    headers.sort_by_key(|(name, _)| *name);
    let mut out = Vec::with_capacity(512);
    for line in [request.method, &canonical_path(request.path), &canonical_query(request.query)] {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    let mut names = String::new();
    for (name, value) in headers {
        if names.rsplit(';').next() == Some(name) {
            // Another value of the same header.
            out.pop();
            out.push(b',');
        } else {
            if !names.is_empty() {
                names.push(';');
            }
            names.push_str(name);
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
        }
        let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        for (at, word) in words.enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(names.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(request.body.as_bytes());
    (out, names)
}

/// Without empty and dot segments, each segment encoded (once more).
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len() + 16);
    for segment in &segments {
        out.push('/');
        out.extend(percent_encode(segment.as_bytes(), RESERVED));
    }
    let folder = matches!(path.rsplit('/').next(), Some("" | "." | ".."));
    if folder || segments.is_empty() {
        out.push('/');
    }
    out
}

/// Decoded, encoded in the one way that is canonical, and sorted.
fn canonical_query(query: &str) -> String {
    let canonical = |text: &str| -> String {
        let decoded: Cow<'_, [u8]> = percent_decode_str(text).into();
        percent_encode(&decoded, RESERVED).collect()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut pairs: Vec<(String, String)> = pairs.map(|(name, value)| (canonical(name), canonical(value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
