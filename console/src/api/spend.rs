//! `/spend/logs` and `/global/spend*`: the spend log in `LiteLLM`'s rows.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use http::Uri;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Map, Value, json};
use turnpike_crds::{NanoUsd, VirtualKey};
use turnpike_ledger::reports::{DailySum, LogFilter, LogSum, Logged, SumBy};

use super::{Answer, Store, error::ApiError, keys, money, query::Query};
use crate::store::{Catalog, Held, alias};

const DAY: i64 = 86_400_000_000;
/// How far back `/global/spend*` looks, in days, as `LiteLLM` does.
const BACK: i64 = 30;

/// `GET /spend/logs`
pub(super) async fn logs(State(store): State<Store>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let summarize = query.flag("summarize")?.unwrap_or(true);
    let (from, to) = (date(&mut query, "start_date")?, date(&mut query, "end_date")?);
    let has_dates = from.is_some() && to.is_some();
    let catalog = store.catalog();
    let filter = LogFilter {
        from: from.unwrap_or(0),
        // The day is within.
        to: to.map_or(i64::MAX, |day| day.saturating_add(DAY)),
        key_id: query.text("api_key").map(|named| key_id(&catalog, &named)).transpose()?.unwrap_or_default(),
        user: query.text("user_id").unwrap_or_default(),
        request_id: query.text("request_id").unwrap_or_default(),
    };
    query.finish(&[])?;
    if filter.from >= filter.to {
        return Err(ApiError::field("end_date", "end_date is before start_date; correct one of them"));
    }
    let rows = if has_dates && summarize {
        by_day(store.log_sums(filter).await?)
    } else {
        let names = Names::of(&catalog);
        store.logged(filter).await?.iter().map(|row| logged(row, &names)).collect()
    };
    Ok(Json(rows.into()))
}

/// `GET /global/spend`
pub(super) async fn global(State(store): State<Store>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let catalog = store.catalog();
    let key = query.text("api_key").map(|named| key_id(&catalog, &named)).transpose()?;
    let model = query.text("model");
    query.finish(&[])?;
    let sums = store.daily_sums(SumBy::Key, since()).await?;
    let counts = |sum: &&DailySum| {
        key.as_ref().is_none_or(|key| *key == sum.name)
            && model.as_ref().is_none_or(|model| is_model(model, &sum.model))
    };
    let spent: i64 = sums.iter().filter(counts).map(|sum| sum.cost_nano).fold(0, i64::saturating_add);
    Ok(Json(json!({"spend": money::usd(NanoUsd(spent)), "max_budget": null})))
}

/// `GET /global/spend/keys`
pub(super) async fn by_key(State(store): State<Store>, uri: Uri) -> Answer {
    let most = limit(&uri)?;
    let sums = store.daily_sums(SumBy::Key, since()).await?;
    let catalog = store.catalog();
    let names = Names::of(&catalog);
    let rows = largest(&sums, |sum| &sum.name, most).into_iter().map(|(key_id, spent)| {
        let key = names.0.get(&key_id);
        json!({
            "api_key": key.and_then(|held| catalog.sha256(&held.resource)).unwrap_or(&key_id),
            "key_id": key_id,
            "key_alias": key.and_then(|held| alias(&held.resource)),
            "key_name": key.and_then(|held| keys::shown(&held.resource)),
            "total_spend": money::usd(NanoUsd(spent)),
        })
    });
    Ok(Json(rows.collect::<Vec<_>>().into()))
}

/// `GET /global/spend/models`
pub(super) async fn by_model(State(store): State<Store>, uri: Uri) -> Answer {
    let most = limit(&uri)?;
    let sums = store.daily_sums(SumBy::Key, since()).await?;
    let rows = largest(&sums, |sum| &sum.model, most).into_iter();
    let rows = rows.map(|(model, spent)| json!({"model": model, "total_spend": money::usd(NanoUsd(spent))}));
    Ok(Json(rows.collect::<Vec<_>>().into()))
}

/// `GET /global/spend/teams`
pub(super) async fn by_team(State(store): State<Store>, uri: Uri) -> Answer {
    Query::of(&uri).finish(&[])?;
    let sums = store.daily_sums(SumBy::Team, since()).await?;
    let mut days: BTreeMap<i64, BTreeMap<&str, i64>> = BTreeMap::new();
    for sum in &sums {
        *days.entry(sum.day).or_default().entry(&sum.name).or_default() += sum.cost_nano;
    }
    let days = days.into_iter().map(|(day, teams)| {
        let mut row: Map<String, Value> = Map::from_iter([("date".to_owned(), json!(day_name(day)))]);
        row.extend(teams.into_iter().map(|(team, spent)| (team.to_owned(), money::usd(NanoUsd(spent)).into())));
        Value::Object(row)
    });
    let totals = largest(&sums, |sum| &sum.name, usize::MAX);
    Ok(Json(json!({
        "daily_spend": days.collect::<Vec<_>>(),
        "teams": totals.iter().map(|(team, _)| team).collect::<Vec<_>>(),
        "total_spend_per_team": totals.iter()
            .map(|(team, spent)| json!({"team_id": team, "total_spend": money::usd(NanoUsd(*spent))}))
            .collect::<Vec<_>>(),
    })))
}

/// Keys by the id that rows have.
struct Names<'a>(BTreeMap<String, &'a Held<VirtualKey>>);

impl<'a> Names<'a> {
    fn of(catalog: &'a Catalog) -> Self {
        Self(catalog.keys.iter().map(|held| (keys::key_id(&held.resource), held)).collect())
    }
}

/// The id of the key that a text, a hash or an id names. One that is gone is known by its id.
fn key_id(catalog: &Catalog, named: &str) -> Result<String, ApiError> {
    let is_id = named.starts_with("vk_") || named == "admin";
    if is_id { Ok(named.to_owned()) } else { keys::find(catalog, named).map(|held| keys::key_id(&held.resource)) }
}

fn since() -> i64 {
    Timestamp::now().as_microsecond().div_euclid(DAY) - BACK
}

/// The first instant of a day, UTC, in microseconds.
fn date(query: &mut Query, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = query.text(name) else { return Ok(None) };
    let start = text.parse::<Date>().and_then(|date| date.to_zoned(TimeZone::UTC));
    let start =
        start.map_err(|_| ApiError::field(name, format!("{name} must be a day such as 2026-01-31; correct it")))?;
    Ok(Some(start.timestamp().as_microsecond()))
}

fn day_name(day: i64) -> String {
    let start = Timestamp::from_microsecond(day.saturating_mul(DAY)).unwrap_or_default();
    start.to_zoned(TimeZone::UTC).date().to_string()
}

fn limit(uri: &Uri) -> Result<usize, ApiError> {
    let mut query = Query::of(uri);
    let most = query.number("limit", (1, 10_000))?.unwrap_or(usize::MAX);
    query.finish(&[])?;
    Ok(most)
}

/// A model by its `namespace/name`, or by the name alone.
fn is_model(wanted: &str, model: &str) -> bool {
    wanted == model || model.split_once('/').is_some_and(|(_, name)| name == wanted)
}

/// Sums by what they are of, the largest first.
fn largest<'a>(sums: &'a [DailySum], of: fn(&'a DailySum) -> &'a String, most: usize) -> Vec<(String, i64)> {
    let mut totals: BTreeMap<&String, i64> = BTreeMap::new();
    for sum in sums {
        let total = totals.entry(of(sum)).or_default();
        *total = total.saturating_add(sum.cost_nano);
    }
    let mut totals: Vec<_> = totals.into_iter().map(|(name, spent)| (name.clone(), spent)).collect();
    totals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    totals.truncate(most);
    totals
}

/// A row a day with what users and models cost.
fn by_day(sums: Vec<LogSum>) -> Vec<Value> {
    #[derive(Default)]
    struct Day {
        spent: i64,
        users: BTreeMap<String, i64>,
        models: BTreeMap<String, i64>,
    }
    let mut days: BTreeMap<i64, Day> = BTreeMap::new();
    for LogSum { day, user, model, cost_nano, .. } in sums {
        let row = days.entry(day).or_default();
        row.spent = row.spent.saturating_add(cost_nano);
        *row.users.entry(user.unwrap_or_default()).or_default() += cost_nano;
        *row.models.entry(model).or_default() += cost_nano;
    }
    let named = |sums: BTreeMap<String, i64>| -> Map<String, Value> {
        sums.into_iter().map(|(name, spent)| (name, money::usd(NanoUsd(spent)).into())).collect()
    };
    let rows = days.into_iter().map(|(day, row)| {
        let Day { spent, users, models } = row;
        json!({"startTime": day_name(day), "spend": money::usd(NanoUsd(spent)), "users": named(users), "models": named(models)})
    });
    rows.collect()
}

fn logged(row: &Logged, names: &Names<'_>) -> Value {
    let moment = |at: i64| Timestamp::from_microsecond(at).unwrap_or_default().to_string();
    let read = |text: Option<&String>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "request_id": row.request_id,
        "call_type": row.operation,
        "api_key": row.key_id,
        "key_alias": names.0.get(&row.key_id).and_then(|held| alias(&held.resource)),
        "spend": row.cost_nano.map(|cost| money::usd(NanoUsd(cost))).unwrap_or_default(),
        "is_priced": row.cost_nano.is_some(),
        "total_tokens": row.prompt_tokens.saturating_add(row.completion_tokens),
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "startTime": moment(row.started_at_us),
        "endTime": moment(row.started_at_us.saturating_add(row.latency_us)),
        "request_duration_ms": row.latency_us / 1000,
        "model": row.upstream_model.as_ref().unwrap_or(&row.requested_model),
        "model_group": row.requested_model,
        "model_id": row.model,
        "custom_llm_provider": row.provider,
        "user": row.user,
        "team_id": row.team,
        "end_user": row.end_user,
        "cache_hit": if row.attempts == 0 { "True" } else { "False" },
        "request_tags": read(row.tags.as_ref()).unwrap_or_else(|| json!([])),
        "metadata": read(row.metadata.as_ref()).unwrap_or_else(|| json!({})),
        "status": if row.outcome == "success" { "success" } else { "failure" },
        "outcome": row.outcome,
    })
}
