//! Who is signed in, and how often it may be tried. In memory: a restart signs everybody out.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};

/// After which a person signs in again.
pub(super) const LASTS: Duration = Duration::from_hours(12);
/// Sessions at once; the oldest makes room.
const MOST: usize = 64;
/// Attempts that may fail within [`WITHIN`], of all people together.
const TRIES: usize = 10;
const WITHIN: Duration = Duration::from_mins(1);

/// Sessions by the sha256 of what their cookies hold.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    /// When each ends.
    sessions: HashMap<[u8; 32], Duration>,
    /// When an attempt was made that did not end well, as far as is known.
    tries: VecDeque<Duration>,
}

/// Too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(
    /// So long.
    pub(super) Duration,
);

/// Times are since any one moment that stays the same.
impl Sessions {
    /// Begins an attempt to sign in, which counts as failed until [`Sessions::open`].
    ///
    /// # Errors
    /// There were too many.
    pub(super) fn attempt(&self, now: Duration) -> Result<(), Wait> {
        let mut open = self.lock();
        while open.tries.front().is_some_and(|first| *first + WITHIN <= now) {
            open.tries.pop_front();
        }
        if open.tries.len() >= TRIES {
            let first = open.tries.front().copied().unwrap_or(now);
            return Err(Wait((first + WITHIN).saturating_sub(now)));
        }
        open.tries.push_back(now);
        Ok(())
    }

    /// Opens a session after an attempt that went well; returns what its cookie holds.
    pub(super) fn open(&self, now: Duration) -> String {
        let token = hex(&rand::random::<[u8; 32]>());
        let mut open = self.lock();
        open.tries.pop_back();
        open.sessions.retain(|_, ends| *ends > now);
        if open.sessions.len() >= MOST
            && let Some(oldest) = open.sessions.iter().min_by_key(|(_, ends)| **ends).map(|(hash, _)| *hash)
        {
            open.sessions.remove(&oldest);
        }
        open.sessions.insert(hash(&token), now + LASTS);
        token
    }

    /// Whether a cookie is one of an open session.
    pub(super) fn is_open(&self, token: &str, now: Duration) -> bool {
        self.lock().sessions.get(&hash(token)).is_some_and(|ends| *ends > now)
    }

    /// Ends a session.
    pub(super) fn close(&self, token: &str) {
        self.lock().sessions.remove(&hash(token));
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lookup by hash tells nothing of how much of a guess was right.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn a_session_lasts_for_its_time_and_no_longer() {
        let sessions = Sessions::default();
        let token = sessions.open(second(1));
        assert_eq!(token.len(), 64);
        assert!(sessions.is_open(&token, LASTS));
        assert!(!sessions.is_open(&token, second(1) + LASTS));
        assert!(!sessions.is_open("", second(1)) && !sessions.is_open(&token[..63], second(1)));
        sessions.close(&token);
        assert!(!sessions.is_open(&token, second(1)));
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::default();
        let first = sessions.open(second(0));
        let tokens: Vec<_> = (1..=MOST).map(|_| sessions.open(second(1))).collect();
        let open = tokens.iter().filter(|token| sessions.is_open(token, second(100))).count();
        assert_eq!((open, sessions.is_open(&first, second(100))), (MOST, false));
    }

    #[test]
    fn ten_failures_in_a_minute_are_enough_and_success_is_none() {
        let sessions = Sessions::default();
        for _ in 0..20 {
            assert_eq!(sessions.attempt(second(0)), Ok(()));
            sessions.open(second(0));
        }
        for at in 0..10 {
            assert_eq!(sessions.attempt(second(at)), Ok(()));
        }
        assert_eq!(sessions.attempt(second(20)), Err(Wait(second(40))));
        assert_eq!(sessions.attempt(second(59)), Err(Wait(second(1))));
        assert_eq!(sessions.attempt(second(60)), Ok(()));
        assert_eq!(sessions.attempt(second(60)), Err(Wait(second(1))));
    }
}
