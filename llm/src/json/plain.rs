//! Skipping the plain part of a string in bulk: most bytes of a request lie in strings.

/// Number of leading bytes that stand for themselves in a string: no quote, backslash or control character.
#[inline]
pub(crate) fn plain_prefix(text: &[u8]) -> usize {
    let mut at = 0;
    let mut rest = text;
    // Keys and enum values end within the first words; only then is the wide loop worth entering.
    for _ in 0..2 {
        let Some((word, tail)) = rest.split_first_chunk::<8>() else {
            return at + slow_prefix(rest);
        };
        let hits = special_bytes(u64::from_le_bytes(*word));
        if hits != 0 {
            return at + lowest(hits);
        }
        at += 8;
        rest = tail;
    }
    while let Some((block, tail)) = rest.split_first_chunk::<32>() {
        // Written without an early exit so that it compiles to vector compares.
        if block.iter().fold(false, |any, byte| any | is_special(*byte)) {
            break;
        }
        at += 32;
        rest = tail;
    }
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let hits = special_bytes(u64::from_le_bytes(*word));
        if hits != 0 {
            return at + lowest(hits);
        }
        at += 8;
        rest = tail;
    }
    at + slow_prefix(rest)
}

fn slow_prefix(text: &[u8]) -> usize {
    text.iter().position(|byte| is_special(*byte)).unwrap_or(text.len())
}

#[expect(
    clippy::needless_bitwise_bool,
    reason = "lazy operators branch, which keeps the wide loop from becoming vector code"
)]
fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// Index of the lowest byte flagged by [`special_bytes`].
fn lowest(hits: u64) -> usize {
    (hits.trailing_zeros() / 8) as usize
}

/// High bit set in each special byte of a word. Borrows may flag bytes above the lowest true hit, never below it.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quotes = word ^ (ONES * 0x22);
    let slashes = word ^ (ONES * 0x5C);
    let quotes = quotes.wrapping_sub(ONES) & !quotes;
    let slashes = slashes.wrapping_sub(ONES) & !slashes;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | slashes | controls) & HIGHS
}
