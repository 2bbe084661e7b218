//! The access line of a request, as JSON or text.

use std::{
    fmt::{self, Display, Write as _},
    time::Duration,
};

use super::LogFormat;
use crate::{record::Record, spend};

/// One line with a line feed. Its fields are the same in both formats; what is unknown is left out.
pub fn line(format: LogFormat, record: &Record) -> String {
    let ended_us = record.started_at_us.saturating_add(i64::try_from(record.total.as_micros()).unwrap_or(i64::MAX));
    let ended = jiff::Timestamp::from_microsecond(ended_us).unwrap_or(jiff::Timestamp::MAX);
    let mut line = Line { text: String::with_capacity(512), format };
    // Writing to a String cannot fail.
    let _ = match format {
        LogFormat::Json => write!(line.text, r#"{{"timestamp":"{ended:.6}","level":"INFO","message":"request""#),
        LogFormat::Text => write!(line.text, "{ended:.6}  INFO access: request"),
    };
    let _ = line.fields(record);
    line.text.push_str(match format {
        LogFormat::Json => ",\"target\":\"access\"}\n",
        LogFormat::Text => "\n",
    });
    line.text
}

struct Line {
    text: String,
    format: LogFormat,
}

impl Line {
    fn fields(&mut self, record: &Record) -> fmt::Result {
        let usage = record.usage.unwrap_or_default();
        self.string("request_id", &record.request_id)?;
        self.string("key_id", &record.caller.key_id)?;
        self.string("operation", spend::operation(record.operation))?;
        self.string("requested_model", &record.requested_model)?;
        if let Some(model) = &record.model {
            self.string("model", &model.id)?;
        }
        if let Some(upstream_model) = &record.upstream_model {
            self.string("upstream_model", upstream_model)?;
        }
        self.bare("stream", record.stream)?;
        self.bare("status", record.status.as_u16())?;
        self.string("outcome", spend::outcome(record.end))?;
        if record.usage.is_some() {
            self.bare("prompt_tokens", usage.prompt)?;
            self.bare("completion_tokens", usage.completion)?;
            self.bare("cached_tokens", usage.cached)?;
        }
        if let Some(cost) = record.cost {
            self.bare("cost_usd", Usd(cost))?;
        }
        if let Some(first_byte) = record.first_byte {
            self.bare("ttft_ms", Millis(first_byte))?;
        }
        self.bare("latency_ms", Millis(record.total))?;
        if let Some(upstream) = record.upstream {
            self.bare("upstream_ms", Millis(upstream))?;
        }
        Ok(())
    }

    fn name(&mut self, name: &str) {
        let (before, after) = match self.format {
            LogFormat::Json => (",\"", "\":"),
            LogFormat::Text => (" ", "="),
        };
        for part in [before, name, after] {
            self.text.push_str(part);
        }
    }

    fn bare(&mut self, name: &str, value: impl Display) -> fmt::Result {
        self.name(name);
        write!(self.text, "{value}")
    }

    /// Clients choose some of these: clipped, and escaped so that no line can be forged.
    fn string(&mut self, name: &str, value: &str) -> fmt::Result {
        self.name(name);
        let value = spend::clipped(value);
        let plain = value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        match (self.format, plain) {
            (LogFormat::Json, true) => {
                self.text.push('"');
                self.text.push_str(value);
                self.text.push('"');
            }
            (LogFormat::Json, false) => write!(self.text, "{}", serde_json::Value::from(value))?,
            (LogFormat::Text, true) => self.text.push_str(value),
            (LogFormat::Text, false) => write!(self.text, "{value:?}")?,
        }
        Ok(())
    }
}

/// nano-USD as an exact decimal of USD.
struct Usd(i64);

impl Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nano = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
    }
}

/// Milliseconds with three decimals.
struct Millis(Duration);

impl Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}.{:03}", micros / 1000, micros % 1000)
    }
}
