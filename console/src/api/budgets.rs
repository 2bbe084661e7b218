//! `/budget/*`: a budget is a `Budget` of which each key that names it has a pot of its own, as `LiteLLM` has it.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State};
use jiff::Timestamp;
use serde_json::{Value, json};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::{
    Budget, BudgetSpec, NanoUsd, ObjectMeta, Time,
    budget::{BudgetLimit, Share, Window},
};

use super::{
    Answer, Store, duration,
    error::ApiError,
    fields::{Fields, Given, Refusals},
    keys, money,
};
use crate::store::{Catalog, Change, Held, Object, Origin};

/// Annotation: `budget_duration` as it was spelled.
const DURATION: &str = "turnpike.dev/budget-duration";

/// Fields of `LiteLLM` that do nothing here, and what to do instead.
const REFUSED: &Refusals = &[
    ("max_parallel_requests", "set it on the key"),
    ("tpd_limit", "make a Budget manifest with a limit {window: Day, tokens: ...}"),
    ("model_max_budget", "make a Budget manifest with scope.models"),
    ("budget_reset_at", "windows begin by the calendar"),
    ("allowed_models", "name models on the key"),
];

/// `POST /budget/new`
pub(super) async fn new(State(store): State<Store>, body: Bytes) -> Answer {
    let mut fields = Fields::read(&body)?;
    let name = match fields.text("budget_id")?.value() {
        Some(name) => name,
        None => keys::new_name("budget")?,
    };
    let namespace = fields.text("namespace")?.value();
    let namespace = namespace.unwrap_or_else(|| keys::namespace_of(&store.catalog().contents));
    let mut budget = Budget {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            creation_timestamp: Some(Time(keys::now())),
            ..ObjectMeta::default()
        },
        spec: BudgetSpec { share: Share::PerKey, ..BudgetSpec::default() },
        status: None,
    };
    apply(&mut fields, &mut budget)?;
    fields.finish(REFUSED)?;
    put(&store, None, budget).await
}

/// `POST /budget/update`
pub(super) async fn update(State(store): State<Store>, body: Bytes) -> Answer {
    let mut fields = Fields::read(&body)?;
    let before = find(&store.catalog(), &fields.needed("budget_id")?)?;
    let mut budget = Budget::clone(&before.resource);
    // What is not of the API is refused before its fields are looked at.
    if before.origin == Origin::Api {
        apply(&mut fields, &mut budget)?;
        fields.finish(REFUSED)?;
    }
    put(&store, Some(before), budget).await
}

/// `POST /budget/info`
pub(super) async fn info(State(store): State<Store>, body: Bytes) -> Answer {
    let mut fields = Fields::read(&body)?;
    let names = fields.texts("budgets")?.value().unwrap_or_default();
    fields.finish(&[])?;
    if names.is_empty() {
        return Err(ApiError::field("budgets", "budgets is missing; send a list of their ids"));
    }
    let catalog = store.catalog();
    let rows = names.iter().map(|name| find(&catalog, name).map(|held| row(&held)));
    Ok(Json(rows.collect::<Result<Vec<_>, _>>()?.into()))
}

/// `GET /budget/list`
pub(super) async fn list(State(store): State<Store>) -> Answer {
    Ok(Json(store.catalog().budgets.iter().map(row).collect::<Vec<_>>().into()))
}

/// `POST /budget/delete`
pub(super) async fn delete(State(store): State<Store>, body: Bytes) -> Answer {
    let mut fields = Fields::read(&body)?;
    let name = fields.needed("id")?;
    fields.finish(&[])?;
    let before = find(&store.catalog(), &name)?;
    let row = row(&before);
    store.change(vec![Change { before: Some(Object::Budget(before.resource)), after: None }]).await?;
    Ok(Json(row))
}

/// The limits of a budget of the API: money first, then rates. `null` takes one away.
fn apply(fields: &mut Fields, budget: &mut Budget) -> Result<(), ApiError> {
    let old = Limits::of(budget);
    let usd = match fields.number("max_budget")? {
        Given::Absent => old.money.as_ref().and_then(|limit| limit.usd.clone()),
        Given::Null => None,
        Given::Is(number) => Some(money::amount("max_budget", number)?),
    };
    let notes = budget.metadata.annotations.get_or_insert_default();
    let spelled = old.money.as_ref().and_then(|limit| duration::spelled(limit.window)).map(str::to_owned);
    let span = fields.text("budget_duration")?;
    if usd.is_none() && matches!(span, Given::Is(_)) {
        let message = "budget_duration says nothing without max_budget; send both, or neither";
        return Err(ApiError::field("budget_duration", message));
    }
    let span = span.over(notes.get(DURATION).cloned().or(spelled)).filter(|_| usd.is_some());
    notes.remove(DURATION);
    notes.extend(span.clone().map(|span| (DURATION.to_owned(), span)));
    let money = usd.map(|usd| duration::limit(usd, span.as_deref())).transpose()?;
    let rates = BudgetLimit {
        window: Window::Minute,
        requests: fields.count("rpm_limit")?.over(old.requests),
        tokens: fields.count("tpm_limit")?.over(old.tokens),
        ..BudgetLimit::default()
    };
    alerts(fields, budget, money.as_ref())?;
    let rates = (rates.requests.is_some() || rates.tokens.is_some()).then_some(rates);
    budget.spec.limits = money.into_iter().chain(rates).collect();
    if budget.spec.limits.is_empty() {
        return Err(ApiError::field("max_budget", "the budget has no limit; send max_budget, rpm_limit or tpm_limit"));
    }
    Ok(())
}

/// `soft_budget` is where to alert: a percentage of the limit.
fn alerts(fields: &mut Fields, budget: &mut Budget, limit: Option<&BudgetLimit>) -> Result<(), ApiError> {
    let soft = match fields.number("soft_budget")? {
        Given::Absent => return Ok(()),
        Given::Null => None,
        Given::Is(number) => Some(money::amount("soft_budget", number)?),
    };
    let nano = |usd: &turnpike_crds::UsdString| usd.nano().map_or(0, |amount| amount.0);
    let percent = soft.map(|soft| {
        let most = limit.and_then(|limit| limit.usd.as_ref()).map(nano).filter(|most| *most > 0);
        let whole = most.filter(|most| nano(&soft) * 100 % most == 0).map(|most| nano(&soft) * 100 / most);
        whole.and_then(|percent| i32::try_from(percent).ok()).filter(|percent| (1..=100).contains(percent)).ok_or_else(
            || {
                let message = "soft_budget must be a whole percentage of max_budget, which becomes an alert; send both";
                ApiError::field("soft_budget", message)
            },
        )
    });
    budget.spec.alert_thresholds = percent.transpose()?.into_iter().collect();
    Ok(())
}

/// What the API shows of a budget's limits.
struct Limits {
    money: Option<BudgetLimit>,
    requests: Option<i64>,
    tokens: Option<i64>,
}

impl Limits {
    fn of(budget: &Budget) -> Self {
        let limits = &budget.spec.limits;
        let minute = || limits.iter().filter(|limit| limit.window == Window::Minute);
        Self {
            money: limits.iter().find(|limit| limit.usd.is_some()).cloned(),
            requests: minute().find_map(|limit| limit.requests),
            tokens: minute().find_map(|limit| limit.tokens),
        }
    }
}

fn row(held: &Held<Budget>) -> Value {
    let budget = held.resource.as_ref();
    let Limits { money: limit, requests, tokens } = Limits::of(budget);
    let spelled = budget.metadata.annotations.as_ref().and_then(|notes| notes.get(DURATION)).map(String::as_str);
    let resets = limit.as_ref().and_then(|limit| duration::of(limit).resets_at(Timestamp::now().as_microsecond()));
    let most = money::limit(limit.as_ref().and_then(|limit| limit.usd.as_ref()));
    let nano = limit.as_ref().and_then(|limit| limit.usd.as_ref()?.nano().ok()).map(|most| most.0);
    let percent = budget.spec.alert_thresholds.first();
    json!({
        "budget_id": budget.metadata.name,
        "namespace": budget.metadata.namespace.as_deref().unwrap_or("default"),
        "source": held.origin.to_string(),
        "max_budget": most,
        "soft_budget": percent.zip(nano).map(|(percent, nano)| money::usd(NanoUsd(nano / 100 * i64::from(*percent)))),
        "budget_duration": spelled.or_else(|| limit.as_ref().and_then(|limit| duration::spelled(limit.window))),
        "budget_reset_at": resets.and_then(|at| Timestamp::from_microsecond(at).ok()).map(|at| at.to_string()),
        "rpm_limit": requests,
        "tpm_limit": tokens,
        "created_at": budget.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()),
    })
}

/// By name; in the models' namespace first, since names of the API have none.
fn find(catalog: &Catalog, name: &str) -> Result<Held<Budget>, ApiError> {
    let namespace = keys::namespace_of(&catalog.contents);
    let usual = catalog.budget(&ObjectRef { namespace, name: name.to_owned() });
    let named = |held: &&Held<Budget>| held.resource.metadata.name.as_deref() == Some(name);
    usual
        .or_else(|| catalog.budgets.iter().find(named))
        .cloned()
        .ok_or_else(|| ApiError::NotFound(format!("there is no budget \"{name}\"; see GET /budget/list")))
}

async fn put(store: &Store, before: Option<Held<Budget>>, budget: Budget) -> Answer {
    let budget = Arc::new(budget);
    let before = before.map(|held| Object::Budget(held.resource));
    store.change(vec![Change { before, after: Some(Object::Budget(Arc::clone(&budget))) }]).await?;
    Ok(Json(row(&Held { resource: budget, origin: Origin::Api })))
}
