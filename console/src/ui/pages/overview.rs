//! The first page.

use askama::Template;

use crate::ui::{
    facts::{Overview, Sums},
    format,
};

/// Size of the chart, in its own units.
const HEIGHT: i64 = 50;
const STEP: i64 = 24;
const WIDTH: i64 = 18;

#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct Page<'a> {
    now: String,
    facts: &'a Overview,
    well: usize,
    backends: usize,
    last_minute: String,
    today: Used,
    models: Vec<(&'a str, Used)>,
    bars: Vec<Bar>,
    chart_width: i64,
    highest: String,
}

struct Used {
    requests: String,
    failures: i64,
    failed: String,
    tokens: String,
    cost: String,
}

struct Bar {
    label: String,
    x: i64,
    y: i64,
    height: i64,
    middle: i64,
    used: Used,
    /// Every second has room for its label.
    is_labelled: bool,
}

impl<'a> Page<'a> {
    pub(super) fn new(facts: &'a Overview) -> Self {
        let most = facts.days.iter().map(|day| day.sums.cost).max().unwrap_or_default().max(1);
        let count = facts.days.len();
        let bar = |(at, day): (usize, &crate::ui::facts::Day)| {
            let x = i64::try_from(at).unwrap_or_default() * STEP;
            let height = i64::try_from(i128::from(day.sums.cost.max(0)) * i128::from(HEIGHT) / i128::from(most));
            let height = height.unwrap_or_default().max(i64::from(day.sums.cost > 0));
            Bar {
                label: format::day(day.day),
                x,
                y: HEIGHT - height,
                height,
                middle: x + WIDTH / 2,
                used: Used::new(day.sums),
                is_labelled: (count - 1 - at).is_multiple_of(2),
            }
        };
        let (well, backends) = facts.backends;
        Self {
            now: format::moment(facts.now),
            facts,
            well,
            backends,
            last_minute: format::count(i64::try_from(facts.last_minute).unwrap_or(i64::MAX)),
            today: Used::new(facts.days.last().map(|day| day.sums).unwrap_or_default()),
            models: facts.models.iter().map(|(model, sums)| (model.as_str(), Used::new(*sums))).collect(),
            bars: facts.days.iter().enumerate().map(bar).collect(),
            highest: format::usd(if facts.days.iter().any(|day| day.sums.cost > 0) { most } else { 0 }),
            chart_width: i64::try_from(count).unwrap_or_default() * STEP,
        }
    }
}

impl Used {
    fn new(sums: Sums) -> Self {
        Self {
            requests: format::count(sums.requests),
            failures: sums.failures,
            failed: format::count(sums.failures),
            tokens: format::count(sums.tokens),
            cost: format::usd(sums.cost),
        }
    }
}
