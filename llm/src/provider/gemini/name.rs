//! Names of functions: Google takes 64 letters, digits, `_`, `.`, `:` and `-`, the first one a letter or `_`.

use std::borrow::Cow;

const MAX: usize = 64;
/// Of an altered name, room for what tells it from others.
const TAIL: usize = 9;

/// The name, or one made of it that Google takes; the same for the same, and different for different ones.
pub(super) fn fit(name: &str) -> Cow<'_, str> {
    let takes = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && name.len() <= MAX && name.chars().all(takes) {
        return Cow::Borrowed(name);
    }
    let first = if begins { "" } else { "_" };
    let known = name.chars().map(|c| if takes(c) { c } else { '_' });
    let start: String = first.chars().chain(known).take(MAX - TAIL).collect();
    // FNV-1a: no more than to keep `a/b` and `a b` apart.
    let sum = name.bytes().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Cow::Owned(format!("{start}_{sum:08x}"))
}
