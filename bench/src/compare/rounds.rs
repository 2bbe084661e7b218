//! Who is measured when. The load generator runs as a process of its own each time, so that its CPU can be told apart
//! and no measurement inherits another's connections or heap.

use std::{
    fmt,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde::Serialize;

use crate::gateway::probe;
use crate::{
    args::CompareOptions,
    load::{Outcome, Percentiles},
    process::Running,
    script::Traffic,
};

/// Connections of the open loop: enough that one is free whenever a request is due.
const OPEN_LOOP_CONNECTIONS: u32 = 64;

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scenario {
    /// Row title.
    pub title: &'static str,
    /// What is asked for.
    pub traffic: Traffic,
    /// Keep-alive connections.
    pub connections: u32,
    /// At a fixed rate: half of what the slower one managed in [`Self::RATE_FROM`].
    pub open_loop: bool,
    /// Most CPU per request allowed, as a multiple of nginx's.
    pub target: Option<f64>,
}

/// Everything that is measured, in the order of a round.
pub const SCENARIOS: [Scenario; 5] = [
    Scenario {
        title: "plain, 1 connection",
        traffic: Traffic::Plain,
        connections: 1,
        open_loop: false,
        target: Some(2.0),
    },
    Scenario {
        title: "plain, 16 connections",
        traffic: Traffic::Plain,
        connections: 16,
        open_loop: false,
        target: Some(2.0),
    },
    Scenario {
        title: "64-chunk stream in a burst, 16 connections",
        traffic: Traffic::Burst,
        connections: 16,
        open_loop: false,
        target: Some(2.0),
    },
    Scenario {
        title: "64-chunk stream, a chunk every 4 ms, 100 connections",
        traffic: Traffic::Paced,
        connections: 100,
        open_loop: false,
        target: Some(1.3),
    },
    Scenario {
        title: "plain at a fixed rate",
        traffic: Traffic::Plain,
        connections: OPEN_LOOP_CONNECTIONS,
        open_loop: true,
        target: None,
    },
];

impl Scenario {
    /// The scenario whose maximum sets the open loop's rate.
    pub const RATE_FROM: usize = 1;
}

/// CPU per request, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Of the contender.
    pub contender: f64,
    /// Of the upstream behind it.
    pub upstream: f64,
    /// Of the load generator.
    pub client: f64,
}

/// One contender under one scenario in one round. Times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// CPU per request.
    pub cpu: Cost,
    /// Requests a second.
    pub rate: f64,
    /// Whole answers.
    pub latency: Percentiles,
    /// Streams: to the first chunk.
    pub first_chunk: Option<Percentiles>,
    /// Streams: between parts.
    pub gap: Option<Percentiles>,
    /// Fixed rate: the client's own lateness.
    pub late_start: Option<Percentiles>,
}

/// nginx and the gateway, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// What they were under.
    pub scenario: Scenario,
    /// The floor.
    pub nginx: Measurement,
    /// What is measured.
    pub gateway: Measurement,
}

/// All pairs, and what the gateway must have counted.
pub(super) struct Measured {
    pub(super) pairs: Vec<Pair>,
    pub(super) gateway_requests: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    pub(super) pid: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Timing {
    rounds: u32,
    seconds: f64,
    warm_up: f64,
}

impl Timing {
    pub(super) fn of(options: &CompareOptions) -> Self {
        if options.quick {
            Self { rounds: 3, seconds: 1.1, warm_up: 0.4 }
        } else {
            Self { rounds: options.rounds, seconds: options.seconds, warm_up: options.warm_up }
        }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rounds of {} s after {} s of warm-up", self.rounds, self.seconds, self.warm_up)
    }
}

pub(super) async fn run(
    contenders: &[Contender; 2],
    upstream: u32,
    key: &str,
    timing: Timing,
) -> anyhow::Result<Measured> {
    let mut runner = Runner { upstream, key, timing, gateway_requests: 0 };
    for contender in contenders {
        for traffic in [Traffic::Plain, Traffic::Burst, Traffic::Paced] {
            probe(contender.address, key, traffic)
                .await
                .with_context(|| format!("{} does not work", contender.name))?;
            runner.count(*contender, 1);
        }
    }
    let mut pairs: Vec<Pair> = Vec::new();
    for round in 0..timing.rounds {
        eprintln!("round {} of {}", round + 1, timing.rounds);
        for (index, scenario) in SCENARIOS.into_iter().enumerate() {
            let rate = if scenario.open_loop { Some(fixed_rate(&pairs)?) } else { None };
            let [nginx, gateway] = *contenders;
            // A B, then B A: what drifts does not always favour the same one.
            let (nginx, gateway) = if (round as usize + index).is_multiple_of(2) {
                let nginx = runner.measure(nginx, scenario, rate).await?;
                (nginx, runner.measure(gateway, scenario, rate).await?)
            } else {
                let gateway = runner.measure(gateway, scenario, rate).await?;
                (runner.measure(nginx, scenario, rate).await?, gateway)
            };
            pairs.push(Pair { scenario, nginx, gateway });
        }
    }
    Ok(Measured { pairs, gateway_requests: runner.gateway_requests })
}

/// Half of the slower one's maximum in the first round; the same for all rounds.
fn fixed_rate(pairs: &[Pair]) -> anyhow::Result<f64> {
    let maximum = pairs.get(Scenario::RATE_FROM).context("the fixed rate comes after its maximum")?;
    Ok((maximum.nginx.rate.min(maximum.gateway.rate) / 2.0).floor().max(1.0))
}

struct Runner<'a> {
    upstream: u32,
    key: &'a str,
    timing: Timing,
    gateway_requests: u32,
}

impl Runner<'_> {
    fn count(&mut self, contender: Contender, requests: u32) {
        if contender.name == "gateway" {
            self.gateway_requests += requests;
        }
    }

    async fn measure(
        &mut self,
        contender: Contender,
        scenario: Scenario,
        rate: Option<f64>,
    ) -> anyhow::Result<Measurement> {
        let mut command = Running::command(&std::env::current_exe()?);
        command
            .args(["load", "--target", &contender.address.to_string(), "--key", self.key])
            .args(["--traffic", &format!("{:?}", scenario.traffic).to_lowercase()])
            .args(["--connections", &scenario.connections.to_string()])
            .args(["--warm-up", &self.timing.warm_up.to_string(), "--seconds", &self.timing.seconds.to_string()])
            .args([
                "--watch",
                &format!("contender={}", contender.pid),
                "--watch",
                &format!("upstream={}", self.upstream),
            ]);
        if let Some(rate) = rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let outcome =
            self.load(&mut command).await.with_context(|| format!("{}: {}", contender.name, scenario.title))?;
        self.count(contender, outcome.requests_in_all);
        let cost = |name: &str| {
            let used = outcome.used.iter().find(|used| used.name == name);
            used.map(|used| used.cpu_us_per_request)
                .with_context(|| format!("the load generator says nothing of {name}"))
        };
        eprintln!(
            "  {:<8} {:<52} {:>8.0}/s {:>8.1} us CPU",
            contender.name,
            scenario.title,
            outcome.rate,
            cost("contender")?
        );
        Ok(Measurement {
            cpu: Cost { contender: cost("contender")?, upstream: cost("upstream")?, client: cost("client")? },
            rate: outcome.rate,
            latency: outcome.latency,
            first_chunk: outcome.first_chunk,
            gap: outcome.gap,
            late_start: outcome.late_start,
        })
    }

    async fn load(&self, command: &mut Command) -> anyhow::Result<Outcome> {
        let file = tempfile::NamedTempFile::new()?;
        let mut running = Running::start("the load generator", command.stdout(Stdio::from(file.reopen()?)))?;
        let status = loop {
            if let Some(status) = running.child().try_wait()? {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        ensure!(status.success(), "the load failed; see above");
        serde_json::from_slice(&std::fs::read(file.path())?).context("the load generator's result")
    }
}
