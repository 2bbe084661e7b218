//! Names of tools and ids of calls for providers that take fewer letters than OpenAI.

use std::borrow::Cow;

/// The name, or one made of it with ASCII letters, digits and `others` alone, of at most `most` bytes. One that does not fit
/// gets a sum of the whole, so that two names stay two.
pub(crate) fn fitting<'a>(name: &'a str, others: &[u8], most: usize) -> Cow<'a, str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
    if !name.is_empty() && name.len() <= most && name.bytes().all(fits) {
        return Cow::Borrowed(name);
    }
    let known = name.chars().map(|c| if u8::try_from(c).is_ok_and(fits) { c } else { '_' });
    let kept: String = known.take(most.saturating_sub(9)).collect();
    Cow::Owned(format!("{kept}_{:08x}", crc32fast::hash(name.as_bytes())))
}
