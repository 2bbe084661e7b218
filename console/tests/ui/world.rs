//! A world with one of everything, each name as hostile as names of manifests and requests can be.

use std::{sync::Arc, time::Duration};

use axum::Router;
use turnpike_console::ui::{
    Ui, World,
    facts::{
        Amount, Budget, Budgets, Cause, Day, Key, Keys, Loaded, Model, Models, Overview, Price, Probe, Problem, Rates,
        Requests, Route, Search, Standing, Sums, Target, Unavailable, Unit,
    },
    router,
};
use turnpike_ledger::reports::Logged;

pub(crate) const ADMIN_KEY: &str = "sk-admin-of-the-pages";
/// 2026-03-01 12:00 UTC.
pub(crate) const NOW: i64 = 1_772_366_400;
pub(crate) const HOSTILE: &str = "</td><script>alert(1)</script>\"'&";

pub(crate) struct Scripted;

impl Scripted {
    pub(crate) fn router() -> Router {
        router(Ui::new(Arc::new(Self), Arc::default()))
    }
}

impl World for Scripted {
    fn is_admin(&self, key: &str) -> bool {
        key == ADMIN_KEY
    }

    async fn overview(&self) -> Result<Overview, Unavailable> {
        Ok(overview())
    }

    async fn models(&self) -> Result<Models, Unavailable> {
        Ok(models())
    }

    async fn keys(&self) -> Result<Keys, Unavailable> {
        Ok(keys())
    }

    async fn budgets(&self) -> Result<Budgets, Unavailable> {
        Ok(budgets())
    }

    async fn requests(&self, search: Search) -> Result<Requests, Unavailable> {
        Ok(Requests { now: NOW, search, rows: vec![row()], searched: 20_000 })
    }

    async fn request(&self, _: i64, id: &str) -> Result<Vec<Logged>, Unavailable> {
        match id {
            "unknown" => Ok(Vec::new()),
            "failing" => Err(Unavailable("The spend database does not answer <now>".to_owned())),
            _ => Ok(attempts()),
        }
    }
}

pub(crate) fn overview() -> Overview {
    let sums = |requests, cost| Sums { requests, failures: 2, tokens: 12_345, cost };
    Overview {
        now: NOW,
        in_flight: 3,
        waiting: 1,
        last_minute: 120,
        backends: (2, 3),
        problems: 1,
        days: vec![
            Day { day: 20_511, sums: sums(10, 500_000_000) },
            Day { day: 20_512, sums: Sums::default() },
            Day { day: 20_513, sums: sums(1234, 2_500_000_000) },
        ],
        models: vec![(HOSTILE.to_owned(), sums(1234, 2_500_000_000)), (String::new(), sums(2, 0))],
    }
}

pub(crate) fn models() -> Models {
    let model = |name: &str, standing| Model {
        name: name.to_owned(),
        object: format!("ml/{name}"),
        visibility: "Cluster".to_owned(),
        weight: 1,
        provider: "openai".to_owned(),
        upstream_model: "gpt-4o".to_owned(),
        base_url: "https://api.openai.com/v1".to_owned(),
        standing,
        ..Model::default()
    };
    Models {
        now: NOW,
        loaded: Some(Loaded { generation: 7, hash: "abcdef0123456789".to_owned(), at: NOW - 90 }),
        problems: vec![Problem {
            object: "ModelDeployment ml/broken".to_owned(),
            field: "spec.provider.baseURL".to_owned(),
            reason: "Invalid".to_owned(),
            message: "<b>no scheme</b>".to_owned(),
            next_step: "write https://".to_owned(),
        }],
        models: vec![
            Model {
                aliases: vec!["smart".to_owned()],
                probe: Probe::Answered { at: NOW - 12 },
                in_flight: 4,
                waiting: 2,
                requests: 1500,
                tokens: 250_000,
                limits: Rates { rpm: Some(600), tpm: Some(1_000_000), parallel: None },
                price: Some(Price { input: 2_500_000_000, output: 10_000_000_000, cached: None }),
                ..model("well", Standing::Healthy)
            },
            Model {
                cause: Some(Cause { reason: "probes fail: it answers 503".to_owned(), since: Some(NOW - 65) }),
                probe: Probe::Failed { at: NOW - 2, fault: "it answers 503".to_owned() },
                ..model("ill", Standing::Cooling { rest: Duration::from_secs(42) })
            },
            model("back", Standing::SlowStart { percent: 40 }),
            Model {
                probe: Probe::Pending,
                replicas: vec![("10.0.0.7:8000".to_owned(), Standing::Trial)],
                ..model("engine", Standing::Cold)
            },
            model(HOSTILE, Standing::Trial),
        ],
        routes: vec![Route {
            name: "split".to_owned(),
            object: "ml/split".to_owned(),
            strategy: "Weighted".to_owned(),
            targets: vec![
                Target { object: "ml/well".to_owned(), weight: 90, priority: 0, is_there: true },
                Target { object: HOSTILE.to_owned(), weight: 10, priority: 1, is_there: false },
            ],
            mirror: Some("ml/back, 5 %".to_owned()),
            fallbacks: vec!["ml/ill on Error".to_owned()],
        }],
    }
}

pub(crate) fn amount(spent: i64, held: i64) -> Amount {
    Amount {
        window: "calendar month".to_owned(),
        limit: 10_000_000_000,
        spent,
        held,
        resets_at: Some(NOW + 2 * 86_400),
        ..Amount::default()
    }
}

pub(crate) fn keys() -> Keys {
    let key = |name: &str| Key { object: format!("ml/{name}"), id: format!("vk_{name}"), live: 1, ..Key::default() };
    Keys {
        now: NOW,
        has_log: true,
        more: 3,
        keys: vec![
            Key {
                team: Some(HOSTILE.to_owned()),
                user: Some("ann".to_owned()),
                models: vec!["*".to_owned()],
                limits: Rates { rpm: Some(60), ..Rates::default() },
                budget: vec![amount(10_000_000_000, 0)],
                budgets: vec!["ml/team".to_owned()],
                spent: 12_500_000_000,
                requests: 4321,
                expires_at: Some(NOW + 3600),
                ..key("over")
            },
            Key { suspended: true, ..key("paused") },
            Key { expires_at: Some(NOW - 1), ..key("late") },
            Key { live: 2, ..key("rotating") },
        ],
    }
}

pub(crate) fn budgets() -> Budgets {
    let budget = |name: &str, amounts| Budget {
        object: format!("ml/{name}"),
        share: "Shared".to_owned(),
        mode: "Enforce".to_owned(),
        on_exceed: "Block".to_owned(),
        acts: true,
        thresholds: vec![50, 80],
        keys: 1,
        amounts,
        ..Budget::default()
    };
    Budgets {
        now: NOW,
        budgets: vec![
            budget("within", vec![amount(2_000_000_000, 500_000_000)]),
            budget("warned", vec![amount(8_500_000_000, 0)]),
            budget("over", vec![amount(2_000_000_000, 0), amount(10_500_000_000, 0)]),
            Budget { acts: false, mode: "Shadow".to_owned(), ..budget("shadow", vec![amount(20_000_000_000, 0)]) },
            Budget { of_end_users: true, share: "PerUser".to_owned(), ..budget("users", Vec::new()) },
            Budget {
                more: 7,
                ..budget(
                    HOSTILE,
                    vec![Amount { pot: HOSTILE.to_owned(), unit: Unit::Tokens, resets_at: None, ..amount(5, 0) }],
                )
            },
        ],
    }
}

pub(crate) fn row() -> Logged {
    Logged {
        started_at_us: NOW * 1_000_000,
        request_id: "req-1".to_owned(),
        key_id: "vk_1".to_owned(),
        team: Some("ml".to_owned()),
        end_user: Some(HOSTILE.to_owned()),
        requested_model: "smart".to_owned(),
        model: Some("ml/well".to_owned()),
        provider: Some("openai".to_owned()),
        upstream_model: Some("gpt-4o".to_owned()),
        operation: "chat".to_owned(),
        stream: true,
        status: 200,
        outcome: "success".to_owned(),
        prompt_tokens: 1200,
        completion_tokens: 34,
        cost_nano: Some(70_000),
        first_byte_us: Some(230_000),
        latency_us: 12_345_678,
        attempt: 2,
        attempts: 2,
        ..Logged::default()
    }
}

fn attempts() -> Vec<Logged> {
    let failed = Logged {
        model: Some("ml/ill".to_owned()),
        status: 503,
        outcome: "upstream_error".to_owned(),
        cost_nano: None,
        attempt: 1,
        role: Some("retried".to_owned()),
        ..row()
    };
    vec![failed, row()]
}
