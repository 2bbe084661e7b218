//! Where a limit's window begins and ends: calendar arithmetic as pure functions of a clock value.

use jiff::{RoundMode, Timestamp, ToSpan, Unit, Zoned, ZonedRound, civil::Weekday, tz::TimeZone};

use crate::budget::{BudgetLimit, Window, WindowType};

/// A window of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant of the next one.
    pub end: Timestamp,
}

impl BudgetLimit {
    /// How its window lies in time, the default filled in; `None` = it is a Lifetime, which lies in no calendar.
    pub fn effective_type(&self) -> Option<WindowType> {
        match self.window {
            Window::Lifetime => None,
            Window::Minute => Some(WindowType::Rolling),
            Window::Hour | Window::Day | Window::Week | Window::Month | Window::Year => {
                Some(self.window_type.unwrap_or(WindowType::Calendar))
            }
        }
    }
}

/// The window of the calendar that `now` lies in. `None` for a Lifetime, and at the ends of the calendar.
pub fn around(window: Window, zone: &TimeZone, now: Timestamp) -> Option<Bounds> {
    let here = now.to_zoned(zone.clone());
    let (start, end) = match window {
        Window::Minute => clock(&here, Unit::Minute)?,
        Window::Hour => clock(&here, Unit::Hour)?,
        // Days and longer begin with the first instant of a date, which need not be midnight.
        Window::Day => dates(&here, here.date(), 1.day())?,
        Window::Week => {
            let since_monday = here.date().weekday().since(Weekday::Monday);
            dates(&here, here.date().checked_sub(since_monday.days()).ok()?, 1.week())?
        }
        Window::Month => dates(&here, here.date().first_of_month(), 1.month())?,
        Window::Year => dates(&here, here.date().first_of_year(), 1.year())?,
        Window::Lifetime => return None,
    };
    Some(Bounds { start, end })
}

/// From one full minute or hour of the local clock to the next; what the clock is set back or forward is part of it.
fn clock(here: &Zoned, unit: Unit) -> Option<(Timestamp, Timestamp)> {
    let start = here.round(ZonedRound::new().smallest(unit).mode(RoundMode::Trunc)).ok()?;
    let span = if unit == Unit::Minute { 1.minute() } else { 1.hour() };
    Some((start.timestamp(), start.checked_add(span).ok()?.timestamp()))
}

fn dates(here: &Zoned, first: jiff::civil::Date, span: jiff::Span) -> Option<(Timestamp, Timestamp)> {
    let begin =
        |date: jiff::civil::Date| Some(date.to_zoned(here.time_zone().clone()).ok()?.start_of_day().ok()?.timestamp());
    Some((begin(first)?, begin(first.checked_add(span).ok()?)?))
}
