//! Which stretch of time an account counts over, and where in it something is booked: pure functions of a clock value.
//!
//! ```text
//!  Calendar  one slot = the whole window      |===== month =====|===== month =====|      counted: the slot itself
//!  Rolling   60 slots a window                |·|·|·|·|…|·|·|now|                        counted: this slot and 60 before
//!  Lifetime  one slot for ever
//! ```

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use turnpike_crds::{
    budget::{Window, WindowType},
    window,
};

mod spelling;

pub use spelling::{UnknownWindow, litellm};

/// Slots of a rolling window.
const SLOTS: i64 = 60;
const SECOND: i64 = 1_000_000;

const WINDOWS: [Window; 7] =
    [Window::Minute, Window::Hour, Window::Day, Window::Week, Window::Month, Window::Year, Window::Lifetime];

/// The stretch of time that a limit is over.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowSpec {
    window: Window,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Calendar(TimeZone),
    /// Microseconds.
    Rolling(i64),
    Lifetime,
}

/// Where something is booked: microseconds since the epoch by the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Its first instant; its name.
    pub start: i64,
    /// The first instant after it.
    pub end: i64,
}

impl Slot {
    /// The slot of what has no time.
    pub const ALWAYS: Self = Self { start: 0, end: i64::MAX };

    /// Whether it holds this time.
    pub const fn holds(self, now: i64) -> bool {
        self.start <= now && now < self.end
    }
}

impl WindowSpec {
    /// A window of a limit. `kind` as [`turnpike_crds::budget::BudgetLimit::effective_type`] gives it.
    pub fn new(window: Window, kind: Option<WindowType>, zone: TimeZone) -> Self {
        let kind = match (window, kind) {
            (Window::Lifetime, _) => Kind::Lifetime,
            (Window::Minute, _) | (_, Some(WindowType::Rolling)) => Kind::Rolling(length(window)),
            (_, Some(WindowType::Calendar) | None) => Kind::Calendar(zone),
        };
        Self { window, kind }
    }

    /// What rates are counted over: the 60 seconds before now.
    pub fn minute() -> Self {
        Self { window: Window::Minute, kind: Kind::Rolling(length(Window::Minute)) }
    }

    /// No end.
    pub fn lifetime() -> Self {
        Self { window: Window::Lifetime, kind: Kind::Lifetime }
    }

    /// The window of a name that [`fmt::Display`] gives; `None` = it is none.
    pub fn named(name: &str) -> Option<Self> {
        let (window, kind) = name.split_once('/').unwrap_or((name, ""));
        let window = WINDOWS.into_iter().find(|known| format!("{known:?}") == window)?;
        match kind.split_once('/') {
            None if kind.is_empty() && window == Window::Lifetime => Some(Self::lifetime()),
            None if kind == "Rolling" => Some(Self::new(window, Some(WindowType::Rolling), TimeZone::UTC)),
            Some(("Calendar", zone)) => Some(Self::new(window, Some(WindowType::Calendar), window::zone(zone)?)),
            _ => None,
        }
    }

    /// Counted as a rate.
    pub fn is_minute(&self) -> bool {
        self.window == Window::Minute
    }

    /// The limit's window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// How it lies in time; `None` = it is a Lifetime.
    pub fn window_type(&self) -> Option<WindowType> {
        match self.kind {
            Kind::Calendar(_) => Some(WindowType::Calendar),
            Kind::Rolling(_) => Some(WindowType::Rolling),
            Kind::Lifetime => None,
        }
    }

    /// Where something that happens `now` is booked.
    pub fn slot(&self, now: i64) -> Slot {
        match &self.kind {
            Kind::Lifetime => Slot::ALWAYS,
            Kind::Rolling(length) => {
                let width = length / SLOTS;
                let start = now.div_euclid(width) * width;
                Slot { start, end: start + width }
            }
            Kind::Calendar(zone) => self.calendar(zone, now).unwrap_or(Slot::ALWAYS),
        }
    }

    /// Start of the first slot that counts against the limit `now`.
    pub fn counted_from(&self, now: i64) -> i64 {
        match &self.kind {
            Kind::Rolling(length) => self.slot(now).start - length,
            Kind::Calendar(_) | Kind::Lifetime => self.slot(now).start,
        }
    }

    /// The slot that a lease taken `now` is bound to. A calendar window's lease ends with it, whatever its holder's clock says;
    /// of a rolling one everything outstanding counts at any time, so that its leases need no bounds.
    pub fn lease_slot(&self, now: i64) -> Slot {
        match &self.kind {
            Kind::Calendar(_) => self.slot(now),
            Kind::Rolling(_) | Kind::Lifetime => Slot::ALWAYS,
        }
    }

    /// When what is used up now comes back: the next window, or the end of the oldest slot. `None` = never.
    pub fn resets_at(&self, now: i64) -> Option<i64> {
        match &self.kind {
            Kind::Calendar(_) => Some(self.slot(now).end),
            Kind::Rolling(length) => Some(self.slot(now).end + length),
            Kind::Lifetime => None,
        }
    }

    fn calendar(&self, zone: &TimeZone, now: i64) -> Option<Slot> {
        let bounds = window::around(self.window, zone, Timestamp::from_microsecond(now).ok()?)?;
        Some(Slot { start: bounds.start.as_microsecond(), end: bounds.end.as_microsecond() })
    }
}

/// Microseconds of a rolling window; a month has 30 days and a year 365.
const fn length(window: Window) -> i64 {
    let seconds = match window {
        Window::Minute => 60,
        Window::Hour => 3_600,
        Window::Day => 86_400,
        Window::Week => 7 * 86_400,
        Window::Month => 30 * 86_400,
        Window::Year => 365 * 86_400,
        Window::Lifetime => i64::MAX / SECOND,
    };
    seconds * SECOND
}

impl fmt::Display for WindowSpec {
    /// As account ids name it: `Month/Calendar/Europe/Oslo`, `Day/Rolling`, `Lifetime`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Calendar(zone) => {
                write!(f, "{:?}/Calendar/{}", self.window, zone.iana_name().unwrap_or("UTC"))
            }
            Kind::Rolling(_) => write!(f, "{:?}/Rolling", self.window),
            Kind::Lifetime => f.write_str("Lifetime"),
        }
    }
}
