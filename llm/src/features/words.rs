//! How much the user wrote, and whether it looks hard: a guess that costs microseconds, where asking a model would cost a call.

use super::{messages, role, text};
use crate::{json, request::Request};

/// A word has about this many bytes where words are not set apart by spaces: two characters of Chinese or Japanese.
const BYTES_PER_WORD: u64 = 6;
/// So many bytes of all texts are searched; words of longer ones are still counted. Keeps a search below a millisecond.
const SEARCHED: usize = 1 << 16;
/// What is only found in code, in lower case.
const CODE: &[&str] =
    &["```", "#include", "traceback (most recent call last)", "stack trace", "\ndef ", "\nclass ", "\nfn "];

/// What the user wrote.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) count: u64,
    pub(super) is_complex: bool,
}

pub(super) fn of(request: &Request, keywords: &[Box<str>]) -> Found {
    let mut found = Found::default();
    let Some(messages) = messages(request) else { return found };
    let mut left = SEARCHED;
    for message in messages.filter(|message| matches!(role(message), None | Some(b"\"user\""))) {
        let text = text(message);
        let text = json::unescape(&text);
        found.count = found.count.saturating_add(count(&text));
        if !found.is_complex {
            let searched = text.get(..text.floor_char_boundary(left)).unwrap_or_default();
            left = left.saturating_sub(searched.len());
            found.is_complex = looks_hard(&searched.to_lowercase(), keywords);
        }
    }
    found
}

fn looks_hard(text: &str, keywords: &[Box<str>]) -> bool {
    CODE.iter().any(|code| text.contains(code)) || keywords.iter().any(|word| has(text, word))
}

fn count(text: &str) -> u64 {
    let wide = text.chars().filter(|character| is_wide(*character)).map(char::len_utf8).sum::<usize>() as u64;
    let spaced = text.split_whitespace().filter(|word| !word.chars().all(is_wide)).count() as u64;
    spaced.saturating_add(wide.div_ceil(BYTES_PER_WORD))
}

/// Of a script that writes words without spaces: Chinese, Japanese, Thai and their neighbours; Korean has spaces.
fn is_wide(character: char) -> bool {
    matches!(character, '\u{0e00}'..='\u{0eff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether `word`, which may be several words, stands in `text` on its own.
fn has(text: &str, word: &str) -> bool {
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            let after = text.get(at.saturating_add(word.len())..).and_then(|text| text.chars().next());
            let joins = |inner: Option<char>, outer: Option<char>| {
                let is_letter = |character: char| character.is_alphanumeric() && !is_wide(character);
                inner.is_some_and(is_letter) && outer.is_some_and(is_letter)
            };
            !joins(word.chars().next(), before) && !joins(word.chars().next_back(), after)
        })
}
