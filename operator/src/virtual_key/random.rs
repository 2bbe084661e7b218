//! New keys: random, and shown to nobody but the Secret.

use rand::{TryRng, rngs::SysRng};

/// What every key starts with, as clients of such APIs expect.
const PREFIX: &str = "sk-";
/// 62 ^ 43 > 2 ^ 256.
const LENGTH: usize = 43;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Bytes from here on are drawn again, so that every letter is as likely: the largest multiple of 62 in a byte.
const FAIR: u8 = 248;

/// A client's key. Debug does not show it.
pub struct Key(String);

/// The system has no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random numbers: {0}")]
pub struct NoRandom(String);

impl Key {
    /// A new key of 256 bits from the system.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> Result<Self, NoRandom> {
        Self::draw(|bytes| SysRng.try_fill_bytes(bytes).map_err(|error| NoRandom(error.to_string())))
    }

    /// As [`Key::random`] from any source that fills bytes.
    ///
    /// # Errors
    /// Those of the source.
    pub fn draw<E>(mut fill: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut text = PREFIX.to_owned();
        while text.len() < PREFIX.len() + LENGTH {
            let mut bytes = [0_u8; LENGTH];
            fill(&mut bytes)?;
            let letters = bytes.iter().filter(|byte| **byte < FAIR);
            let letters =
                letters.filter_map(|byte| LETTERS.get(usize::from(byte % 62))).map(|letter| char::from(*letter));
            text.extend(letters.take(PREFIX.len() + LENGTH - text.len()));
        }
        Ok(Self(text))
    }

    /// The key itself, for the Secret.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}
