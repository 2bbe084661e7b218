//! What clients see while one of three upstreams fails: a gateway with a pool of three, requests on a fixed schedule from
//! clients that never try again, and a fault that sets in after a quarter of them and stays.

use std::{
    cell::{Cell, RefCell},
    fs,
    net::SocketAddr,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time::timeout};

mod backend;
mod table;

pub use backend::Fault;
pub use table::{is_met, render, sound};

use crate::{
    args::ResilienceOptions,
    compare::{document, spend},
    gateway::{self, Gateway, KEY, model, probe},
    load::{
        Percentiles,
        samples::{self, record},
        schedule::Schedule,
    },
    script::{Answers, MODEL, Traffic},
    wire::Wire,
};
use backend::Backend;

/// Requests under way at most.
const CONNECTIONS: u32 = 400;
/// A client gives up after this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of a scenario's requests, the part before the fault: one part in so many.
const BEFORE: u32 = 4;

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// For the table.
    pub title: &'static str,
    /// What is asked for.
    pub traffic: Traffic,
    /// What happens to one of the three.
    pub fault: Fault,
}

/// All runs. Those without a fault are what the others of their traffic are compared with.
pub const SCENARIOS: [Scenario; 7] = [
    Scenario { title: "all sound", traffic: Traffic::Plain, fault: Fault::None },
    Scenario { title: "one killed", traffic: Traffic::Plain, fault: Fault::Killed },
    Scenario { title: "one takes 5 s", traffic: Traffic::Plain, fault: Fault::Slow },
    Scenario { title: "one answers 429, Retry-After: 2", traffic: Traffic::Plain, fault: Fault::Limited },
    Scenario { title: "streams, all sound", traffic: Traffic::Burst, fault: Fault::None },
    Scenario { title: "streams, one cut before its first event", traffic: Traffic::Burst, fault: Fault::Cut },
    Scenario { title: "streams, one killed", traffic: Traffic::Burst, fault: Fault::Killed },
];

/// What clients saw of a scenario.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What was done.
    pub scenario: Scenario,
    /// Requests sent.
    pub requests: u32,
    /// Those that were not answered in full.
    pub failures: u32,
    /// The first of them.
    pub failure: Option<String>,
    /// From when a request was due to the end of its answer, since the fault set in; microseconds.
    pub latency: Percentiles,
    /// Requests that reached the upstreams.
    pub attempts: u64,
}

/// Runs all scenarios and prints the table.
///
/// # Errors
/// Anything does not start, or the gateway's spend log does not have one row for each answer.
pub async fn print(options: &ResilienceOptions) -> anyhow::Result<()> {
    let load_before = fs::read_to_string("/proc/loadavg")?;
    let mut all = Vec::with_capacity(SCENARIOS.len());
    for scenario in SCENARIOS {
        let seen = run(&options.gateway, scenario, options.requests, options.rate).await?;
        let first = seen.failure.as_ref().map(|failure| format!(", the first: {failure}")).unwrap_or_default();
        eprintln!("{}: p99 {:.1} ms, {} failed{first}", scenario.title, seen.latency.p99 / 1000.0, seen.failures);
        all.push(seen);
    }
    let facts = format!("Measured {} on {}.", document::today(), document::machine(&load_before)?);
    let table = render(&facts, options.rate, &all)?;
    println!("{table}");
    match &options.document {
        Some(path) => document::write(path, &table),
        None => Ok(()),
    }
}

/// Runs one scenario; needs a `LocalSet`.
///
/// # Errors
/// Anything does not start, or the gateway's spend log does not have one row for each answer.
pub async fn run(gateway: &Path, scenario: Scenario, requests: u32, rate: u32) -> anyhow::Result<Seen> {
    let folder = tempfile::Builder::new().prefix("turnpike-resilience-").tempdir()?;
    let answers = Rc::new(Answers::build());
    let backends = [Backend::start(&answers).await?, Backend::start(&answers).await?, Backend::start(&answers).await?];
    let mut models = String::new();
    for (at, backend) in backends.iter().enumerate() {
        models += &model(&format!("backend-{at}"), MODEL, backend.address, "  poolStrategy: Latency\n");
    }
    let Gateway { process, data, address } = gateway::start(gateway, folder.path(), &models).await?;
    probe(address, KEY, scenario.traffic).await?;
    let shared = Rc::new(Shared {
        target: address,
        request: scenario.traffic.request(address, KEY),
        scenario,
        sent: Cell::new(0),
        fault_at: requests / BEFORE,
        backends,
        latency: RefCell::new(samples::times()?),
        failures: Cell::new(0),
        failure: RefCell::new(None),
    });
    load(&shared, rate, Duration::from_secs(1) * requests / rate).await?;
    process.stop().await?;
    // One more is that of the request that showed that all is set up.
    let rows = spend::read(&data).await?.rows - 1;
    let sent = shared.sent.get();
    let answered = i64::from(sent - shared.failures.get());
    ensure!(rows == answered, "{answered} requests were answered and the spend of {rows} was logged");
    let failure = shared.failure.borrow_mut().take();
    Ok(Seen {
        scenario,
        requests: sent,
        failures: shared.failures.get(),
        failure,
        latency: samples::percentiles(&shared.latency.borrow()).context("no request was answered")?,
        attempts: shared.backends.iter().map(|backend| backend.asked.get()).sum::<u64>() - 1,
    })
}

struct Shared {
    target: SocketAddr,
    request: Vec<u8>,
    scenario: Scenario,
    sent: Cell<u32>,
    /// So many requests come before the fault.
    fault_at: u32,
    backends: [Backend; 3],
    latency: RefCell<Histogram<u64>>,
    failures: Cell<u32>,
    failure: RefCell<Option<String>>,
}

async fn load(shared: &Rc<Shared>, rate: u32, length: Duration) -> anyhow::Result<()> {
    let schedule = Rc::new(Schedule::start(Instant::now(), f64::from(rate), length, CONNECTIONS)?);
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (shared, schedule) = (Rc::clone(shared), Rc::clone(&schedule));
        clients.spawn_local(async move { client(&shared, &schedule).await });
    }
    let all = async {
        while let Some(client) = clients.join_next().await {
            client??;
        }
        anyhow::Ok(())
    };
    timeout(length + PATIENCE * 2, all).await.context("answers are missing; the gateway hangs")?
}

async fn client(shared: &Shared, schedule: &Schedule) -> anyhow::Result<()> {
    let mut wire = None;
    while let Some(due) = schedule.next().await? {
        let sent = shared.sent.get();
        shared.sent.set(sent + 1);
        if sent == shared.fault_at {
            let [failing, ..] = &shared.backends;
            failing.fail(shared.scenario.fault);
        }
        let answered = timeout(PATIENCE, exchange(shared, &mut wire)).await.context("no answer in time");
        match answered.and_then(|answered| answered) {
            Ok(()) if sent >= shared.fault_at => record(&mut shared.latency.borrow_mut(), due.at.elapsed()),
            Ok(()) => {}
            Err(error) => {
                wire = None;
                shared.failures.set(shared.failures.get() + 1);
                shared.failure.borrow_mut().get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }
    Ok(())
}

/// One request and its answer, checked.
async fn exchange(shared: &Shared, wire: &mut Option<Wire>) -> anyhow::Result<()> {
    let mut kept = match wire.take() {
        Some(kept) => kept,
        None => Wire::connect(shared.target).await?,
    };
    kept.send(&shared.request).await?;
    let head = kept.head().await?.context("the gateway closed a keep-alive connection")?;
    let mut body = Vec::new();
    kept.body(head.framing, &mut body, || ()).await?;
    ensure!(head.status() == Some(200), "status {:?}: {}", head.status(), String::from_utf8_lossy(&body));
    shared.scenario.traffic.check(&body)?;
    *wire = Some(kept);
    Ok(())
}
