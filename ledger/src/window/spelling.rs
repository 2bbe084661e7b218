//! The spans of time as `LiteLLM`'s users write them (`budget_duration`, `time_period`).

use turnpike_crds::budget::{Window, WindowType};

/// Not a span that a limit can have. `Display` is for the author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a window; use one of 1m, 1h (hourly), 1d or 24h (daily), 7d or 1w (weekly), 30d or 1mo (monthly), \
     1y (yearly) or lifetime"
)]
pub struct UnknownWindow(String);

/// The window of a limit and its type, as [`super::WindowSpec::new`] takes them.
///
/// `LiteLLM` resets at the calendar's boundaries: `1d` at midnight, `7d` on Monday, `30d` and `1mo` on the first of the month,
/// hours on the hour. So these are windows of the calendar here; a minute is what rates are counted over. It adds other numbers
/// of days to the day of creation, which no window of ours does: they are refused rather than bent.
///
/// # Errors
/// Any other text.
pub fn litellm(text: &str) -> Result<(Window, Option<WindowType>), UnknownWindow> {
    let window = named(&text.trim().to_ascii_lowercase()).ok_or_else(|| UnknownWindow(text.to_owned()))?;
    let kind = match window {
        Window::Lifetime => None,
        Window::Minute => Some(WindowType::Rolling),
        Window::Hour | Window::Day | Window::Week | Window::Month | Window::Year => Some(WindowType::Calendar),
    };
    Ok((window, kind))
}

fn named(text: &str) -> Option<Window> {
    match text {
        "minutely" => return Some(Window::Minute),
        "hourly" => return Some(Window::Hour),
        "daily" => return Some(Window::Day),
        "weekly" => return Some(Window::Week),
        "monthly" => return Some(Window::Month),
        "yearly" | "annually" => return Some(Window::Year),
        "lifetime" => return Some(Window::Lifetime),
        _ => {}
    }
    let unit = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "s" => number,
        "m" => number.checked_mul(60)?,
        "h" => number.checked_mul(3600)?,
        "d" if number == 1 => return Some(Window::Day),
        "d" if number == 7 => return Some(Window::Week),
        "d" if number == 30 => return Some(Window::Month),
        "w" if number == 1 => return Some(Window::Week),
        "mo" if number == 1 => return Some(Window::Month),
        "y" if number == 1 => return Some(Window::Year),
        _ => return None,
    };
    match seconds {
        60 => Some(Window::Minute),
        3600 => Some(Window::Hour),
        86_400 => Some(Window::Day),
        _ => None,
    }
}
