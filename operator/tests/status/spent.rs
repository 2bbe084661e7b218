//! What was spent, as status, conditions and events tell it; and when it is written.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use turnpike_crds::KeyId;
use turnpike_ledger::store::{KeyUse, Pot, Pots, Used as KeyUsed};
use turnpike_operator::{
    spend::{
        Spend, Store,
        assemble::{LastUse, Standings, Used, assemble},
        plan::Plan,
    },
    status::{
        event::{Event, Side, events},
        survey::{Status, Survey},
    },
};

use crate::place::{Place, condition, lines, now, of};

const CENT: i64 = 10_000_000;

/// A pot of this subject.
fn pot(subject: &str, spent: i64, reserved: i64) -> Pot {
    Pot { subject: subject.to_owned(), spent, reserved }
}

pub(crate) fn one(spent: i64, reserved: i64) -> Pots {
    Pots { spent, reserved, unattributed: 0, count: 1, named: vec![pot("", spent, reserved)] }
}

/// What the reader makes of these answers.
pub(crate) fn read(place: &Place, single: &[Pots], many: &[Pots], used: &[(&str, i64)], at: Timestamp) -> Spend {
    read_with(place, (single, many, &[]), used, at)
}

/// The same with answers for what is counted beside; the rest of that is 0.
fn read_with(
    place: &Place,
    (single, many, tallies): (&[Pots], &[Pots], &[i64]),
    used: &[(&str, i64)],
    at: Timestamp,
) -> Spend {
    let settings = turnpike_bundle::Settings { release_namespace: "llm".to_owned(), ..Default::default() };
    let plan = Plan::new(&place.world, &settings);
    let days = plan.days(at);
    let keys = used.iter().map(|(name, cents)| {
        let used = KeyUsed {
            requests: 4,
            prompt_tokens: 100,
            completion_tokens: 20,
            cached_tokens: 5,
            cost_nano: cents * CENT,
        };
        let last = days.len() - 1;
        (KeyId::of("team", name).to_string(), KeyUse { last_day: 20_522, since: [(last, used)].into() })
    });
    let used = Used { keys: keys.collect(), days: days.clone() };
    let mut last_use = LastUse::default();
    last_use.note(&used, at);
    let asks = plan.asks(at.as_microsecond());
    let beside: usize = plan.budgets.iter().map(|budget| budget.tallies(at.as_microsecond()).len()).sum();
    let accounts = (asks.single.len() - beside, asks.many.len());
    assert_eq!(accounts, (single.len(), many.len()), "an answer for each account");
    assert!(tallies.len() <= beside);
    let beside = tallies.iter().copied().chain(std::iter::repeat(0)).take(beside).map(|count| one(count, 0));
    let standings = Standings { single: single.iter().cloned().chain(beside).collect(), many: many.to_vec() };
    assemble(&plan, &standings, &used, &last_use, at)
}

fn hash(digit: &str) -> Value {
    json!({"keyHash": format!("sha256:{}", digit.repeat(64)), "subject": {"team": "ml", "user": format!("user-{digit}")}})
}

fn place(limits: &Value, more: &Value) -> Place {
    let mut spec = json!({"scope": {"team": "ml"}, "limits": limits, "alertThresholds": [50, 80, 100]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Place::new().gateways(&[Some(10)]).key("a", &hash("a")).key("b", &hash("b")).budget("ml", &spec)
}

fn month(usd: &str) -> Value {
    json!([{"window": "Month", "usd": usd}])
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn fields(survey: &Survey, name: &str) -> Value {
    let mut value = serde_json::to_value(of(survey, name)).unwrap();
    let fields = value.as_object_mut().unwrap();
    for field in ["conditions", "programmed", "observedGeneration"] {
        fields.remove(field);
    }
    value
}

fn told(survey: &Survey, name: &str) -> Vec<String> {
    let draft = survey.drafts.iter().find(|(id, _)| id.object.name == name).unwrap().1;
    let before = draft.before.as_ref().map_or_else(Side::default, Status::side);
    let line = |event: Event| format!("{} {} {}", event.kind.as_str(), event.reason, event.note);
    let events = events(before, draft.after.side(), &draft.compiled).into_iter().map(line);
    events.filter(|line| !line.starts_with("Normal Programmed")).collect()
}

/// The drafts' names.
fn names(survey: &Survey) -> Vec<String> {
    survey.drafts.keys().map(|id| id.object.name.clone()).collect()
}

#[test]
fn a_budget_shows_what_was_used_of_each_limit_and_by_whom() {
    let limits = json!([
        {"window": "Month", "usd": "500", "requests": 1000}, {"window": "Day", "tokens": 1000},
        {"window": "Minute", "requests": 5},
    ]);
    let mut place = place(&limits, &json!({}));
    // The accounts by their ids: requests a month, tokens a day, usd a month.
    let answers = [one(90, 10), one(120, 0), one(21_242 * CENT, 31 * CENT)];
    place.spend = read(&place, &answers, &[], &[("a", 15_000), ("b", 6_242)], now());
    let survey = place.survey(now());
    let expected = json!({
        "spent": "212.420000", "reserved": "0.310000", "remaining": "287.580000", "usedPercent": 42,
        "limitText": "500.00 USD", "window": "Month",
        "windowStart": "2026-03-01T00:00:00Z", "resetsAt": "2026-04-01T00:00:00Z",
        "projectedExhaustion": "2026-03-24T00:00:00Z",
        "limits": [
            {
                "window": "Month", "usedPercent": 42, "resetsAt": "2026-04-01T00:00:00Z",
                "usd": {"used": "212.420000", "limit": "500.00"}, "requests": {"used": 90, "limit": 1000},
            },
            {
                "window": "Day", "usedPercent": 12, "resetsAt": "2026-03-11T00:00:00Z",
                "tokens": {"used": 120, "limit": 1000},
            },
        ],
        "tokens": {"input": 200, "output": 40, "cachedInput": 10}, "requests": {"allowed": 90, "refused": 0}, "matchedKeys": 2,
        "top": [{"key": "a", "spent": "150.000000"}, {"key": "b", "spent": "62.420000"}],
        "lastSpendSync": "2026-03-10T12:00:00Z",
    });
    assert_eq!(fields(&survey, "ml"), expected);
    insta::with_settings!({snapshot_path => "golden", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("budget-current", lines(of(&survey, "ml")).join("\n"));
    });
    assert_eq!(fields(&survey, "a")["spent"], "150.00", "a key's, in cents");
    assert_eq!(fields(&survey, "a")["lastUsedTime"], "2026-03-10T00:00:00Z");
}

#[test]
fn a_budget_shows_what_it_refused_and_what_an_outage_let_through() {
    let limits = json!([{"window": "Month", "usd": "500.00"}, {"window": "Day", "usd": "20.00"}]);
    let mut place = place(&limits, &json!({"onStoreUnavailable": "FailOpen"}));
    let accounts = [one(1_900 * CENT, 0), one(2_100 * CENT, 0)];
    // By window, and in each refused before overdrawn.
    place.spend = read_with(&place, (&accounts, &[], &[7, 3 * CENT, 40, 50 * CENT]), &[], now());
    let shown = fields(&place.survey(now()), "ml");
    assert_eq!(
        (&shown["window"], &shown["requests"], &shown["overdrawn"]),
        (&json!("Day"), &json!({"refused": 7}), &json!("0.030000"))
    );
    let accounts = [one(100 * CENT, 0), one(21_000 * CENT, 0)];
    place.spend = read_with(&place, (&accounts, &[], &[0, 0, 40, 0]), &[], now());
    let shown = fields(&place.survey(now()), "ml");
    assert_eq!(
        (&shown["window"], &shown["requests"], &shown["overdrawn"]),
        (&json!("Month"), &json!({"refused": 40}), &json!(null))
    );
}

#[test]
fn the_limit_of_which_most_is_used_is_shown() {
    let limits = json!([{"window": "Month", "usd": "500.00"}, {"window": "Day", "usd": "20.00"}]);
    let mut place = place(&limits, &json!({}));
    place.spend = read(&place, &[one(1_900 * CENT, 0), one(21_000 * CENT, 0)], &[], &[], now());
    let shown = fields(&place.survey(now()), "ml");
    let of_day = (&shown["limitText"], &shown["window"], &shown["usedPercent"], &shown["resetsAt"]);
    assert_eq!(of_day, (&json!("20.00 USD"), &json!("Day"), &json!(95), &json!("2026-03-11T00:00:00Z")));
    assert_eq!(shown["limits"][1]["thresholdReached"], 80);
}

#[test]
fn figures_are_written_every_ten_seconds_and_only_when_they_differ() {
    let mut place = place(&month("500.00"), &json!({}));
    let spend = |place: &Place, cents: i64, at| read(place, &[one(cents * CENT, 0)], &[], &[], at);
    place.spend = spend(&place, 100, now());
    let first = place.survey(now());
    assert_eq!(place.write(&first), 3);
    assert_eq!(names(&place.survey(after(3600))), [""; 0], "time alone writes nothing");
    place.spend = spend(&place, 101, after(3));
    let survey = place.survey(after(3));
    assert_eq!((names(&survey).len(), survey.next), (0, Some(after(10))));
    let survey = place.survey(after(10));
    assert_eq!(names(&survey), ["ml"]);
    assert!(survey.drafts.values().all(|draft| draft.figures_only), "there is no hurry");
    place.write(&survey);
    // A threshold is told at once.
    place.spend = spend(&place, 40_000, after(11));
    let survey = place.survey(after(11));
    assert_eq!(names(&survey), ["ml"]);
    assert!(survey.drafts.values().all(|draft| !draft.figures_only));
    assert_eq!(told(&survey, "ml"), ["Normal ThresholdReached 80 % of the limit of 500.00 USD a month is used"]);
    place.write(&survey);
    place.spend = spend(&place, 40_001, after(12));
    assert_eq!(names(&place.survey(after(12))), [""; 0]);
    // Once in a window; the next one begins anew.
    let april: Timestamp = "2026-04-01T00:00:10Z".parse().unwrap();
    place.spend = spend(&place, 30_000, april);
    let survey = place.survey(april);
    assert_eq!(told(&survey, "ml"), ["Normal ThresholdReached 50 % of the limit of 500.00 USD a month is used"]);
}

#[test]
fn a_budget_that_is_used_up_blocks_its_keys_and_says_until_when() {
    let mut place = place(&month("5.00"), &json!({}));
    place.spend = read(&place, &[one(500 * CENT, 0)], &[], &[("a", 500)], now());
    let survey = place.survey(now());
    assert_eq!(
        told(&survey, "ml"),
        [
            "Warning BudgetExceeded The limit of 5.00 USD a month is used up: requests are refused until \
             2026-04-01T00:00:00Z; raise the limit to go on before",
            "Warning ThresholdReached 100 % of the limit of 5.00 USD a month is used",
        ]
    );
    insta::with_settings!({snapshot_path => "golden", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("budget-used-up", lines(of(&survey, "ml")).join("\n"));
        insta::assert_snapshot!("key-of-budget-used-up", lines(of(&survey, "a")).join("\n"));
    });
    assert_eq!(fields(&survey, "b")["blockedBy"], json!([{"kind": "Budget", "name": "ml"}]));
    assert_eq!(told(&survey, "b").len(), 1);
    place.write(&survey);
    // The next month.
    let april: Timestamp = "2026-04-01T00:00:01Z".parse().unwrap();
    place.spend = read(&place, &[one(0, 0)], &[], &[], april);
    let survey = place.survey(april);
    assert_eq!(condition(of(&survey, "b"), "Active").unwrap().status, "True");
    assert_eq!(fields(&survey, "b").get("blockedBy"), None);
}

#[test]
fn what_does_not_refuse_blocks_nobody() {
    for more in [
        json!({"mode": "Shadow"}),
        json!({"onExceed": "Notify"}),
        json!({"onExceed": "Throttle", "throttle": {"rpm": 5}}),
        json!({"scope": {"team": "ml", "models": ["gpt-*"]}}),
    ] {
        let mut place = place(&month("5.00"), &more);
        place.spend = read(&place, &[one(600 * CENT, 0)], &[], &[], now());
        let survey = place.survey(now());
        let within = condition(of(&survey, "ml"), "WithinBudget").unwrap();
        assert_eq!(
            (within.status.as_str(), fields(&survey, "ml")["usedPercent"].as_i64()),
            ("False", Some(120)),
            "{more}"
        );
        assert_eq!(condition(of(&survey, "a"), "Active").unwrap().status, "True", "{more}");
        assert_eq!(condition(of(&survey, "ml"), "Ready").unwrap().status, "True", "what was asked for is done: {more}");
    }
}

#[test]
fn of_many_pots_the_total_is_shown_and_the_fullest_decides() {
    let mut place = place(&month("5.00"), &json!({"share": "PerKey"}));
    let (a, b) = (KeyId::of("team", "a").to_string(), KeyId::of("team", "b").to_string());
    let pots = Pots {
        spent: 800 * CENT,
        reserved: 10 * CENT,
        unattributed: 0,
        count: 2,
        named: vec![pot(&a, 500 * CENT, 0), pot(&b, 300 * CENT, 10 * CENT)],
    };
    place.spend = read(&place, &[], &[pots], &[], now());
    let survey = place.survey(now());
    let shown = fields(&survey, "ml");
    assert_eq!(
        (&shown["spent"], &shown["usedPercent"], &shown["remaining"]),
        (&json!("8.000000"), &json!(100), &json!("0.000000"))
    );
    assert_eq!(shown["limits"][0]["usd"], json!({"used": "5.000000", "limit": "5.00"}));
    assert_eq!(shown["top"], json!([{"key": "a", "spent": "5.000000"}, {"key": "b", "spent": "3.000000"}]));
    assert_eq!(condition(of(&survey, "a"), "Active").unwrap().reason, "BudgetExceeded");
    assert_eq!(condition(of(&survey, "b"), "Active").unwrap().status, "True", "it has a pot of its own");
}

#[test]
fn a_silent_database_leaves_the_figures_and_says_how_old_they_are() {
    let mut place = place(&month("5.00"), &json!({}));
    place.spend = read(&place, &[one(400 * CENT, 0)], &[], &[("a", 400)], now());
    let survey = place.survey(now());
    place.write(&survey);
    let fresh = fields(&survey, "ml");
    place.spend.store = Store::Silent { since: Some(after(5)) };
    let survey = place.survey(after(40));
    assert_eq!(names(&survey), ["ml"], "keys have nothing new to say");
    assert_eq!(fields(&survey, "ml"), fresh);
    insta::with_settings!({snapshot_path => "golden", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("budget-of-a-silent-database", lines(of(&survey, "ml")).join("\n"));
    });
    place.write(&survey);
    assert_eq!(names(&place.survey(after(90))), [""; 0], "once an outage");
    // An operator that starts in the outage has read nothing, and changes nothing of what is known.
    place.spend = Spend { store: Store::Waiting, ..Spend::default() };
    assert_eq!(names(&place.survey(after(91))), [""; 0]);
    place.spend = read(&place, &[one(400 * CENT, 0)], &[], &[("a", 400)], after(100));
    let survey = place.survey(after(100));
    assert_eq!(condition(of(&survey, "ml"), "SpendSynced").unwrap().status, "True");
}

#[test]
fn figures_of_other_limits_are_not_shown() {
    let mut place = place(&month("5.00"), &json!({}));
    place.spend = read(&place, &[one(400 * CENT, 0)], &[], &[], now());
    let survey = place.survey(now());
    place.write(&survey);
    let budget = Arc::make_mut(place.world.budgets.values_mut().next().unwrap());
    budget.metadata.generation = Some(2);
    budget.spec.limits[0].usd = Some("50.00".into());
    let survey = place.survey(after(1));
    let shown = fields(&survey, "ml");
    assert_eq!((shown.get("spent"), &shown["limitText"]), (None, &json!("50.00 USD")));
    place.spend = read(&place, &[one(400 * CENT, 0)], &[], &[], after(2));
    assert_eq!(fields(&place.survey(after(2)), "ml")["usedPercent"], 8);
}

#[test]
fn a_keys_figures_are_written_every_five_minutes_and_its_block_at_once() {
    let spec = json!({"keyHash": format!("sha256:{}", "a".repeat(64)), "budget": [{"window": "Day", "usd": "1.00"}]});
    let mut place = Place::new().gateways(&[Some(10)]).key("key", &spec);
    let spend = |place: &Place, cents: i64, at| read(place, &[one(cents * CENT, 0)], &[], &[("key", cents)], at);
    place.spend = read(&place, &[one(0, 0)], &[], &[], now());
    let survey = place.survey(now());
    place.write(&survey);
    assert_eq!((&fields(&survey, "key")["spent"], fields(&survey, "key").get("lastUsedTime")), (&json!("0.00"), None));
    // The first use does not wait.
    place.spend = spend(&place, 41, now());
    let survey = place.survey(now());
    place.write(&survey);
    assert_eq!(fields(&survey, "key")["spent"], "0.41");
    place.spend = spend(&place, 42, after(60));
    let survey = place.survey(after(60));
    assert_eq!((names(&survey).len(), survey.next), (0, Some(after(300))));
    assert_eq!(fields(&place.survey(after(300)), "key")["spent"], "0.42");
    place.spend = spend(&place, 100, after(61));
    let survey = place.survey(after(61));
    assert_eq!(fields(&survey, "key")["blockedBy"], json!([{"kind": "VirtualKey", "name": "key"}]));
    assert_eq!(
        told(&survey, "key"),
        [
            "Warning BudgetExceeded Used up: spec.budget. Requests are refused until the window is over or the limit is raised"
        ]
    );
    assert_eq!(condition(of(&survey, "key"), "Ready").unwrap().status, "True");
}

#[test]
fn what_lost_gateways_may_have_used_is_told() {
    let mut place = place(&month("5.00"), &json!({}));
    let lost = Pots { unattributed: 3 * CENT, ..one(100 * CENT, 0) };
    place.spend = read(&place, &[lost], &[], &[], now());
    let survey = place.survey(now());
    assert_eq!(fields(&survey, "ml")["unattributed"], "0.030000");
    let told = told(&survey, "ml");
    assert!(told[0].starts_with("Warning SpendUnattributed 0.03 USD of what is spent"), "{told:?}");
}
