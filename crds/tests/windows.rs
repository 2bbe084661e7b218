//! Windows of the calendar: days that are not 24 hours long, months of every length, and zones with odd offsets.

use k8s_openapi::jiff::{Timestamp, tz::TimeZone};
use turnpike_crds::{
    budget::Window,
    window::{around, zone as named},
};

/// `start/end` of the window around a time.
fn bounds(window: Window, zone: &str, now: &str) -> String {
    let zone = named(zone).unwrap();
    let bounds = around(window, &zone, now.parse().unwrap()).unwrap();
    format!("{}/{}", bounds.start, bounds.end)
}

#[test]
fn windows_begin_and_end_with_the_local_calendar() {
    let now = "2026-03-11T22:30:15Z";
    for (window, zone, expected) in [
        (Window::Minute, "UTC", "2026-03-11T22:30:00Z/2026-03-11T22:31:00Z"),
        (Window::Hour, "UTC", "2026-03-11T22:00:00Z/2026-03-11T23:00:00Z"),
        (Window::Day, "UTC", "2026-03-11T00:00:00Z/2026-03-12T00:00:00Z"),
        // A Wednesday.
        (Window::Week, "UTC", "2026-03-09T00:00:00Z/2026-03-16T00:00:00Z"),
        (Window::Month, "UTC", "2026-03-01T00:00:00Z/2026-04-01T00:00:00Z"),
        (Window::Year, "UTC", "2026-01-01T00:00:00Z/2027-01-01T00:00:00Z"),
        // Half past an hour in UTC is a full hour there, and it is tomorrow already.
        (Window::Hour, "Asia/Kolkata", "2026-03-11T22:30:00Z/2026-03-11T23:30:00Z"),
        (Window::Day, "Asia/Kolkata", "2026-03-11T18:30:00Z/2026-03-12T18:30:00Z"),
    ] {
        assert_eq!(bounds(window, zone, now), expected, "{window:?} in {zone}");
    }
}

#[test]
fn clocks_that_are_set_make_days_shorter_and_longer() {
    // 29 March 2026: 02:00 becomes 03:00 in Oslo. 25 October: 03:00 becomes 02:00.
    let spring = bounds(Window::Day, "Europe/Oslo", "2026-03-29T12:00:00Z");
    assert_eq!(spring, "2026-03-28T23:00:00Z/2026-03-29T22:00:00Z");
    let autumn = bounds(Window::Day, "Europe/Oslo", "2026-10-25T12:00:00Z");
    assert_eq!(autumn, "2026-10-24T22:00:00Z/2026-10-25T23:00:00Z");
    // The hour from 02:00 is there twice.
    let hours = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"].map(|now| bounds(Window::Hour, "Europe/Oslo", now));
    assert_eq!(hours, ["2026-10-25T00:00:00Z/2026-10-25T01:00:00Z", "2026-10-25T01:00:00Z/2026-10-25T02:00:00Z"]);
    // Half an hour is added to the hour from 01:00 on Lord Howe Island on 5 April 2026.
    let long =
        ["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"].map(|now| bounds(Window::Hour, "Australia/Lord_Howe", now));
    assert_eq!(long, ["2026-04-04T14:00:00Z/2026-04-04T15:30:00Z"; 2]);
    // 6 September 2026 begins at 01:00 in Santiago.
    let santiago = bounds(Window::Day, "America/Santiago", "2026-09-06T12:00:00Z");
    assert_eq!(santiago, "2026-09-06T04:00:00Z/2026-09-07T03:00:00Z");
}

#[test]
fn every_instant_of_twenty_years_lies_in_its_window_and_windows_touch() {
    for zone in ["UTC", "Europe/Oslo", "America/Santiago", "Asia/Kolkata"] {
        let zone = named(zone).unwrap();
        for window in [Window::Hour, Window::Day, Window::Week, Window::Month, Window::Year] {
            let mut second = 1_600_000_000_i64;
            while second < 2_230_000_000 {
                let now = Timestamp::from_second(second).unwrap();
                let bounds = around(window, &zone, now).unwrap();
                assert!(bounds.start <= now && now < bounds.end, "{window:?} {now}");
                let next = around(window, &zone, bounds.end).unwrap();
                assert_eq!(next.start, bounds.end, "{window:?} after {now}");
                second += 7_654_321;
            }
        }
    }
}

#[test]
fn zones_are_known_by_their_names_whatever_the_case() {
    let name = |text: &str| named(text).map(|zone| zone.iana_name().unwrap_or_default().to_owned());
    assert_eq!(name("europe/oslo").as_deref(), Some("Europe/Oslo"));
    assert_eq!(name("UTC").as_deref(), Some("UTC"));
    assert_eq!(named("utc"), Some(TimeZone::UTC));
    assert_eq!(named("Europe/Oslo"), named("Europe/Oslo"));
    for none in ["", "Europe/Olso", "../etc/passwd", "+02:00", "CEST"] {
        assert_eq!(name(none), None, "{none}");
    }
}

#[test]
fn a_lifetime_has_no_window() {
    assert_eq!(around(Window::Lifetime, &TimeZone::UTC, Timestamp::UNIX_EPOCH), None);
}
