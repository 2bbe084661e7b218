//! The texts of keys: made, chosen, and known by their hash.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng, rngs::SysRng};
use turnpike_bundle::sha256_hex;

use crate::api::error::ApiError;

/// Shortest key that a client may choose, in characters.
const SHORTEST: usize = 16;

/// A new key.
pub(super) fn new() -> Result<String, ApiError> {
    Ok(format!("sk-{}", URL_SAFE_NO_PAD.encode(random::<32>()?)))
}

/// The end of a new resource's name: no two are alike, and none comes back after it was deleted.
pub(super) fn suffix() -> Result<String, ApiError> {
    Ok(format!("{:08x}", u32::from_be_bytes(random()?)))
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| ApiError::Random)?;
    Ok(bytes)
}

/// A key that the client chose.
pub(super) fn chosen(name: &str, key: String) -> Result<String, ApiError> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.starts_with("sk-") && key.len() >= SHORTEST && is_plain {
        return Ok(key);
    }
    let rule = format!("{name} must begin with sk- and have at least {SHORTEST} characters without spaces");
    Err(ApiError::field(name, format!("{rule}; choose another, or leave it out to have one made")))
}

/// Lower-case hex sha256 of what names a key: the key itself, or its hash.
pub(super) fn hash_of(key: &str) -> String {
    let is_hash = key.len() == 64 && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hash { key.to_owned() } else { sha256_hex(key.as_bytes()) }
}

/// What may be shown of a key: `sk-...` and its last four characters.
pub(super) fn shown(key: &str) -> String {
    let at = key.char_indices().nth_back(3).map_or(0, |(at, _)| at);
    format!("sk-...{}", key.get(at..).unwrap_or_default())
}
