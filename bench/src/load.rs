//! The load generator: N keep-alive connections, each with one request under way.
//!
//! Closed loop: the next request goes out when the last was answered; shows what a request costs and how many fit.
//! Open loop: requests are due at fixed times and their latency counts from then, so that a slow answer makes the ones
//! queued behind it slow too instead of hiding them.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::timeout};

pub(crate) mod samples;
pub(crate) mod schedule;

pub use samples::Percentiles;

use crate::{
    process::{self, Used},
    script::{CHUNKS, PACE, Traffic},
    wire::Wire,
};
use samples::Samples;
use schedule::Schedule;

/// How long after the end the last answers may take.
const GRACE: Duration = Duration::from_secs(20);

/// What to send where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is measured.
    pub target: SocketAddr,
    /// Bearer key.
    pub key: String,
    /// What is asked for.
    pub traffic: Traffic,
    /// Connections.
    pub connections: u32,
    /// Requests a second; `None` = closed loop.
    pub rate: Option<f64>,
    /// Time before anything is counted.
    pub warm_up: Duration,
    /// Time that is counted.
    pub measure: Duration,
    /// Processes whose use is reported.
    pub watch: Vec<Watched>,
}

/// A process to report on.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its name in the result.
    pub name: String,
    /// Its id.
    pub pid: u32,
}

/// What came of it. Times in microseconds.
#[derive(Debug, Deserialize, Serialize)]
pub struct Outcome {
    /// Requests answered while it was measured.
    pub requests: u32,
    /// All requests answered, warm-up and the last ones included.
    pub requests_in_all: u32,
    /// Seconds measured.
    pub seconds: f64,
    /// `requests` / `seconds`.
    pub rate: f64,
    /// Request sent (open loop: due) to answer complete.
    pub latency: Percentiles,
    /// Request sent or due to the first byte of the body; streams only.
    pub first_chunk: Option<Percentiles>,
    /// Between two reads that brought parts of a stream.
    pub gap: Option<Percentiles>,
    /// Open loop: how late the client itself was to send a request for which a connection was free.
    pub late_start: Option<Percentiles>,
    /// CPU and memory of the watched processes and of this one (`client`).
    pub used: Vec<Use>,
}

/// One process's part in an [`Outcome`].
#[derive(Debug, Deserialize, Serialize)]
pub struct Use {
    /// As given.
    pub name: String,
    /// CPU time per measured request, microseconds.
    pub cpu_us_per_request: f64,
    /// Share of one core, 1.0 = all of it.
    pub cores: f64,
    /// Memory when the measurement ended; `cpu_s` is since the process started.
    pub at_end: Used,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    WarmUp,
    Measuring,
    Over,
}

struct Shared {
    plan: Plan,
    request: Vec<u8>,
    phase: Cell<Phase>,
    answered: Cell<u32>,
    measured: Cell<u32>,
    samples: RefCell<Samples>,
    /// When what is scheduled from here on counts, and until when.
    window: (Instant, Instant),
}

impl Shared {
    /// A part of a stream came.
    fn part(&self, started: Instant, last: Option<Instant>, now: Instant) {
        if self.phase.get() != Phase::Measuring {
            return;
        }
        match last {
            Some(last) => self.samples.borrow_mut().gap(now - last),
            None if started >= self.window.0 => self.samples.borrow_mut().first_part(now - started),
            // Begun before the measurement: nothing of that wait belongs here.
            None => {}
        }
    }
}

/// Runs the plan and prints the outcome as one line of JSON.
pub async fn print(plan: &Plan) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(&run(plan).await?)?);
    Ok(())
}

/// Runs the plan; needs a `LocalSet`. Any refused connection, status other than 200 or wrong body is an error.
pub async fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let origin = Instant::now();
    let measuring = origin + plan.warm_up;
    let shared = Rc::new(Shared {
        request: plan.traffic.request(plan.target, &plan.key),
        phase: Cell::new(Phase::WarmUp),
        answered: Cell::new(0),
        measured: Cell::new(0),
        samples: RefCell::new(Samples::new()?),
        window: (measuring, measuring + plan.measure),
        plan: plan.clone(),
    });
    let schedule = plan
        .rate
        .map(|rate| Schedule::start(origin, rate, plan.warm_up + plan.measure, plan.connections))
        .transpose()?;
    let schedule = schedule.map(Rc::new);
    let mut workers = JoinSet::new();
    for index in 0..plan.connections {
        let (shared, schedule) = (shared.clone(), schedule.clone());
        workers.spawn_local(async move {
            match schedule {
                Some(schedule) => open_loop(&shared, &schedule).await,
                None => closed_loop(&shared, index).await,
            }
        });
    }
    let clock = clock(&shared);
    tokio::pin!(clock);
    let mut counted = None;
    let all = async {
        loop {
            tokio::select! {
                result = &mut clock, if counted.is_none() => counted = Some(result?),
                worker = workers.join_next() => match worker {
                    Some(worker) => worker??,
                    None if counted.is_some() => break,
                    // An open loop can be through a moment before the measured time is.
                    None => counted = Some((&mut clock).await?),
                },
            }
        }
        anyhow::Ok(())
    };
    timeout(plan.warm_up + plan.measure + GRACE, all).await.context("answers are missing; the target hangs")??;
    let (seconds, used) = counted.context("every connection ended before the measurement did")?;
    outcome(&shared, seconds, used)
}

/// Opens and closes the measured window and says what the processes used in it.
async fn clock(shared: &Shared) -> anyhow::Result<(f64, Vec<(String, f64, Used)>)> {
    let read = || -> anyhow::Result<Vec<Used>> {
        let own = std::process::id();
        shared.plan.watch.iter().map(|watched| watched.pid).chain([own]).map(process::used).collect()
    };
    tokio::time::sleep_until(shared.window.0.into()).await;
    let before = read()?;
    let begun = Instant::now();
    shared.phase.set(Phase::Measuring);
    tokio::time::sleep_until(shared.window.1.into()).await;
    let seconds = begun.elapsed().as_secs_f64();
    shared.phase.set(Phase::Over);
    let after = read()?;
    let names = shared.plan.watch.iter().map(|watched| watched.name.clone()).chain(["client".to_owned()]);
    let used =
        names.zip(before.iter().zip(after)).map(|(name, (before, after))| (name, after.cpu_s - before.cpu_s, after));
    Ok((seconds, used.collect()))
}

async fn closed_loop(shared: &Shared, index: u32) -> anyhow::Result<()> {
    if shared.plan.traffic == Traffic::Paced {
        // Spread over one stream's length: nobody's users all start at once.
        let length = PACE * u32::try_from(CHUNKS)?;
        tokio::time::sleep(length * index / shared.plan.connections).await;
    }
    let mut wire = Wire::connect(shared.plan.target).await?;
    let mut body = Vec::new();
    while shared.phase.get() != Phase::Over {
        let started = Instant::now();
        exchange(shared, &mut wire, &mut body, started).await?;
        if shared.phase.get() == Phase::Measuring {
            shared.samples.borrow_mut().latency(started.elapsed());
        }
    }
    Ok(())
}

async fn open_loop(shared: &Shared, schedule: &Schedule) -> anyhow::Result<()> {
    let mut wire = Wire::connect(shared.plan.target).await?;
    let mut body = Vec::new();
    while let Some(due) = schedule.next().await? {
        let counts = (shared.window.0..shared.window.1).contains(&due.at);
        if counts && due.had_to_wait {
            shared.samples.borrow_mut().late_start(due.at.elapsed());
        }
        exchange(shared, &mut wire, &mut body, due.at).await?;
        if counts {
            shared.samples.borrow_mut().latency(due.at.elapsed());
        }
    }
    Ok(())
}

/// One request and its answer, checked.
async fn exchange(shared: &Shared, wire: &mut Wire, body: &mut Vec<u8>, started: Instant) -> anyhow::Result<()> {
    wire.send(&shared.request).await?;
    let head = wire.head().await?.context("the target closed a keep-alive connection")?;
    body.clear();
    let streams = shared.plan.traffic != Traffic::Plain;
    let mut last = None;
    wire.body(head.framing, body, || {
        if streams {
            let now = Instant::now();
            shared.part(started, last.replace(now), now);
        }
    })
    .await?;
    ensure!(head.status() == Some(200), "status {:?}: {}", head.status(), String::from_utf8_lossy(body));
    shared.plan.traffic.check(body).with_context(|| format!("wrong answer: {}", String::from_utf8_lossy(body)))?;
    shared.answered.set(shared.answered.get() + 1);
    if shared.phase.get() == Phase::Measuring {
        shared.measured.set(shared.measured.get() + 1);
    }
    Ok(())
}

fn outcome(shared: &Shared, seconds: f64, used: Vec<(String, f64, Used)>) -> anyhow::Result<Outcome> {
    let requests = shared.measured.get();
    ensure!(requests > 0, "no request was answered within the measurement");
    let samples = shared.samples.borrow();
    let used = used.into_iter().map(|(name, cpu_s, at_end)| Use {
        name,
        cpu_us_per_request: cpu_s * 1e6 / f64::from(requests),
        cores: cpu_s / seconds,
        at_end,
    });
    Ok(Outcome {
        requests,
        requests_in_all: shared.answered.get(),
        seconds,
        rate: f64::from(requests) / seconds,
        latency: samples.latencies().context("no latency was recorded")?,
        first_chunk: samples.first_parts(),
        gap: samples.gaps(),
        late_start: samples.late_starts(),
        used: used.collect(),
    })
}
