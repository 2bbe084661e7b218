//! What conditions and events say: `<what is wrong>; <what to do>`, all problems at once, never longer than a page.

use turnpike_bundle::Problem;

/// Most bytes of a message; an event takes no more.
pub const MAX: usize = 1024;

/// Room for "… and 99 more".
const REST: usize = 24;

/// All problems, each with its field and its next step; from the bound on only how many more there are.
pub fn of<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> String {
    let texts: Vec<String> = problems
        .into_iter()
        .map(|Problem { field, message, next_step, .. }| format!("{field}: {message}; {next_step}"))
        .collect();
    let mut message = String::new();
    for (at, text) in texts.iter().enumerate() {
        let separator = if at == 0 { "" } else { ". " };
        if at > 0 && message.len() + separator.len() + text.len() > MAX - REST {
            return format!("{message} … and {} more", texts.len() - at);
        }
        message.push_str(separator);
        message.push_str(text);
    }
    bounded(message)
}

/// A sentence with the warnings after it, if there are any.
pub fn noted(sentence: &str, warnings: &[Problem]) -> String {
    if warnings.is_empty() {
        return sentence.to_owned();
    }
    bounded(format!("{sentence}. Note: {}", of(warnings)))
}

/// Cut at a character, with an ellipsis, where it is longer than [`MAX`] bytes.
pub fn bounded(mut message: String) -> String {
    if message.len() > MAX {
        message.truncate(message.floor_char_boundary(MAX - '…'.len_utf8()));
        message.push('…');
    }
    message
}
