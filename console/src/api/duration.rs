//! Spans of time as `LiteLLM`'s clients write them: how long a key lives, and the window of a budget.

use jiff::{Span, Timestamp, tz::TimeZone};
use turnpike_crds::budget::{BudgetLimit, Window};
use turnpike_ledger::window::{self, WindowSpec};

use super::error::ApiError;

/// The moment so long after now; `-1` = never. A month is one of the calendar.
pub(crate) fn after(name: &str, text: &str, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    if text == "-1" {
        return Ok(None);
    }
    let fault = || {
        let forms = "30s, 30m, 12h, 30d, 2w or 1mo";
        ApiError::field(name, format!("\"{text}\" is not a duration; write one such as {forms}, or null for no end"))
    };
    let at = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(fault)?;
    let (number, unit) = text.split_at(at);
    let number: i64 = number.parse().map_err(|_| fault())?;
    let span = match unit {
        "s" => Span::new().try_seconds(number),
        "m" => Span::new().try_minutes(number),
        "h" => Span::new().try_hours(number),
        "d" => Span::new().try_days(number),
        "w" => Span::new().try_weeks(number),
        "mo" => Span::new().try_months(number),
        _ => return Err(fault()),
    };
    let end = span.and_then(|span| now.to_zoned(TimeZone::UTC).checked_add(span)).map_err(|_| fault())?;
    Ok(Some(end.timestamp()))
}

/// The limit in USD of `max_budget` and `budget_duration`.
pub(crate) fn limit(usd: turnpike_crds::UsdString, duration: Option<&str>) -> Result<BudgetLimit, ApiError> {
    let (window, window_type) = match duration {
        None => (Window::Lifetime, None),
        Some(text) => window::litellm(text).map_err(|error| ApiError::field("budget_duration", error.to_string()))?,
    };
    let limit = BudgetLimit { window, usd: Some(usd), ..BudgetLimit::default() };
    // What a window is by itself needs no saying.
    let window_type = window_type.filter(|kind| limit.effective_type() != Some(*kind));
    Ok(BudgetLimit { window_type, ..limit })
}

/// A window as `LiteLLM` spells it; a Lifetime has no spelling.
pub(crate) const fn spelled(window: Window) -> Option<&'static str> {
    match window {
        Window::Minute => Some("1m"),
        Window::Hour => Some("1h"),
        Window::Day => Some("1d"),
        Window::Week => Some("7d"),
        Window::Month => Some("1mo"),
        Window::Year => Some("1y"),
        Window::Lifetime => None,
    }
}

/// The window of a limit, in UTC.
pub(crate) fn of(limit: &BudgetLimit) -> WindowSpec {
    WindowSpec::new(limit.window, limit.effective_type(), TimeZone::UTC)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::after;

    #[test]
    fn durations_are_those_of_litellm() {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        let end = |text| after("duration", text, now).map(|end| end.map(|end| end.to_string())).ok();
        assert_eq!(end("90s"), Some(Some("2026-01-31T12:01:30Z".to_owned())));
        assert_eq!(end("2w"), Some(Some("2026-02-14T12:00:00Z".to_owned())));
        assert_eq!(end("1mo"), Some(Some("2026-02-28T12:00:00Z".to_owned())));
        assert_eq!(end("-1"), Some(None));
        for wrong in ["", "30", "d", "1.5h", "1 d", "99999999999999999999d", "9999999d", "-5s"] {
            assert_eq!(end(wrong), None, "{wrong}");
        }
    }
}
