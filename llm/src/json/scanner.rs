//! The scanner itself: one pass, no recursion, no allocation beyond the list of members.

use super::plain::plain_prefix;
use super::{Cause, JsonError, MAX_DEPTH, Member, Span};

/// Sees what a scan passes, so that a second pass is not needed for the few nested values that matter. Keys and strings
/// are shown as they stand between their quotes. `depth` counts the brackets around a value within the top-level member's
/// value: 1 for the members of an object that is one.
pub(crate) trait Visitor {
    /// A top-level member begins.
    fn member(&mut self, _key: &[u8]) {}

    /// An object begins, the value of `key`; `None` = an array, or an object that is no member's value.
    fn open(&mut self, _key: Option<&[u8]>, _depth: u32) {}

    /// A member of a nested object whose value is a number.
    fn number(&mut self, _key: &[u8], _value: &[u8], _depth: u32) {}

    /// A member of a nested object whose value is a string; `at` is where it begins in the text, after its quote.
    fn string(&mut self, _key: &[u8], _value: &[u8], _at: usize, _depth: u32) {}
}

impl Visitor for () {}

pub(super) struct Scanner<'a, V> {
    text: &'a [u8],
    at: usize,
    visitor: &'a mut V,
}

impl<'a, V: Visitor> Scanner<'a, V> {
    pub(super) fn new(text: &'a [u8], visitor: &'a mut V) -> Self {
        Self { text, at: 0, visitor }
    }

    /// The whole text as one object.
    pub(super) fn object(mut self, members: &mut Vec<Member>) -> Result<(), JsonError> {
        match self.next_byte() {
            Ok(b'{') => self.at += 1,
            Ok(_) => return Err(self.error(Cause::NotAnObject)),
            Err(_) => return Err(self.error(Cause::Empty)),
        }
        if self.next_byte()? == b'}' {
            self.at += 1;
            return self.end();
        }
        loop {
            let (key, escaped) = self.key()?;
            self.visitor.member(self.inner(key));
            self.next_byte()?;
            let start = self.at;
            self.value()?;
            members.push(Member { key, value: Span { start, end: self.at }, escaped });
            match self.next_byte()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return self.end();
                }
                _ => return Err(self.error(Cause::UnexpectedByte)),
            }
        }
    }

    /// The whole text as one array.
    pub(super) fn array(mut self, elements: &mut Vec<Span>) -> Result<(), JsonError> {
        if self.next_byte()? != b'[' {
            return Err(self.error(Cause::UnexpectedByte));
        }
        self.at += 1;
        if self.next_byte()? == b']' {
            self.at += 1;
            return self.end();
        }
        loop {
            self.next_byte()?;
            let start = self.at;
            self.value()?;
            elements.push(Span { start, end: self.at });
            match self.next_byte()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return self.end();
                }
                _ => return Err(self.error(Cause::UnexpectedByte)),
            }
        }
    }

    /// The whole text as one value.
    pub(super) fn whole(mut self) -> Result<(), JsonError> {
        self.next_byte()?;
        self.value()?;
        self.end()
    }

    fn end(mut self) -> Result<(), JsonError> {
        match self.next_byte() {
            Ok(_) => Err(self.error(Cause::TrailingData)),
            Err(_) => Ok(()),
        }
    }

    /// One value of any kind; `at` is on its first byte before and after its last one afterwards.
    fn value(&mut self) -> Result<(), JsonError> {
        // One bit a level, set for objects; the outermost level is the caller's.
        let mut objects: u128 = 0;
        let mut depth: u32 = 0;
        let mut key = None;
        loop {
            match self.next_byte()? {
                b'"' => {
                    let value = self.string()?.0;
                    if let Some(key) = key {
                        self.visitor.string(self.inner(key), self.inner(value), value.start + 1, depth);
                    }
                }
                open @ (b'{' | b'[') => {
                    if depth + 1 >= MAX_DEPTH {
                        return Err(self.error(Cause::TooDeep));
                    }
                    self.visitor.open(key.filter(|_| open == b'{').map(|key| self.inner(key)), depth);
                    depth += 1;
                    self.at += 1;
                    objects = objects << 1 | u128::from(open == b'{');
                    let next = self.next_byte()?;
                    // '}' and ']' follow their opening brackets at the same distance in ASCII.
                    if next != open + 2 {
                        key = self.key_of(objects)?;
                        continue;
                    }
                    self.at += 1;
                    depth -= 1;
                    objects >>= 1;
                }
                b'-' | b'0'..=b'9' => {
                    let start = self.at;
                    self.number()?;
                    if let Some(key) = key {
                        let value = Span { start, end: self.at }.of(self.text);
                        self.visitor.number(self.inner(key), value, depth);
                    }
                }
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => return Err(self.error(Cause::UnexpectedByte)),
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                match self.next_byte()? {
                    b',' => {
                        self.at += 1;
                        key = self.key_of(objects)?;
                        break;
                    }
                    b'}' if objects & 1 == 1 => {}
                    b']' if objects & 1 == 0 => {}
                    _ => return Err(self.error(Cause::UnexpectedByte)),
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    /// The key that must come next if the innermost level is an object.
    fn key_of(&mut self, objects: u128) -> Result<Option<Span>, JsonError> {
        if objects & 1 == 0 { Ok(None) } else { self.key().map(|(key, _)| Some(key)) }
    }

    /// A key and its colon; says whether the key holds escapes.
    fn key(&mut self) -> Result<(Span, bool), JsonError> {
        if self.next_byte()? != b'"' {
            return Err(self.error(Cause::UnexpectedByte));
        }
        let key = self.string()?;
        if self.next_byte()? != b':' {
            return Err(self.error(Cause::UnexpectedByte));
        }
        self.at += 1;
        Ok(key)
    }

    /// A string from its opening quote; the span includes the quotes.
    fn string(&mut self) -> Result<(Span, bool), JsonError> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at += plain_prefix(self.text.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((Span { start, end: self.at }, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.error(Cause::ControlCharacter)),
                None => return Err(self.error(Cause::UnexpectedEnd)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..).unwrap_or_default();
                let valid = digits.iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
                if valid < 4 {
                    let cause = if valid == digits.len() { Cause::UnexpectedEnd } else { Cause::InvalidEscape };
                    return Err(self.error(cause));
                }
                self.at += 6;
                Ok(())
            }
            Some(_) => Err(self.error(Cause::InvalidEscape)),
            None => Err(self.error(Cause::UnexpectedEnd)),
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // "01" and "1x" end here as numbers; the caller finds no separator after them.
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start {
            return Ok(());
        }
        let cause = if self.peek().is_none() { Cause::UnexpectedEnd } else { Cause::InvalidNumber };
        Err(self.error(cause))
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        let cause = if word.starts_with(rest) { Cause::UnexpectedEnd } else { Cause::UnexpectedByte };
        Err(self.error(cause))
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space; the next byte, not consumed.
    fn next_byte(&mut self) -> Result<u8, JsonError> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(byte),
                None => return Err(self.error(Cause::UnexpectedEnd)),
            }
        }
    }

    fn inner(&self, quoted: Span) -> &'a [u8] {
        Span { start: quoted.start + 1, end: quoted.end - 1 }.of(self.text)
    }

    #[cold]
    fn error(&self, cause: Cause) -> JsonError {
        JsonError { offset: self.at, cause }
    }
}
