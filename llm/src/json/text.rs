//! Strings to JSON and back.

use std::borrow::Cow;

/// What stands between the quotes of a JSON string, escapes resolved. Lone surrogates become U+FFFD.
pub fn unescape(raw: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw).is_none() {
        return String::from_utf8_lossy(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = resolve(escape, &mut out);
    }
    out.extend_from_slice(rest);
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Resolves the escape that `text` starts with; returns what follows it.
fn resolve<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let (character, rest) = match text {
        [b'\\', b'b', rest @ ..] => ('\u{8}', rest),
        [b'\\', b'f', rest @ ..] => ('\u{c}', rest),
        [b'\\', b'n', rest @ ..] => ('\n', rest),
        [b'\\', b'r', rest @ ..] => ('\r', rest),
        [b'\\', b't', rest @ ..] => ('\t', rest),
        [b'\\', b'u', rest @ ..] => unicode(rest),
        [b'\\', other, rest @ ..] => (char::from(*other), rest),
        other => (char::REPLACEMENT_CHARACTER, other.get(1..).unwrap_or_default()),
    };
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    rest
}

/// The character of a `\u` escape from its digits on, with its second half if it is a surrogate pair.
fn unicode(text: &[u8]) -> (char, &[u8]) {
    let Some((first, rest)) = hex(text) else {
        return (char::REPLACEMENT_CHARACTER, text);
    };
    if let Some(character) = char::from_u32(first) {
        return (character, rest);
    }
    if let (0xD800..=0xDBFF, [b'\\', b'u', tail @ ..]) = (first, rest)
        && let Some((second @ 0xDC00..=0xDFFF, rest)) = hex(tail)
    {
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), rest);
    }
    (char::REPLACEMENT_CHARACTER, rest)
}

fn hex(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let mut code = 0;
    for digit in digits {
        code = code << 4 | char::from(*digit).to_digit(16)?;
    }
    Some((code, rest))
}

/// Appends `text` as it must stand between the quotes of a JSON string.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend([byte >> 4, byte & 15].map(
                    |digit| {
                        if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
                    },
                ));
            }
            _ => out.push(byte),
        }
    }
}

/// `text` as a JSON string, quotes included.
pub fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    escape_into(text, &mut out);
    out.push(b'"');
    out
}
