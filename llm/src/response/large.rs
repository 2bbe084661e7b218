//! Whole answers too large to hold: they pass through as they come, the model's name put in and usage read on the way.
//!
//! A small scanner follows the bytes across frames. It knows strings, depth and the top-level key, and holds back only the
//! value of `model`; grammar is not checked.

use bytes::{Bytes, BytesMut};

use super::bad_answer;
use crate::{
    error::UpstreamError,
    json,
    provider::Shown,
    stream::{CostFn, StreamDecoder, Tape},
    usage::Usage,
};

/// Longest `usage` or `model` value that is kept.
const MAX_KEPT: usize = 64 * 1024;

/// Passes a large JSON answer through.
pub struct LargeAnswer {
    shown: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The next string at depth 1 is a key, not a value.
    expects_key: bool,
    key: Vec<u8>,
    value: Value,
    kept: Vec<u8>,
    usage: Option<Usage>,
    tape: Tape,
    done: bool,
}

/// Which top-level value the scanner is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// A key, or between members.
    Outside,
    /// One that passes unseen.
    Other,
    /// `model`: held back and replaced.
    Model,
    /// `usage`: passed and kept.
    Usage,
}

impl LargeAnswer {
    /// At the beginning of an answer.
    pub fn new(shown: &Shown) -> Self {
        Self {
            shown: json::quoted(&shown.model),
            depth: 0,
            in_string: false,
            escaped: false,
            expects_key: true,
            key: Vec::new(),
            value: Value::Outside,
            kept: Vec::new(),
            usage: None,
            tape: Tape::default(),
            done: false,
        }
    }

    /// Takes one byte; true if it is to be passed on.
    fn byte(&mut self, byte: u8, out: &mut BytesMut) -> bool {
        if self.in_string {
            self.string_byte(byte);
            return self.keep(byte);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                if self.depth == 1 && self.expects_key {
                    self.key.clear();
                }
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.end_value(out);
                    self.done = true;
                }
            }
            b',' if self.depth == 1 => {
                self.end_value(out);
                self.expects_key = true;
            }
            b':' if self.depth == 1 && self.expects_key => {
                self.expects_key = false;
                self.kept.clear();
                self.value = match self.key.as_slice() {
                    b"model" => Value::Model,
                    b"usage" => Value::Usage,
                    _ => Value::Other,
                };
                return true;
            }
            _ => {}
        }
        self.keep(byte)
    }

    fn string_byte(&mut self, byte: u8) {
        let is_key = self.depth == 1 && self.expects_key;
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
            return;
        }
        if is_key && self.key.len() < 16 {
            self.key.push(byte);
        }
    }

    fn keep(&mut self, byte: u8) -> bool {
        match self.value {
            Value::Outside | Value::Other => true,
            Value::Model | Value::Usage => {
                if self.kept.len() < MAX_KEPT {
                    self.kept.push(byte);
                }
                self.value == Value::Usage
            }
        }
    }

    fn end_value(&mut self, out: &mut BytesMut) {
        match std::mem::replace(&mut self.value, Value::Outside) {
            Value::Outside | Value::Other => {}
            Value::Model => out.extend_from_slice(&self.shown),
            Value::Usage => self.usage = Usage::from_openai(self.kept.trim_ascii()),
        }
    }
}

impl StreamDecoder for LargeAnswer {
    fn push(&mut self, frame: Bytes) -> Result<Bytes, UpstreamError> {
        // Counted whole where no usage comes: more than the text of the answer, never less.
        self.tape.add_escaped(&frame);
        let mut out = BytesMut::with_capacity(frame.len() + self.shown.len());
        for byte in &frame {
            if self.byte(*byte, &mut out) {
                out.extend_from_slice(&[*byte]);
            }
        }
        Ok(out.freeze())
    }

    fn end(&mut self) -> Result<Bytes, UpstreamError> {
        if self.done { Ok(Bytes::new()) } else { Err(bad_answer(&"it ended early")) }
    }

    fn started(&self) -> bool {
        true
    }

    fn finished(&self) -> bool {
        false
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn tape(&self) -> &Tape {
        &self.tape
    }

    fn set_cost(&mut self, _: CostFn) {}
}
