//! The gateways' Secret: the token that their internal listener wants, and what it knows the admin key by. Decisions only.

use jiff::{SignedDuration, Timestamp};
use turnpike_bundle::sha256_hex;

/// How long a token is used before the next is made.
pub const ROTATE_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long the token before still works: volumes follow within minutes.
pub const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

/// What the Secret holds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GatewayAuth {
    /// Bearer token.
    pub token: Option<String>,
    /// The one before.
    pub previous: Option<String>,
    /// Lower-case hex sha256 of the admin key; `None` = there is no admin.
    pub admin_sha256: Option<String>,
    /// When `token` was made; `None` = unknown, which counts as just now.
    pub rotated_at: Option<Timestamp>,
}

impl std::fmt::Debug for GatewayAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GatewayAuth(rotated at {:?}, ***)", self.rotated_at)
    }
}

impl GatewayAuth {
    /// What it should hold now. `fresh` is a new random token, used only where one is due.
    #[must_use]
    pub fn at(&self, now: Timestamp, admin_key: Option<&[u8]>, fresh: String) -> Self {
        let admin_sha256 = admin_key.and_then(admin_sha256);
        let Some(token) = self.token.clone().filter(|token| !token.is_empty()) else {
            return Self { token: Some(fresh), previous: None, admin_sha256, rotated_at: Some(now) };
        };
        let rotated_at = self.rotated_at.unwrap_or(now);
        let age = now.duration_since(rotated_at);
        if age >= ROTATE_AFTER {
            return Self { token: Some(fresh), previous: Some(token), admin_sha256, rotated_at: Some(now) };
        }
        let previous = self.previous.clone().filter(|_| age < OVERLAP);
        Self { token: Some(token), previous, admin_sha256, rotated_at: Some(rotated_at) }
    }

    /// When time alone changes something next.
    pub fn due(&self) -> Option<Timestamp> {
        let after = if self.previous.is_some() { OVERLAP } else { ROTATE_AFTER };
        self.rotated_at.and_then(|at| at.checked_add(after).ok())
    }
}

/// As gateways compare it: white space around the key, such as a line end from a file, does not count.
fn admin_sha256(key: &[u8]) -> Option<String> {
    let key = std::str::from_utf8(key).ok()?.trim();
    (!key.is_empty()).then(|| sha256_hex(key.as_bytes()))
}
