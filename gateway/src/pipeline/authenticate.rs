//! Who makes the request: a lookup of the key's sha256 in the snapshot.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    config::snapshot::{Allowed, Caller, Snapshot},
    error::Error,
};

/// Where Google's clients send it.
pub const GOOGLE_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// The headers that may carry a client's key. None of them is ever forwarded.
pub const KEY_HEADERS: [HeaderName; 5] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-litellm-api-key"),
    GOOGLE_KEY,
];

/// The admin key: who sends it may call every model and the admin routes. Only its hash is kept; in a cluster it may
/// change while the gateway runs, or not be there.
#[derive(Debug)]
pub struct AdminKey {
    hash: ArcSwapOption<[u8; 32]>,
    caller: Arc<Caller>,
}

impl AdminKey {
    /// From the sha256 of the key; `None` = nobody is the admin.
    pub fn new(hash: Option<[u8; 32]>) -> Self {
        let caller = Caller {
            key_id: "admin".into(),
            object: None,
            team: None,
            user: None,
            tags: Vec::new(),
            allowed: Allowed::All,
            expires_at: None,
            suspended: false,
            limits: Vec::new(),
            within: Vec::new(),
        };
        Self { hash: ArcSwapOption::from_pointee(hash), caller: Arc::new(caller) }
    }

    /// Replaces it.
    pub fn set(&self, hash: Option<[u8; 32]>) {
        self.hash.store(hash.map(Arc::new));
    }

    /// Whether this is the key itself.
    pub fn accepts(&self, key: &str) -> bool {
        self.is(&Sha256::digest(key.as_bytes()).into())
    }

    fn is(&self, hash: &[u8; 32]) -> bool {
        self.hash.load().as_deref().is_some_and(|admin| admin.ct_eq(hash).into())
    }
}

/// Finds the caller.
///
/// # Errors
/// No key, two different ones, or one that is unknown, expired or suspended.
pub fn authenticate(
    headers: &HeaderMap,
    snapshot: &Snapshot,
    admin: &AdminKey,
    now: i64,
) -> Result<Arc<Caller>, Error> {
    let key = presented(headers)?;
    let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    if admin.is(&hash) {
        return Ok(Arc::clone(&admin.caller));
    }
    let key = snapshot.keys.get(&hash).ok_or(Error::KeyUnknown)?;
    let past = |moment: Option<i64>| moment.is_some_and(|moment| moment <= now);
    if past(key.retires_at) || past(key.caller.expires_at) {
        return Err(Error::KeyExpired);
    }
    if key.caller.suspended {
        return Err(Error::KeySuspended);
    }
    Ok(Arc::clone(&key.caller))
}

/// The one key in the request's headers.
fn presented(headers: &HeaderMap) -> Result<&str, Error> {
    let mut found: Option<&str> = None;
    for name in &KEY_HEADERS {
        for value in headers.get_all(name) {
            let value = value.to_str().map_err(|_| Error::KeyUnknown)?.trim();
            let key = match bearer(value) {
                Some(key) => key,
                None if *name == header::AUTHORIZATION => return Err(Error::KeyMalformed),
                None => value,
            };
            match found {
                Some(other) if other != key => return Err(Error::KeyConflict),
                _ => found = Some(key),
            }
        }
    }
    match found {
        None | Some("") => Err(Error::KeyMissing),
        Some(key) => Ok(key),
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
