//! How an answer is written down for other gateways, and what is taken back.

use bytes::Bytes;
use proptest::prelude::*;
use turnpike_gateway::cache::kept::{Kept, Unusable};
use turnpike_llm::usage::Usage;

fn kept() -> Kept {
    Kept {
        body: Bytes::from_static(b"{\"id\":\"1\"}"),
        name: "gpt".into(),
        model: "default/gpt".into(),
        upstream_model: "gpt-4o".into(),
        usage: Usage { prompt: 10, completion: 5, cached: 3, reasoning: 1, estimated: true, ..Usage::default() },
        at: 1_700_000_000_000,
        until: 1_700_000_060_000,
    }
}

const KEY: [u8; 32] = [3; 32];

fn read(value: &[u8]) -> Result<Kept, Unusable> {
    Kept::read(&Bytes::copy_from_slice(value), &KEY)
}

#[test]
fn comes_back_as_it_was() {
    assert_eq!(read(&kept().write(&KEY)), Ok(kept()));
    let empty = Kept { body: Bytes::new(), name: "".into(), ..kept() };
    assert_eq!(read(&empty.write(&KEY)), Ok(empty));
}

#[test]
fn what_is_not_ours_is_known_as_such() {
    assert_eq!(read(b""), Err(Unusable::Foreign));
    assert_eq!(read(b"{\"response\": \"an entry of another program\"}"), Err(Unusable::Foreign));
    let mut newer = kept().write(&KEY);
    newer[8] += 1;
    assert_eq!(read(&newer), Err(Unusable::Version));
    assert_eq!(read(&kept().write(&[4; 32])), Err(Unusable::Damaged), "of another key");
}

proptest! {
    #[test]
    fn a_change_anywhere_is_seen(at in 0..160_usize, flip in 1..=255_u8) {
        let mut value = kept().write(&KEY);
        let at = at % value.len();
        value[at] ^= flip;
        prop_assert!(read(&value).is_err());
    }

    #[test]
    fn so_is_a_cut(at in 0..160_usize) {
        let value = kept().write(&KEY);
        prop_assert!(read(&value[..at % value.len()]).is_err());
    }

    #[test]
    fn nothing_is_a_panic(value in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&value).is_err());
    }
}
