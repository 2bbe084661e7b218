//! What the spend log says.

use std::collections::BTreeMap;

use turnpike_console::ui::facts::{Day, Overview, Requests, Search, Standing, Sums, Unavailable};
use turnpike_ledger::reports::{DailySum, Ended, Filter, Logged, SEARCHED, SumBy};

use super::{Reader, View, models::standing, now, silent};
use crate::{config::snapshot::Backend, pipeline::journey::now as moment};

/// Requests on a page.
const MOST: u32 = 100;
/// Days of the chart.
const DAYS: i64 = 14;

impl View {
    pub(super) async fn summed_up(&self) -> Result<Overview, Unavailable> {
        let (app, snapshot, now, moment) = (&self.app, self.app.live.load(), now(), moment());
        let today = now.div_euclid(86_400);
        let sums = self.days(today - DAYS + 1).await?;
        let backends = snapshot.models.iter().filter(|model| matches!(model.backend, Backend::Provider(_)));
        let backends: Vec<Standing> = backends.map(|model| standing(model, &snapshot, moment)).collect();
        let well = backends.iter().filter(|standing| !matches!(standing, Standing::Cooling { .. } | Standing::Cold));
        Ok(Overview {
            now,
            in_flight: app.in_flight.used(),
            waiting: app.ledger.queued().iter().map(|(_, count)| count).sum(),
            last_minute: snapshot.models.iter().map(|model| model.live.deployment().requests(moment)).sum(),
            backends: (well.count(), backends.len()),
            problems: app.health.configuration().map_or(0, |loaded| loaded.problems.len()),
            models: sums.iter().flat_map(|sums| by_model(sums, today)).collect(),
            days: sums.map(|sums| by_day(&sums, today)).unwrap_or_default(),
        })
    }

    pub(super) async fn newest(&self, search: Search) -> Result<Requests, Unavailable> {
        let filter = Filter {
            model: search.model.clone(),
            key: search.key.clone(),
            request: search.request.clone(),
            ended: match search.status.as_str() {
                "success" => Ended::Well,
                "failure" => Ended::Badly,
                _ => Ended::Anyhow,
            },
            most: MOST,
        };
        let rows = match &mut *self.console()?.reader.lock().await {
            Reader::Sqlite(store) => store.newest(&filter).await.map_err(|error| silent(&error))?,
            Reader::Postgres(_) => return Err(elsewhere()),
        };
        Ok(Requests { now: now(), search, rows, searched: SEARCHED })
    }

    pub(super) async fn attempts(&self, started_at_us: i64, id: &str) -> Result<Vec<Logged>, Unavailable> {
        match &mut *self.console()?.reader.lock().await {
            Reader::Sqlite(store) => store.attempts(started_at_us, id).await.map_err(|error| silent(&error)),
            Reader::Postgres(_) => Err(elsewhere()),
        }
    }

    /// Sums since a day; `None` = the log is not read here.
    pub(super) async fn days(&self, since: i64) -> Result<Option<Vec<DailySum>>, Unavailable> {
        match &mut *self.console()?.reader.lock().await {
            Reader::Sqlite(store) => {
                store.daily_sums(SumBy::Key, since).await.map(Some).map_err(|error| silent(&error))
            }
            Reader::Postgres(_) => Ok(None),
        }
    }
}

fn elsewhere() -> Unavailable {
    let text =
        "This gateway keeps its spend log in PostgreSQL, which this page does not read yet. Ask its view litellm_logs.";
    Unavailable(text.to_owned())
}

/// Each of the last days, the oldest first.
fn by_day(sums: &[DailySum], today: i64) -> Vec<Day> {
    let mut days: Vec<Day> = (today - DAYS + 1..=today).map(|day| Day { day, ..Day::default() }).collect();
    for sum in sums {
        if let Some(day) = days.iter_mut().find(|day| day.day == sum.day) {
            add(&mut day.sums, sum);
        }
    }
    days
}

/// The dearest first.
fn by_model(sums: &[DailySum], today: i64) -> Vec<(String, Sums)> {
    let mut models: BTreeMap<&str, Sums> = BTreeMap::new();
    for sum in sums.iter().filter(|sum| sum.day == today) {
        add(models.entry(&sum.model).or_default(), sum);
    }
    let mut models: Vec<_> = models.into_iter().map(|(model, sums)| (model.to_owned(), sums)).collect();
    models.sort_by_key(|(_, sums)| std::cmp::Reverse((sums.cost, sums.requests)));
    models
}

fn add(sums: &mut Sums, sum: &DailySum) {
    sums.requests = sums.requests.saturating_add(sum.requests);
    sums.failures = sums.failures.saturating_add(sum.failures);
    sums.tokens = sums.tokens.saturating_add(sum.tokens);
    sums.cost = sums.cost.saturating_add(sum.cost_nano);
}
