//! Hashes that are the same in every gateway and after every restart, so that all of them choose alike.

/// Of a name or a header's value (FNV-1a, mixed).
pub fn of(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv))
}

/// Of two hashes; their order matters.
pub fn both(first: u64, second: u64) -> u64 {
    mix(mix(first).wrapping_add(second))
}

/// Every bit of the input changes about half of the output's (splitmix64).
pub(crate) fn mix(hash: u64) -> u64 {
    let hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
