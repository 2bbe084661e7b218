//! One spelling for one value: what hashes and "unchanged" are decided on.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// JSON without spaces, members of every object sorted by name.
///
/// `serde_json`'s maps are sorted, so going through a value sorts the members of structs as well. The types of this
/// crate have string keys and finite numbers only, for which serialization cannot fail.
pub fn to_string<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).unwrap_or_default().to_string()
}

/// Lower-case hex of the sha256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let mut hex = String::with_capacity(64);
    for byte in digest {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The hash slot of a name: the first byte of its sha256.
pub(crate) fn slot(name: &str) -> u8 {
    Sha256::digest(name.as_bytes()).first().copied().unwrap_or_default()
}
