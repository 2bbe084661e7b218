//! What the operator lets gateways know of keys that are not clients': hashes only.

use std::{io, path::Path};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use turnpike_bundle::layout;

use super::volume::{Files, Volume};
use crate::config::compile::digest;

/// Shortest bearer token that is accepted: the operator's are longer, and an empty file must not open the door.
const MIN_TOKEN: usize = 16;

/// Who may ask what the gateway has loaded, and who is the admin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// sha256 of each token that is accepted.
    tokens: Vec<[u8; 32]>,
    /// sha256 of the admin key; `None` = nobody is the admin.
    pub admin: Option<[u8; 32]>,
}

/// The Secret that holds it, mounted.
pub struct MountedAuth(Volume);

impl MountedAuth {
    /// Nothing is read yet.
    pub fn new(folder: &Path) -> Self {
        Self(Volume::new(folder))
    }

    /// What is there now; `None` = all is as at the last look.
    ///
    /// # Errors
    /// The folder is not there or not readable; what was known stays.
    pub fn look(&mut self) -> io::Result<Option<Auth>> {
        Ok(self.0.look()?.as_ref().map(Auth::of))
    }
}

impl Auth {
    fn of(files: &Files) -> Self {
        let text = |name: &str| files.get(name).map(|bytes| bytes.trim_ascii()).filter(|bytes| !bytes.is_empty());
        let tokens = [layout::TOKEN, layout::PREVIOUS_TOKEN].into_iter().filter_map(text);
        let admin = text(layout::ADMIN_SHA256);
        let hash = admin.and_then(|hex| digest(std::str::from_utf8(hex).unwrap_or_default()));
        if admin.is_some() && hash.is_none() {
            tracing::error!("{} holds no sha256 in hex; there is no admin key until it does", layout::ADMIN_SHA256);
        }
        Self {
            tokens: tokens.filter(|token| token.len() >= MIN_TOKEN).map(|token| Sha256::digest(token).into()).collect(),
            admin: hash,
        }
    }

    /// Whether a bearer token is one of those; takes as long for any that is not.
    pub fn accepts(&self, token: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.tokens.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&hash)).into()
    }
}
