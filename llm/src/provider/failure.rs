//! What an upstream's error answer means: its words, found in whatever shape they come, and what may be done about it.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::error::{ErrorClass, UpstreamError};

mod aws;
mod classify;
mod shape;

pub(crate) use aws::{aws_error, aws_exception};
use shape::Words;

/// Longest message passed on, bytes.
const MAX_MESSAGE: usize = 4096;
/// Longer waits are of no use to a caller, and some upstreams count in days.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Reads a non-2xx answer of OpenAI's dialect, or of what stands in front of it (proxies answer HTML).
pub(crate) fn upstream_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let words = Words::of(body);
    let class = classify::class(status, &words);
    told(status, headers, words, class)
}

/// An error of this class, in the upstream's words.
fn told(status: StatusCode, headers: &HeaderMap, mut words: Words, class: ErrorClass) -> UpstreamError {
    if words.message.is_empty() {
        words.message = format!("The upstream answered {status} without a message.");
    }
    if class == ErrorClass::Authentication {
        words.message = masked(&words.message);
    }
    words.message.truncate(words.message.floor_char_boundary(MAX_MESSAGE));
    UpstreamError {
        class,
        status: status.as_u16(),
        message: words.message,
        kind: words.kind,
        param: words.param,
        code: words.code,
        retry_after: retry_after(headers),
    }
}

/// `retry-after-ms` (OpenAI, Azure) before `Retry-After` in seconds. A date needs a clock, which this crate has not.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| -> Option<f64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(MAX_RETRY_AFTER))
}

/// Refusals quote the key that was sent: long words that look like one are masked.
fn masked(message: &str) -> String {
    let is_key_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*');
    let mut out = String::with_capacity(message.len());
    let mut word = String::new();
    for c in message.chars() {
        if is_key_char(c) {
            word.push(c);
        } else {
            push_masked(&mut out, &word);
            word.clear();
            out.push(c);
        }
    }
    push_masked(&mut out, &word);
    out
}

fn push_masked(out: &mut String, word: &str) {
    let long = word.len() >= 20 && word.contains(|c: char| c.is_ascii_digit());
    out.push_str(if long || word.starts_with("sk-") { "***" } else { word });
}
