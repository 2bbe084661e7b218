//! Windows against an independent calendar: chrono and its own copy of the time zones, asked instant by instant.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::LazyLock;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use turnpike_crds::budget::{Window, WindowType};
use turnpike_ledger::{
    account::AccountId,
    window::{Slot, WindowSpec, litellm},
};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Zones of every kind of oddity, whose rules for the years tested have not been changed since they were made.
const ZONES: [&str; 16] = [
    "UTC",
    "Europe/Oslo",
    "Europe/London",
    "America/New_York",
    // Clocks are set at midnight, forward too: some days begin at 01:00.
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    // Set back from 00:01 to 23:01 until 2011.
    "America/St_Johns",
    // Half an hour, and quarters of one.
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    // Summer time is half an hour.
    "Australia/Lord_Howe",
    // Left out 30 December 2011.
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Asia/Tokyo",
];

fn at(instant: i64, zone: Tz) -> DateTime<Tz> {
    DateTime::<Utc>::from_timestamp_micros(instant).unwrap().with_timezone(&zone)
}

/// The first instant at which a clock in the zone shows this date or a later one.
fn begins(date: NaiveDate, zone: Tz) -> i64 {
    let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros();
    let has_begun = |instant: &i64| at(*instant, zone).date_naive() >= date;
    // No place is more than 15 hours from UTC; a day that a place left out is as long again.
    let mut steps = (0..=300).map(|step| midnight - 15 * HOUR + step * 15 * MINUTE);
    let near = steps.find(has_begun).unwrap();
    (0..=15).map(|minute| near - 15 * MINUTE + minute * MINUTE).find(has_begun).unwrap()
}

/// First date of the window of a date, and of the next one.
fn dates(window: Window, date: NaiveDate) -> (NaiveDate, NaiveDate) {
    match window {
        Window::Day => (date, date + Days::new(1)),
        Window::Week => {
            let monday = date - Days::new(u64::from(date.weekday().num_days_from_monday()));
            (monday, monday + Days::new(7))
        }
        Window::Month => {
            let (year, month) = (date.year(), date.month());
            let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let first = |(year, month)| NaiveDate::from_ymd_opt(year, month, 1).unwrap();
            (first((year, month)), first(next))
        }
        Window::Year => {
            let first = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
            (first(date.year()), first(date.year() + 1))
        }
        Window::Minute | Window::Hour | Window::Lifetime => unreachable!("has no dates"),
    }
}

/// The window of the calendar that holds an instant, as chrono tells it.
fn expected(window: Window, zone: Tz, now: i64) -> Slot {
    if window == Window::Hour {
        let is_full = |instant: &i64| {
            let time = at(*instant, zone).time();
            (time.minute(), time.second()) == (0, 0)
        };
        let minute = now.div_euclid(MINUTE) * MINUTE;
        let start = (0..180).map(|step| minute - step * MINUTE).find(is_full).unwrap();
        let end = (1..180).map(|step| minute + step * MINUTE).find(is_full).unwrap();
        return Slot { start, end };
    }
    let (first, next) = dates(window, at(now, zone).date_naive());
    let (start, end) = (begins(first, zone), begins(next, zone));
    if now < end {
        return Slot { start, end };
    }
    // The clock was set back over midnight: the new window has begun, and does not end for it.
    Slot { start: end, end: begins(dates(window, next).1, zone) }
}

fn calendar(window: Window, zone: &str) -> WindowSpec {
    WindowSpec::new(window, Some(WindowType::Calendar), turnpike_crds::window::zone(zone).unwrap())
}

/// When clocks are set in a zone from 1995 to 2035, to the minute.
fn changes(zone: Tz) -> Vec<i64> {
    let offset = |instant: i64| at(instant, zone).naive_local() - at(instant, Tz::UTC).naive_local();
    let days = (9131_i64..23741).map(|day| day * DAY);
    days.filter(|day| offset(*day) != offset(day + DAY))
        .map(|day| {
            let minutes: Vec<i64> = (0..=24 * 60).map(|minute| day + minute * MINUTE).collect();
            let changed = minutes.partition_point(|instant| offset(*instant) == offset(day));
            minutes.get(changed).copied().unwrap()
        })
        .collect()
}

static CHANGES: LazyLock<Vec<(&str, i64)>> = LazyLock::new(|| {
    let of_zone = |name: &&'static str| {
        let name = *name;
        changes(name.parse().unwrap()).into_iter().map(move |instant| (name, instant))
    };
    ZONES.iter().flat_map(of_zone).collect()
});

/// A zone, and an instant near one at which its clocks are set, or anywhere.
fn places() -> impl Strategy<Value = (&'static str, i64)> {
    let near = (prop::sample::select(CHANGES.clone()), -26 * HOUR..26 * HOUR, any::<bool>())
        .prop_map(|((zone, instant), off, is_near)| (zone, instant + if is_near { off / 13 } else { off }));
    prop_oneof![(prop::sample::select(ZONES.to_vec()), instants()), near]
}

/// Instants from 1995 to 2035, many of them near the beginning of a month.
fn instants() -> impl Strategy<Value = i64> {
    let days = || 9131_i64..23741;
    let within = prop_oneof![3 => 0..DAY, 1 => prop::sample::select(vec![0, 1, DAY - 1, HOUR, 2 * HOUR - 1, 3 * HOUR])];
    let day = prop_oneof![
        2 => days(),
        // The first days of months, and the last.
        1 => (1995_i32..2035, 1_u32..=12, -2_i64..3).prop_map(|(year, month, off)| {
            let first = NaiveDate::from_ymd_opt(year, month, 1).unwrap() + TimeDelta::days(off);
            first.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1).unwrap()).num_days()
        }),
    ];
    (day, within).prop_map(|(day, within)| day * DAY + within)
}

const CALENDAR: [Window; 5] = [Window::Hour, Window::Day, Window::Week, Window::Month, Window::Year];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_those_of_an_independent_calendar(
        window in prop::sample::select(CALENDAR.to_vec()),
        (name, now) in places(),
    ) {
        let spec = calendar(window, name);
        let slot = spec.slot(now);
        prop_assert_eq!(slot, expected(window, name.parse().unwrap(), now), "{:?} {} {}", window, name, now);
        prop_assert!(slot.holds(now));
        prop_assert_eq!(spec.counted_from(now), slot.start);
        prop_assert_eq!(spec.resets_at(now), Some(slot.end));
        prop_assert_eq!(spec.lease_slot(now), slot);
        // Neither a gap nor an overlap.
        prop_assert_eq!(spec.slot(slot.end).start, slot.end);
        prop_assert_eq!(spec.slot(slot.start), slot);
        prop_assert_eq!(spec.slot(slot.end - 1), slot);
    }

    #[test]
    fn rolling_windows_count_what_lies_within_their_length(
        window in prop::sample::select([CALENDAR.to_vec(), vec![Window::Minute]].concat()),
        now in instants(),
        later in 0..400 * DAY,
    ) {
        let spec = WindowSpec::new(window, Some(WindowType::Rolling), TimeZone::UTC);
        let length = match window {
            Window::Minute => MINUTE,
            Window::Hour => HOUR,
            Window::Day => DAY,
            Window::Week => 7 * DAY,
            Window::Month => 30 * DAY,
            _ => 365 * DAY,
        };
        let slot = spec.slot(now);
        prop_assert!(slot.holds(now));
        prop_assert_eq!(slot.end - slot.start, length / 60);
        prop_assert_eq!(spec.slot(slot.end).start, slot.end);
        // What happens now counts for the whole length and no longer than a sixtieth more.
        let counts = spec.counted_from(now + later) <= slot.start;
        prop_assert!(counts || later > length);
        prop_assert!(!counts || later <= length + length / 60);
        prop_assert_eq!(spec.resets_at(now), Some(slot.end + length));
        prop_assert_eq!(spec.lease_slot(now), Slot::ALWAYS);
    }

    #[test]
    fn a_lifetime_has_one_slot(now in instants()) {
        for spec in [WindowSpec::lifetime(), WindowSpec::new(Window::Lifetime, None, TimeZone::UTC)] {
            prop_assert_eq!((spec.slot(now), spec.counted_from(now), spec.resets_at(now)), (Slot::ALWAYS, 0, None));
        }
    }
}

#[test]
fn known_days() {
    let day = |zone: &str, at: &str| {
        let now: jiff::Timestamp = at.parse().unwrap();
        let slot = calendar(Window::Day, zone).slot(now.as_microsecond());
        let text = |at: i64| jiff::Timestamp::from_microsecond(at).unwrap().to_string();
        format!("{}/{}", text(slot.start), text(slot.end))
    };
    // A leap day, in a zone of +05:45.
    assert_eq!(day("Asia/Kathmandu", "2028-02-29T06:00:00Z"), "2028-02-28T18:15:00Z/2028-02-29T18:15:00Z");
    // 29 December 2011 was followed by the 31st.
    assert_eq!(day("Pacific/Apia", "2011-12-30T09:00:00Z"), "2011-12-29T10:00:00Z/2011-12-30T10:00:00Z");
    // The second 23:30 of 4 November 2006: the 5th had begun at 00:00, a minute before the clock was set back.
    assert_eq!(day("America/St_Johns", "2006-10-29T03:00:00Z"), "2006-10-29T02:30:00Z/2006-10-30T03:30:00Z");
}

#[test]
fn windows_are_known_by_their_names() {
    let kinds = [Some(WindowType::Calendar), Some(WindowType::Rolling)];
    for window in [Window::Hour, Window::Day, Window::Week, Window::Month, Window::Year, Window::Lifetime] {
        for (zone, kind) in ZONES.iter().flat_map(|zone| kinds.map(|kind| (zone, kind))) {
            let zone = turnpike_crds::window::zone(zone).unwrap();
            let spec = WindowSpec::new(window, kind, zone);
            assert_eq!(WindowSpec::named(&spec.to_string()), Some(spec));
        }
    }
    for name in
        ["", "Day", "Day/Calendar", "Day/Calendar/", "Day/Calendar/Oslo", "Lifetime/Rolling/", "Fortnight/Rolling"]
    {
        assert_eq!(WindowSpec::named(name), None, "{name}");
    }
}

#[test]
fn an_account_tells_its_zone_whatever_its_pot_is_called() {
    for zone in turnpike_crds::window::zones() {
        for pot in ["", "user:ann", "Oslo", "/UTC/"] {
            let id = AccountId::from_stored(&format!("Budget/ns/b/usd/Day/Calendar/{zone}/{pot}"));
            assert_eq!(id.zone().iana_name(), Some(zone), "{id}");
        }
    }
    assert_eq!(AccountId::from_stored("Budget/ns/b/usd/Day/Rolling/x/Calendar/UTC/").zone(), TimeZone::UTC);
}

#[test]
fn spellings_of_litellm_are_windows() {
    let calendar = |window| Ok((window, Some(WindowType::Calendar)));
    for (texts, expected) in [
        (vec!["1m", "60s", " 1M ", "minutely"], Ok((Window::Minute, Some(WindowType::Rolling)))),
        (vec!["1h", "60m", "3600s", "hourly"], calendar(Window::Hour)),
        (vec!["1d", "24h", "daily", "Daily", "1440m"], calendar(Window::Day)),
        (vec!["7d", "1w", "weekly"], calendar(Window::Week)),
        (vec!["30d", "1mo", "monthly"], calendar(Window::Month)),
        (vec!["1y", "yearly", "annually"], calendar(Window::Year)),
        (vec!["lifetime"], Ok((Window::Lifetime, None))),
    ] {
        for text in texts {
            assert_eq!(litellm(text), expected, "{text}");
        }
    }
    for text in [
        "",
        "d",
        "2d",
        "14d",
        "31d",
        "2mo",
        "0d",
        "-1d",
        "1",
        "1x",
        "fortnightly",
        "1.5h",
        "99999999999999999999d",
        "12h",
        "365d",
    ] {
        let error = litellm(text).unwrap_err().to_string();
        assert!(error.contains(&format!("\"{text}\"")) && error.contains("30d") && error.contains("1mo"), "{error}");
    }
}
