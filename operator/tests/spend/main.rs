//! Spend as it is read of a real PostgreSQL, that gateways write to.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::{Budget, KeyId, VirtualKey, budget::Window};
use turnpike_ledger::{
    account::{AccountSpec, Tally},
    engine::{Cause, Refusal},
    spend_log::{Attempt, EventId, Posting, SpendRow, SpendStore as _},
    store::PostgresStore,
};
use turnpike_operator::{
    spend::{self, Spend, Store, plan::Plan},
    world::World,
};
use uuid::Uuid;

#[path = "../kit/context.rs"]
mod context;
#[expect(dead_code, reason = "shared with the tests of kit, which look at more of a request")]
#[path = "../kit/server.rs"]
mod server;

fn at(name: &str) -> ObjectRef {
    ObjectRef { namespace: "team".to_owned(), name: name.to_owned() }
}

fn metadata(name: &str) -> Value {
    json!({"namespace": "team", "name": name, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"})
}

fn budget(name: &str, share: &str) -> Budget {
    let spec = json!({"scope": {"namespace": true}, "share": share, "limits": [{"window": "Month", "usd": "1.00"}]});
    serde_json::from_value(json!({"metadata": metadata(name), "spec": spec})).unwrap()
}

fn key(name: &str) -> VirtualKey {
    let spec = json!({"generate": {}, "budget": [{"window": "Lifetime", "usd": "0.50"}]});
    serde_json::from_value(json!({"metadata": metadata(name), "spec": spec})).unwrap()
}

fn world() -> World {
    let mut world = World { inputs: 1, ..World::default() };
    for (name, share) in [("all", "Shared"), ("each", "PerKey")] {
        world.budgets.insert(at(name), Arc::new(budget(name, share)));
    }
    for name in ["a", "b"] {
        world.keys.insert(at(name), Arc::new(key(name)));
    }
    world
}

/// A row of a key that cost so many cents, booked on these accounts.
fn row(sequence: u64, name: &str, cents: i64, accounts: &[Arc<AccountSpec>]) -> SpendRow {
    let now = Timestamp::now().as_microsecond();
    let cost = cents * 10_000_000;
    let posting = |account: &Arc<AccountSpec>| Posting {
        account: account.id.clone(),
        lease: None,
        slot: account.window.slot(now).start,
        amount: cost,
    };
    SpendRow {
        event: EventId { incarnation: Uuid::from_u128(1), sequence },
        started_at_us: now,
        request_id: format!("req-{sequence}").into(),
        key_id: KeyId::of("team", name).to_string().into(),
        team: None,
        user: None,
        end_user: None,
        requested_model: "gpt".into(),
        model: Some("team/gpt".into()),
        provider: Some("openai"),
        upstream_model: None,
        operation: "chat",
        stream: false,
        status: 200,
        outcome: "success",
        prompt_tokens: 10,
        completion_tokens: 5,
        cached_tokens: 1,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
        cost_nano: Some(cost),
        estimated: false,
        first_byte_us: None,
        latency_us: 1000,
        upstream_us: None,
        postings: accounts.iter().map(posting).collect(),
        tags: None,
        metadata: None,
        attempt: Attempt::default(),
    }
}

/// What the key's requests are counted by.
fn accounts(world: &World, name: &str) -> Vec<Arc<AccountSpec>> {
    let plan = Plan::new(world, &turnpike_bundle::Settings::default());
    let key_id = KeyId::of("team", name).to_string();
    let own = plan.keys.iter().find(|(key, _)| *key == at(name)).unwrap().1.clone();
    let of = |budget: &str, subject: &str| {
        let planned = plan.budgets.iter().find(|planned| planned.object == at(budget)).unwrap();
        turnpike_ledger::limits::of_budget(&planned.entry, subject)
    };
    own.into_iter().chain(of("all", "")).chain(of("each", &key_id)).collect()
}

async fn until(spend: &mut watch::Receiver<Arc<Spend>>, wanted: impl Fn(&Spend) -> bool) -> Arc<Spend> {
    let seen = timeout(Duration::from_secs(30), spend.wait_for(|spend| wanted(spend))).await;
    Arc::clone(&seen.unwrap().unwrap())
}

fn total(spend: &Spend, budget: &str) -> i64 {
    spend.budgets.get(&at(budget)).map_or(-1, |budget| budget.amounts[0].pots.spent)
}

#[tokio::test]
async fn what_gateways_write_is_read_within_seconds() {
    let url = turnpike_testkit::postgres::database().await;
    let mut store = PostgresStore::open(&url).await.unwrap();
    let world = world();
    let (client, _log) = server::client(|_| (500, json!({})));
    let (mut context, _events) = server::context(client);
    let shown = watch::Sender::new(Arc::new(world.clone()));
    context.world = shown.subscribe();
    let sender = watch::Sender::new(Arc::new(Spend { store: Store::Waiting, ..Spend::default() }));
    let mut spend = sender.subscribe();
    let reading = tokio::spawn(spend::run(context, Some(url), sender));
    let first = until(&mut spend, |spend| spend.store == Store::Fresh).await;
    assert_eq!((total(&first, "all"), total(&first, "each"), first.full.len()), (0, 0, 0));
    let (a, b) = (accounts(&world, "a"), accounts(&world, "b"));
    store.append(&[row(1, "a", 60, &a), row(2, "b", 20, &b), row(3, "a", 0, &a)]).await.unwrap();
    let read = until(&mut spend, |spend| total(spend, "all") > 0).await;
    let cents = |cents: i64| cents * 10_000_000;
    assert_eq!((total(&read, "all"), total(&read, "each")), (cents(80), cents(80)));
    let pots = &read.budgets[&at("each")].amounts[0].pots;
    assert_eq!(
        (pots.count, pots.named[0].spent, &pots.named[0].subject),
        (2, cents(60), &KeyId::of("team", "a").to_string())
    );
    assert_eq!(read.full_keys, [at("a")].into(), "its own budget is used up");
    let of_key = until(&mut spend, |spend| !spend.keys.is_empty()).await;
    assert_eq!(of_key.keys[&KeyId::of("team", "a").to_string()].month_nano, cents(60));
    let usage = of_key.budgets[&at("all")].usage.values().next().unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens), (30, 15, 3));
    assert_eq!(usage.top, [(at("a"), cents(60)), (at("b"), cents(20))]);
    let refused = |spend: &Spend, budget: &str| spend.budgets[&at(budget)].tallies[&(Window::Month, Tally::Refused)];
    assert_eq!((refused(&read, "all"), refused(&read, "each")), (0, 0));
    let full = Refusal {
        account: a.iter().find(|account| &*account.owner.name == "each").unwrap().clone(),
        cause: Cause::Exhausted,
        needed: 1,
        spent: 0,
        reserved: 0,
        resets_at: None,
        retry_after: None,
    };
    let posting = full.posting(Timestamp::now().as_microsecond()).unwrap();
    store.append(&[SpendRow { postings: [posting].into(), ..row(4, "a", 0, &[]) }]).await.unwrap();
    let read = until(&mut spend, |spend| refused(spend, "each") > 0).await;
    assert_eq!((refused(&read, "all"), refused(&read, "each")), (0, 1));
    assert_eq!((total(&read, "all"), total(&read, "each")), (cents(80), cents(80)), "no amount");
    reading.abort();
}
