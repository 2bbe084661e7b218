//! Values as people read them. The same everywhere: USD, UTC, and no more digits than say something.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

const NANO: i64 = 1_000_000_000;

/// nano-USD as dollars: two digits, or as many as a small amount needs, at most six.
pub(super) fn usd(nano: i64) -> String {
    let sign = if nano < 0 { "-" } else { "" };
    let nano = nano.unsigned_abs();
    let scale = NANO.unsigned_abs();
    if nano != 0 && nano < 1000 {
        return format!("{sign}<$0.000001");
    }
    let micros = format!("{:06}", nano % scale / 1000);
    let shown = micros.trim_end_matches('0').len().max(2);
    // Of whole dollars, cents are enough.
    let shown = if nano >= scale { 2 } else { shown };
    format!("{sign}${}.{}", grouped(nano / scale), micros.get(..shown).unwrap_or("00"))
}

/// nano-USD, or a dash where no price is known.
pub(super) fn cost(nano: Option<i64>) -> String {
    nano.map_or_else(|| "—".to_owned(), usd)
}

/// A count with its thousands apart.
pub(super) fn count(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(value.unsigned_abs()))
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time, its two largest units: `3 s`, `2 min 5 s`, `4 d 2 h`.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |first: u64, unit: &str, second: u64, smaller: &str| {
        if second == 0 { format!("{first} {unit}") } else { format!("{first} {unit} {second} {smaller}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 => "<1 s".to_owned(),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => two(minutes, "min", seconds % 60, "s"),
        (0, _, _) => two(hours, "h", minutes, "min"),
        _ => two(days, "d", hours, "h"),
    }
}

/// How long ago, or how soon, a moment is.
pub(super) fn relative(moment: i64, now: i64) -> String {
    let span = span(Duration::from_secs(moment.abs_diff(now)));
    match moment.cmp(&now) {
        std::cmp::Ordering::Greater => format!("in {span}"),
        _ => format!("{span} ago"),
    }
}

/// Microseconds as `850 ms` or `12.3 s`.
pub(super) fn micros(time: i64) -> String {
    match time {
        0..1_000 => "<1 ms".to_owned(),
        1_000..10_000_000 => format!("{} ms", count(time / 1000)),
        _ => format!("{}.{} s", count(time / 1_000_000), time / 100_000 % 10),
    }
}

/// Seconds since the epoch as `2026-03-01 12:00:00` (UTC).
pub(super) fn moment(seconds: i64) -> String {
    at(Timestamp::from_second(seconds).ok(), "%Y-%m-%d %H:%M:%S")
}

/// The same for `datetime` of `<time>`.
pub(super) fn machine(seconds: i64) -> String {
    at(Timestamp::from_second(seconds).ok(), "%Y-%m-%dT%H:%M:%SZ")
}

/// A day since the epoch as `03-01`.
pub(super) fn day(days: i64) -> String {
    at(days.checked_mul(86_400).and_then(|seconds| Timestamp::from_second(seconds).ok()), "%m-%d")
}

fn at(moment: Option<Timestamp>, format: &str) -> String {
    moment.map_or_else(|| "—".to_owned(), |moment| moment.to_zoned(TimeZone::UTC).strftime(format).to_string())
}

/// How much of a limit is used, in percent.
pub(super) fn percent(used: i64, limit: i64) -> i64 {
    if limit <= 0 { 100 } else { i64::try_from(i128::from(used) * 100 / i128::from(limit)).unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_cents_and_small_money_its_digits() {
        let cases = [
            (0, "$0.00"),
            (5_000_000_000, "$5.00"),
            (1_234_567_890_000_000, "$1,234,567.89"),
            (70_000, "$0.00007"),
            (5_500_000, "$0.0055"),
            (999, "<$0.000001"),
            (-2_500_000_000, "-$2.50"),
        ];
        for (nano, text) in cases {
            assert_eq!(usd(nano), text);
        }
        assert_eq!(cost(None), "—", "an unknown price is not free");
    }

    #[test]
    fn times_have_two_units_and_counts_their_thousands() {
        let cases = [(0, "<1 s"), (3, "3 s"), (125, "2 min 5 s"), (7200, "2 h"), (356_400, "4 d 3 h")];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!((relative(10, 70), relative(70, 10)), ("1 min ago".into(), "in 1 min".into()));
        assert_eq!(
            (micros(400), micros(850_900), micros(12_345_678)),
            ("<1 ms".into(), "850 ms".into(), "12.3 s".into())
        );
        assert_eq!((count(1_234_567), count(-12)), ("1,234,567".into(), "-12".into()));
        assert_eq!(moment(1_772_366_400), "2026-03-01 12:00:00");
        assert_eq!((percent(1, 3), percent(5, 0), percent(i64::MAX, 1)), (33, 100, i64::MAX));
    }
}
