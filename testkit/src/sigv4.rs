//! Checks Signature Version 4 as AWS does: by computing it again from what came over the wire.
//!
//! Written apart from the gateway's signing, so that one mistake cannot be in both.

use std::fmt::Write;

use http::{HeaderMap, Method};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use sha2::{Digest, Sha256};

/// Most seconds between the signature's time and ours, either way.
const SKEW: i64 = 300;

/// An access key that is known to AWS, and what it is used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The key's id.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// Must come with the key, where it is a temporary one.
    pub session_token: Option<String>,
    /// Region of the endpoint.
    pub region: String,
    /// Signing name of the service.
    pub service: String,
}

impl Account {
    /// A key that does not expire, for Bedrock in us-east-1.
    pub fn bedrock(access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: None,
            region: "us-east-1".to_owned(),
            service: "bedrock".to_owned(),
        }
    }

    /// The same account with a temporary key's token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.session_token = Some(token.to_owned());
        self
    }

    /// Checks a request. `target`: path and query as sent.
    ///
    /// # Errors
    /// Why AWS would answer 403, in words for a failing test.
    pub fn verify(&self, method: &Method, target: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        let text = |name: &str| one(headers, name);
        let stated = text("authorization")?.ok_or("no Authorization header")?;
        let stated = Authorization::parse(&stated)?;
        let date = text("x-amz-date")?.ok_or("no x-amz-date")?;
        let at = DateTime::strptime("%Y%m%dT%H%M%SZ", &date).map_err(|error| format!("x-amz-date: {error}"))?;
        let at = at.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?.timestamp();
        if (Timestamp::now().as_second() - at.as_second()).abs() > SKEW {
            return Err(format!("Signature expired: {date}"));
        }
        let place = format!("{}/{}/{}/aws4_request", date.get(..8).unwrap_or_default(), self.region, self.service);
        if stated.credential != format!("{}/{place}", self.access_key_id) {
            return Err(format!(
                "Credential should be scoped to {}/{place}, not {}",
                self.access_key_id, stated.credential
            ));
        }
        if text("x-amz-security-token")? != self.session_token {
            return Err("The security token included in the request is invalid.".to_owned());
        }
        let canonical = canonical(method, target, headers, &stated.signed, body)?;
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{place}\n{}", hex(&Sha256::digest(&canonical)));
        let mut key = format!("AWS4{}", self.secret_access_key).into_bytes();
        for part in place.split('/') {
            key = hmac(&key, part.as_bytes());
        }
        if hex(&hmac(&key, to_sign.as_bytes())) != stated.signature {
            return Err(format!("The request signature we calculated does not match; canonical request:\n{canonical}"));
        }
        Ok(())
    }
}

struct Authorization {
    credential: String,
    signed: Vec<String>,
    signature: String,
}

impl Authorization {
    fn parse(text: &str) -> Result<Self, String> {
        let fields = text.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("not AWS4-HMAC-SHA256")?;
        let field = |name: &str| {
            let value = fields.split(", ").find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            value.map(str::to_owned).ok_or(format!("Authorization requires {name}"))
        };
        let signed = field("SignedHeaders")?.split(';').map(str::to_owned).collect();
        Ok(Self { credential: field("Credential")?, signed, signature: field("Signature")? })
    }
}

fn one(headers: &HeaderMap, name: &str) -> Result<Option<String>, String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().map(str::to_owned)).transpose();
    match values.next() {
        Some(_) => Err(format!("{name} came twice")),
        None => value.map_err(|_| format!("{name} is not text")),
    }
}

fn canonical(
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    signed: &[String],
    body: &[u8],
) -> Result<String, String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !signed.is_sorted() || !signed.iter().any(|name| name == "host") {
        return Err("SignedHeaders must be sorted and name host".to_owned());
    }
    let unsigned = headers.keys().find(|name| {
        (name.as_str().starts_with("x-amz-") || *name == "content-type")
            && !signed.iter().any(|known| known == name.as_str())
    });
    if let Some(name) = unsigned {
        return Err(format!("There were headers present in the request which were not signed: {name}"));
    }
    let mut fields = String::new();
    for name in signed {
        let value = one(headers, name)?.ok_or(format!("{name} is signed, but was not sent"))?;
        let words: Vec<&str> = value.split_whitespace().collect();
        writeln!(fields, "{name}:{}", words.join(" ")).expect("a String takes everything");
    }
    Ok(format!(
        "{method}\n{}\n{}\n{fields}\n{}\n{}",
        canonical_path(path)?,
        canonical_query(query)?,
        signed.join(";"),
        hex(&Sha256::digest(body))
    ))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The wire's path with its `%` encoded again. Where a reserved character came bare, gateways and proxies on the way
/// may encode it or not: only what is encoded once is certain to be taken.
fn canonical_path(path: &str) -> Result<String, String> {
    let mut out = String::new();
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            out.push('/');
        }
        for byte in segment.bytes() {
            match byte {
                b'%' => out.push_str("%25"),
                byte if is_unreserved(byte) => out.push(char::from(byte)),
                byte => return Err(format!("`{}` must be percent-encoded in the path {path}", char::from(byte))),
            }
        }
    }
    if path.contains("//") || path.contains("/.") {
        return Err(format!("the path {path} is not normal"));
    }
    Ok(out)
}

fn canonical_query(query: &str) -> Result<String, String> {
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let plain = |byte: u8| is_unreserved(byte) || b"%=".contains(&byte);
    match pairs.iter().find(|pair| !pair.contains('=') || !pair.bytes().all(plain)) {
        Some(pair) => Err(format!("`{pair}` is not a canonical part of a query")),
        None => Ok(pairs.join("&")),
    }
}

/// RFC 2104 over sha256.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    let short = if key.len() > block.len() { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.iter_mut().zip(&short).for_each(|(byte, given)| *byte = *given);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a String takes everything");
        out
    })
}
