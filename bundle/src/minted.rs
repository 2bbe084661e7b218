//! What a minted Secret says in annotations of the keys that it held before: read by the renderer, written by the operator.

use std::collections::BTreeMap;

use turnpike_crds::KeyHash as Hash;

use crate::{entry::KeyHash, objects::Value};

/// Annotation of a minted Secret: lower-case hex sha256 of each replaced key, separated by commas.
pub const PREVIOUS_SHA256: &str = "turnpike.dev/previous-sha256";
/// Annotation of a minted Secret: when each of the replaced keys stops working, RFC 3339, in the same order.
pub const RETIRES_AT: &str = "turnpike.dev/retires-at";

/// Annotation of a minted Secret: when its key was made, RFC 3339.
pub const MINTED_AT: &str = "turnpike.dev/minted-at";
/// Annotation of a minted Secret: the value of `turnpike.dev/rotate` that was last acted upon.
pub const ROTATE_HANDLED: &str = "turnpike.dev/rotate-handled";
/// Value of [`crate::objects::USE_LABEL`] on Secrets that were minted.
pub const MINTED: &str = "minted";

/// The replaced keys that a minted Secret names, with when each stops working. What is not of that form counts as
/// absent, since such a key would never stop working.
pub fn replaced(annotations: &BTreeMap<String, String>) -> Vec<KeyHash> {
    let list = |name: &str| annotations.get(name).map_or("", String::as_str).split(',').map(str::trim);
    list(PREVIOUS_SHA256)
        .zip(list(RETIRES_AT))
        .filter_map(|(sha256, time)| {
            Hash::parse(&format!("sha256:{sha256}")).ok()?;
            let retires_at = time.parse::<jiff::Timestamp>().ok()?.as_second();
            Some(KeyHash { sha256: sha256.to_owned(), retires_at: Some(retires_at) })
        })
        .collect()
}

/// Writes what [`replaced`] reads. A hash without a time is left out; no hashes = no annotations.
pub fn set_replaced(annotations: &mut BTreeMap<String, String>, hashes: &[KeyHash]) {
    let (hashes, times): (Vec<&str>, Vec<String>) = hashes
        .iter()
        .filter_map(|hash| {
            let time = jiff::Timestamp::from_second(hash.retires_at?).ok()?;
            Some((hash.sha256.as_str(), time.to_string()))
        })
        .unzip();
    for (name, list) in [(PREVIOUS_SHA256, hashes.join(",")), (RETIRES_AT, times.join(","))] {
        if list.is_empty() {
            annotations.remove(name);
        } else {
            annotations.insert(name.to_owned(), list);
        }
    }
}

/// The hash of a minted key as it lies in its Secret: that of its text, without white space around it.
pub fn sha256(value: &[u8]) -> String {
    Value::digested(value).digest().sha256
}
