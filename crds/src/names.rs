//! Names that are parsed once at the border: model names and patterns, key ids and key hashes.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Longest model name or pattern, in bytes.
pub const MODEL_NAME_MAX: usize = 253;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const KEY_ID_LENGTH: usize = 16;
const HASH_PREFIX: &str = "sha256:";

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Empty, too long, or with a character outside the allowed set.
    #[error(
        "\"{0}\" is not a model name; use letters, digits and . _ : / @ + - (at most 253), starting with a letter or digit"
    )]
    Model(String),
    /// A `*` elsewhere than at the end.
    #[error("\"{0}\" is not a model pattern; a * may stand only at the end")]
    Wildcard(String),
    /// Not `sha256:` and 64 lower-case hexadecimal digits.
    #[error("a key hash is \"sha256:\" followed by 64 lower-case hexadecimal digits, the SHA-256 of the key's bytes")]
    KeyHash,
}

/// A model name, or a prefix followed by `*` that stands for every name with that prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelPattern {
    /// Exactly this name.
    Exact(String),
    /// Every name that starts so; empty for `*` alone.
    Prefix(String),
}

impl ModelPattern {
    /// Parses a `modelName`, alias or an entry of `allowedModels`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (stem, wildcard) = text.strip_suffix('*').map_or((text, false), |stem| (stem, true));
        if stem.contains('*') {
            return Err(NameError::Wildcard(text.to_owned()));
        }
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._:/@+-".contains(&b);
        let starts_well = stem.bytes().next().map_or(wildcard, |b| b.is_ascii_alphanumeric());
        if !starts_well || text.len() > MODEL_NAME_MAX || !stem.bytes().all(legal) {
            return Err(NameError::Model(text.to_owned()));
        }
        Ok(if wildcard { Self::Prefix(stem.to_owned()) } else { Self::Exact(stem.to_owned()) })
    }

    /// Whether `name` is covered; case matters.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }

    /// What the `*` stands for in `name`; `None` if `name` is not covered or the pattern has no `*`.
    pub fn captured<'a>(&self, name: &'a str) -> Option<&'a str> {
        match self {
            Self::Exact(_) => None,
            Self::Prefix(prefix) => name.strip_prefix(prefix.as_str()),
        }
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Stable id of a `VirtualKey`, the same across rotations; what logs, metrics and spend rows name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// `vk_` and the first 16 characters of the lower-case base32 of sha256(`namespace/name`).
    pub fn of(namespace: &str, name: &str) -> Self {
        let digest = Sha256::digest(format!("{namespace}/{name}").as_bytes());
        Self(format!("vk_{}", base32(&digest, KEY_ID_LENGTH)))
    }

    /// The id as it stands in logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a client key's bytes: what is stored and compared instead of the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// Hashes a key as the client sends it.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Parses `sha256:<64 lower-case hex>`, the form of `spec.keyHash`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let hex = text.strip_prefix(HASH_PREFIX).filter(|hex| hex.len() == 64).ok_or(NameError::KeyHash)?;
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = pair
                .iter()
                .try_fold(0_u8, |high, &digit| Some(high << 4 | nibble(digit)?))
                .ok_or(NameError::KeyHash)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HASH_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// RFC 4648 base32 in lower case, cut to `length` characters.
fn base32(bytes: &[u8], length: usize) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    (0..length)
        .filter_map(|at| {
            let index = (0..5).fold(0_u8, |value, offset| value << 1 | bit(at * 5 + offset));
            BASE32.get(usize::from(index)).map(|&letter| char::from(letter))
        })
        .collect()
}
