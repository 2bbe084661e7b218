//! The access line of a request, as JSON or text.
//!
//! Written into a buffer that each thread keeps, without the formatting machinery: every request pays for this.

use std::{cell::RefCell, io::Write as _, time::Duration};

use super::LogFormat;
use crate::{
    record::{CacheUse, Record},
    spend,
};

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// Calls `use_it` with one line that ends with a line feed. Its fields are the same in both formats; what is unknown is
/// left out.
pub fn with_line<T>(format: LogFormat, record: &Record, use_it: impl FnOnce(&[u8]) -> T) -> T {
    let mut scratch = SCRATCH.with(RefCell::take);
    scratch.text.clear();
    scratch.write(format, record);
    let result = use_it(&scratch.text);
    SCRATCH.set(scratch);
    result
}

/// What a thread keeps from line to line.
#[derive(Default)]
struct Scratch {
    text: Vec<u8>,
    /// The clock's text up to its second, and that second since the epoch: most lines share it with the one before.
    clock: Option<(i64, String)>,
}

impl Scratch {
    fn write(&mut self, format: LogFormat, record: &Record) {
        let ended_us = record.started_at_us.saturating_add(i64::try_from(record.total.as_micros()).unwrap_or(i64::MAX));
        if format == LogFormat::Json {
            self.text.extend_from_slice(br#"{"timestamp":""#);
        }
        self.timestamp(ended_us);
        self.text.extend_from_slice(match format {
            LogFormat::Json => br#"","level":"INFO","message":"request""#,
            LogFormat::Text => b"  INFO access: request",
        });
        Line { text: &mut self.text, format }.fields(record);
        self.text.extend_from_slice(match format {
            LogFormat::Json => b",\"target\":\"access\"}\n",
            LogFormat::Text => b"\n",
        });
    }

    /// RFC 3339 in UTC with microseconds.
    fn timestamp(&mut self, us: i64) {
        let second = us.div_euclid(1_000_000);
        let (_, text) = match self.clock.take().filter(|(of, _)| *of == second) {
            Some(clock) => self.clock.insert(clock),
            None => self.clock.insert((second, to_the_second(second))),
        };
        self.text.extend_from_slice(text.as_bytes());
        self.text.push(b'.');
        digits(&mut self.text, us.rem_euclid(1_000_000).unsigned_abs(), 6);
        self.text.push(b'Z');
    }
}

/// `2025-11-21T10:00:01`.
fn to_the_second(second: i64) -> String {
    let time = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX);
    let mut text = format!("{time:.0}");
    // Its `Z`, which comes after the fraction.
    text.pop();
    text
}

struct Line<'t> {
    text: &'t mut Vec<u8>,
    format: LogFormat,
}

/// What stands before a value.
struct Name {
    json: &'static str,
    text: &'static str,
}

macro_rules! name {
    ($name:literal) => {
        &Name { json: concat!(",\"", $name, "\":"), text: concat!(" ", $name, "=") }
    };
}

impl Line<'_> {
    fn fields(&mut self, record: &Record) {
        self.string(name!("request_id"), &record.request_id);
        self.string(name!("key_id"), &record.caller.key_id);
        self.word(name!("operation"), spend::operation(record.operation));
        self.string(name!("requested_model"), &record.requested_model);
        if let Some(model) = &record.model {
            self.string(name!("model"), &model.id);
        }
        if let Some(upstream_model) = &record.upstream_model {
            self.string(name!("upstream_model"), upstream_model);
        }
        self.name(name!("stream"));
        self.text.extend_from_slice(if record.stream { b"true" } else { b"false" });
        self.number(name!("status"), u64::from(record.status.as_u16()));
        self.word(name!("outcome"), spend::outcome(record.end));
        match record.cache {
            CacheUse::None => {}
            CacheUse::Miss => self.word(name!("cache"), "miss"),
            CacheUse::Hit => self.word(name!("cache"), "hit"),
        }
        if let Some(usage) = &record.usage {
            self.number(name!("prompt_tokens"), usage.prompt);
            self.number(name!("completion_tokens"), usage.completion);
            self.number(name!("cached_tokens"), usage.cached);
        }
        if let Some(nano) = record.cost {
            self.name(name!("cost_usd"));
            if nano < 0 {
                self.text.push(b'-');
            }
            self.decimal(nano.unsigned_abs(), 9);
        }
        if let Some(first_byte) = record.first_byte {
            self.millis(name!("ttft_ms"), first_byte);
        }
        for (name, count) in [(name!("retries"), record.retries), (name!("fallbacks"), record.fallbacks)] {
            if count > 0 {
                self.number(name, count.into());
            }
        }
        self.millis(name!("latency_ms"), record.total);
        if let Some(upstream) = record.upstream {
            self.millis(name!("upstream_ms"), upstream);
        }
    }

    fn name(&mut self, name: &Name) {
        self.text.extend_from_slice(match self.format {
            LogFormat::Json => name.json.as_bytes(),
            LogFormat::Text => name.text.as_bytes(),
        });
    }

    fn number(&mut self, name: &Name, value: u64) {
        self.name(name);
        digits(self.text, value, 1);
    }

    /// Milliseconds with three decimals.
    fn millis(&mut self, name: &Name, value: Duration) {
        self.name(name);
        self.decimal(u64::try_from(value.as_micros()).unwrap_or(u64::MAX), 3);
    }

    /// `value` / 10^`places`, exactly.
    fn decimal(&mut self, value: u64, places: usize) {
        let unit = (0..places).fold(1, |unit, _| unit * 10);
        digits(self.text, value / unit, 1);
        self.text.push(b'.');
        digits(self.text, value % unit, places);
    }

    /// One of our own words: nothing in it needs care.
    fn word(&mut self, name: &Name, value: &'static str) {
        self.name(name);
        self.plain(value);
    }

    /// Clients choose some of these: clipped, and escaped so that no line can be forged.
    fn string(&mut self, name: &Name, value: &str) {
        self.name(name);
        let value = spend::clipped(value);
        // All bytes, even after one that decides: without a way out in between it takes many at once.
        let plain = value.bytes().fold(true, |plain, byte| plain & is_plain(byte));
        // Writing to a Vec cannot fail.
        match (self.format, plain) {
            (_, true) => self.plain(value),
            (LogFormat::Json, false) => drop(serde_json::to_writer(&mut *self.text, value)),
            (LogFormat::Text, false) => drop(write!(self.text, "{value:?}")),
        }
    }

    fn plain(&mut self, value: &str) {
        match self.format {
            LogFormat::Json => {
                self.text.push(b'"');
                self.text.extend_from_slice(value.as_bytes());
                self.text.push(b'"');
            }
            LogFormat::Text => self.text.extend_from_slice(value.as_bytes()),
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')
}

/// Decimal, filled up to `least` digits with zeros.
fn digits(text: &mut Vec<u8>, mut value: u64, least: usize) {
    // As many as u64::MAX has.
    let mut room = [b'0'; 20];
    let mut left = room.len();
    for digit in room.iter_mut().rev() {
        if value == 0 {
            break;
        }
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
        left -= 1;
    }
    text.extend_from_slice(room.get(left.min(room.len() - least)..).unwrap_or_default());
}
