//! Words of others that go into messages: bounded, on one line, and free of what terminals act upon.

/// Most bytes of what somebody else says, so that the whole message stays below 1024.
const MOST: usize = 600;

/// On one line.
pub(super) fn of(text: &str) -> String {
    let plain: String = without_colours(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    bounded(words.join(" "))
}

/// The last line of a log that says anything.
pub(super) fn last_line(log: &str) -> Option<String> {
    log.lines().rev().map(of).find(|line| !line.is_empty())
}

fn bounded(mut text: String) -> String {
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// Without the sequences by which loggers colour what they write.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |at| at + 1);
        rest = after.get(end..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}
