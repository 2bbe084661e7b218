//! The test that decides, with everything at once: streams, clients that leave, streams that are cut, errors, retries, fallbacks to
//! a dearer model, hedges, mirrors, random bounds, two budgets over each other, and gateways that are killed. No budget is
//! passed, and the spend log is what the upstream charged.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Gateway, Script, Upstream,
    gateway::Setup,
    manifest::{self, Manifest},
    postgres,
    spend::postgres_json,
    upstream::{Cut, Gate, Recorded, Usage},
};

use crate::{
    books::{Books, Prices, Read},
    stage::CHAT,
};

/// nano-USD for a token of the prompt and of the output.
const PRICES: Prices = &[
    ("first", 1_000, 2_000),
    ("second", 1_000, 2_000),
    ("primary", 1_000, 2_000),
    ("dear", 3_000, 6_000),
    ("copy", 1_000, 1_000),
];
/// What both keys may spend together, and each of them; nano-USD.
const TOGETHER: i64 = 2_000_000_000;
const EACH: i64 = 1_200_000_000;
const KEYS: [(&str, &str); 2] = [("red", "sk-red-0123456789abcdef"), ("blue", "sk-blue-0123456789abcdef")];
const CLIENTS: usize = 240;
const KILLS: usize = 6;

/// The seed: `TURNPIKE_TEST_SEED`, else one of the clock.
#[expect(clippy::disallowed_methods, reason = "a test's own variable")]
fn seed() -> u64 {
    let given = std::env::var("TURNPIKE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos().into());
    given.unwrap_or_else(clock)
}

/// What the upstream does with an attempt.
fn conduct(rng: &mut StdRng, body: &Value, never: &Gate) -> Script {
    let words = body["messages"][0]["content"].as_str().unwrap().split(' ').count() as u64;
    let usage = |completion| Usage { prompt: words, completion, cached: 0, reasoning: 0 };
    match rng.random_range(0..100) {
        0..10 => return Script::error(500, "it broke", "server_error"),
        10 => return Script::chat("late").usage(usage(9)).head_after(never),
        _ => {}
    }
    // Slower than most: worth a hedge.
    let pause = if rng.random_ratio(1, 10) { 400 } else { rng.random_range(1..=8) };
    if body["stream"] != true {
        let answer = Script::chat("Hi").usage(usage(rng.random_range(20..1_520))).stops_in_time();
        return answer.every(Duration::from_millis(pause));
    }
    let pieces = if pause == 400 { 2 } else { rng.random_range(1..=30) };
    let stream =
        Script::words(usize::try_from(pieces).unwrap()).usage(usage(pieces)).every(Duration::from_millis(pause));
    if rng.random_ratio(1, 8) { stream.cut(rng.random_range(300..3_300), Cut::Close) } else { stream }
}

async fn upstream(seed: u64) -> Upstream {
    let upstream = Upstream::start().await;
    for (at, (model, ..)) in PRICES.iter().enumerate() {
        let rng = Mutex::new(StdRng::seed_from_u64(seed ^ (at as u64 + 1)));
        let never = Gate::default();
        upstream
            .decide(model, move |body| conduct(&mut rng.lock().unwrap_or_else(PoisonError::into_inner), body, &never));
    }
    upstream
}

fn objects(upstream: &Upstream) -> Vec<Manifest> {
    let mut objects: Vec<Manifest> = PRICES
        .iter()
        .map(|(name, prompt, output)| {
            let usd = |nano: &i64| format!("{}.00", nano / 1_000);
            let price = json!({"inputPerMillion": usd(prompt), "outputPerMillion": usd(output)});
            let model =
                manifest::model(name, &upstream.url()).with("price", price).with("retry", json!({"attempts": 0}));
            model.with("timeouts.total", "10s").with("health.cooldown", "0s")
        })
        .collect();
    let dear = json!([{"modelRef": {"name": "dear"}, "on": ["Error", "Timeout"]}]);
    objects[2] = objects[2].clone().with("fallbacks", dear);
    let target = |name: &str| json!({"modelRef": {"name": name}, "weight": 1});
    let route = json!({
        "strategy": "RoundRobin", "targets": [target("first"), target("second")], "hedge": {"afterPercentile": 80},
        "mirror": {"modelRef": {"name": "copy"}, "percent": 10},
    });
    objects.push(manifest::mock("pool", "").without("mock").with("route", route).with("retry", json!({"attempts": 1})));
    let budget = |usd: &str| json!({"window": "Month", "usd": usd});
    objects.push(manifest::budget("both", &budget("2.00")));
    objects.extend(KEYS.map(|(name, key)| manifest::key(name, key).with("budget", json!([budget("1.20")]))));
    objects
}

/// What clients share.
struct Run {
    addresses: Mutex<Vec<SocketAddr>>,
    requests: AtomicUsize,
    answered: AtomicUsize,
    refused: AtomicUsize,
    unavailable: AtomicUsize,
    failed: AtomicUsize,
    unreachable: AtomicUsize,
    read: Mutex<HashMap<String, Read>>,
    over: AtomicBool,
}

/// What a client was told.
#[derive(PartialEq, Eq)]
enum Told {
    Answered,
    Refused,
    Other,
}

impl Run {
    fn client(&self, number: usize, key: &str) -> Client {
        let addresses = self.addresses.lock().unwrap();
        Client::new(addresses[number % addresses.len()]).with_key(key)
    }

    /// One request of this client's.
    async fn call(&self, client: usize, rng: &mut StdRng) -> Told {
        let (key, secret) = KEYS[client % KEYS.len()];
        let name = format!("{key}-{}", self.requests.fetch_add(1, Relaxed));
        let words = vec!["word"; rng.random_range(1..=60)].join(" ");
        let model = if rng.random_ratio(1, 3) { "primary" } else { "pool" };
        let mut body = json!({"model": model, "user": name, "messages": [{"role": "user", "content": words}]});
        body["stream"] = json!(rng.random_ratio(1, 2));
        if !rng.random_ratio(1, 5) {
            // Mostly far more than is used.
            body["max_tokens"] = json!(rng.random_range(40..2_540));
        }
        let told = self.send(&self.client(client / KEYS.len(), secret), &name, &body, rng).await;
        let Some((status, code)) = told else {
            self.unreachable.fetch_add(1, Relaxed);
            return Told::Other;
        };
        let (counter, told) = match (status, code.as_str()) {
            (200, _) => (&self.answered, Told::Answered),
            (429, "insufficient_quota") => (&self.refused, Told::Refused),
            (503, "budget_unavailable") => (&self.unavailable, Told::Other),
            _ => (&self.failed, Told::Other),
        };
        counter.fetch_add(1, Relaxed);
        told
    }

    /// Status and code of the answer; `None` = the gateway is gone.
    async fn send(&self, client: &Client, name: &str, body: &Value, rng: &mut StdRng) -> Option<(u16, String)> {
        let mut connection = client.try_connect().await.ok()?;
        let request = client.json(CHAT, body, &[("idempotency-key", name)]);
        let mut answer = connection.open(request).await.ok()?;
        let status = answer.status;
        if body["stream"] != true || status != 200 {
            let reply = answer.whole().await;
            let code = reply.complete.then(|| serde_json::from_slice::<Value>(&reply.body).unwrap_or_default())?;
            return Some((status, code["error"]["code"].as_str().unwrap_or_default().to_owned()));
        }
        let leaves_after = rng.random_ratio(1, 4).then(|| rng.random_range(0..12));
        let (mut pieces, mut has_left) = (0, false);
        for events in 0.. {
            if leaves_after == Some(events) {
                has_left = true;
                break;
            }
            let Ok(Some(event)) = answer.event().await else { break };
            let chunk: Value = serde_json::from_str(&event.data).unwrap_or_default();
            let text = chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
            pieces += i64::from(!text.is_empty());
        }
        self.read.lock().unwrap().insert(name.to_owned(), Read { pieces, has_left });
        Some((200, String::new()))
    }

    async fn client_until_refused(self: Arc<Self>, number: usize, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number as u64));
        let mut refusals = 0;
        while refusals < 2 {
            match self.call(number, &mut rng).await {
                Told::Answered => refusals = 0,
                Told::Refused => refusals += 1,
                Told::Other => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Kills a gateway now and then, and starts it again.
async fn kill(mut gateways: Vec<Gateway>, run: Arc<Run>, seed: u64) -> Vec<Gateway> {
    let mut rng = StdRng::seed_from_u64(!seed);
    for _ in 0..KILLS {
        let until = run.answered.load(Relaxed) + rng.random_range(80..160);
        while run.answered.load(Relaxed) < until && !run.over.load(Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Always one of the first two: the last one lives long enough to know what is slow.
        let mut gateway = gateways.remove(0);
        gateway.process.signal("KILL");
        gateway.process.exit().await;
        gateways.insert(1, gateway.restart().await);
        *run.addresses.lock().unwrap() = gateways.iter().map(|gateway| gateway.public).collect();
    }
    gateways
}

async fn start(database: &str, objects: &[Manifest]) -> Gateway {
    let setup = Setup::new(env!("CARGO_BIN_EXE_turnpike-gateway")).manifests(objects);
    setup.arg("--log=error").arg("--database-url").arg(database).start().await
}

// The upstream must not wait for its turn behind all clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_everything_at_once_no_budget_is_passed_and_the_log_is_what_the_upstream_charged() {
    let seed = seed();
    println!("TURNPIKE_TEST_SEED={seed}");
    let (database, upstream) = (postgres::database().await, upstream(seed).await);
    let objects = objects(&upstream);
    let mut gateways = Vec::new();
    for _ in 0..3 {
        gateways.push(start(&database, &objects).await);
    }
    let run = Arc::new(Run {
        addresses: Mutex::new(gateways.iter().map(|gateway| gateway.public).collect()),
        requests: AtomicUsize::new(0),
        answered: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
        unavailable: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
        unreachable: AtomicUsize::new(0),
        read: Mutex::default(),
        over: AtomicBool::new(false),
    });
    let killing = tokio::spawn(kill(gateways, Arc::clone(&run), seed));
    let clients = (0..CLIENTS).map(|number| tokio::spawn(Arc::clone(&run).client_until_refused(number, seed)));
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    run.over.store(true, Relaxed);
    let gateways = killing.await.unwrap();
    // One after another, until each key is refused at each gateway with nothing in flight.
    let mut rng = StdRng::seed_from_u64(seed.rotate_left(32));
    for number in 0..gateways.len() * KEYS.len() {
        while run.call(number, &mut rng).await != Told::Refused {}
    }
    for mut gateway in gateways {
        gateway.metric_is("turnpike_ledger_bound_exceeded_total", "", 0.0).await;
        gateway.metric_is("litellm_in_flight_requests", "", 0.0).await;
        gateway.process.signal("TERM");
        gateway.process.exit().await;
    }
    let log = upstream.wait_for("all attempts have ended", |log| log.iter().all(Recorded::ended)).await;
    let read = std::mem::take(&mut *run.read.lock().unwrap());
    let books = Books::open(&database, &log, read, PRICES).await;
    let (wrong, sums) = books.compare();
    let kinds = books.kinds();
    println!(
        "{} requests: {} answered, {} refused, {} failed, {} lost with a gateway, {} told to try again\n{sums:?}\n{kinds:?}",
        run.requests.load(Relaxed),
        run.answered.load(Relaxed),
        run.refused.load(Relaxed),
        run.failed.load(Relaxed),
        run.unreachable.load(Relaxed),
        run.unavailable.load(Relaxed),
    );
    assert!(wrong.is_empty(), "seed {seed}: {} of the books' lines are wrong:\n{}", wrong.len(), wrong.join("\n"));
    for kind in ["crashed", "dear", "hedged", "left", "mirror", "retried"] {
        assert!(kinds.contains_key(kind), "seed {seed}: nothing was {kind}");
    }
    for (of, limit) in [("", TOGETHER), (KEYS[0].0, EACH), (KEYS[1].0, EACH)] {
        let (spent, billed) = books.sums(of);
        println!("{of:>4}: spent {spent}, charged by the upstream {billed}, of {limit} nano-USD");
        assert!(spent <= limit && billed <= limit, "seed {seed}: {of} is overspent: {spent}, {billed}");
    }
    assert!(sums.spent >= TOGETHER / 100 * 95, "seed {seed}: too little could be spent: {}", sums.spent);
    settled(&database, sums.spent).await;
}

/// What is booked is the sum of the rows, and nothing stays blocked.
async fn settled(database: &str, spent: i64) {
    let blocked = "select json_build_object('unattributed', coalesce(sum(unattributed), 0), 'outstanding', \
                   coalesce(sum(greatest(granted - booked, 0)) filter (where not closed), 0))::text from ledger_lease";
    assert_eq!(postgres_json(database, blocked).await.unwrap(), json!({"unattributed": 0, "outstanding": 0}));
    let booked = "select json_object_agg(id, amount)::text from \
                  (select id, sum(amount) as amount from ledger_spent join ledger_account on key = account group by id) as sums";
    let booked = postgres_json(database, booked).await.unwrap();
    println!("booked: {booked}");
    let both = booked.as_object().unwrap().iter().find(|(id, _)| id.starts_with("Budget/default/both/usd/"));
    assert_eq!(*both.unwrap().1, spent, "the budget is not booked as the log says: {booked}");
}
