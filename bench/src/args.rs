//! The command line. Addresses other than loopback are refused: this tool floods whatever it is pointed at.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::ensure;
use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::{
    load::{Plan, Watched},
    script::Traffic,
};

/// Measures a gateway against nginx.
#[derive(Debug, Parser)]
#[command(name = "turnpike-bench", version)]
pub struct Args {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The programs in this binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the scripted upstream; prints the address it listens on.
    Upstream(UpstreamOptions),
    /// Load one target and print the result as JSON.
    Load(LoadOptions),
    /// Measure the gateway and nginx alternately and write the table.
    Compare(CompareOptions),
    /// Load a gateway in front of three upstreams, one of which fails, and write what clients saw of it.
    Resilience(ResilienceOptions),
    /// Have a gateway that was built to count do everything that a profile-guided build should know of.
    Train(TrainOptions),
}

/// Options of `upstream`.
#[derive(ClapArgs, Debug)]
pub struct UpstreamOptions {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_parser = loopback)]
    pub listen: SocketAddr,
}

/// Options of `load`.
#[derive(ClapArgs, Debug)]
pub struct LoadOptions {
    /// Loopback address of what is measured.
    #[arg(long, value_parser = loopback)]
    pub target: SocketAddr,
    /// Key sent as `Authorization: Bearer`.
    #[arg(long, default_value = "sk-bench")]
    pub key: String,
    /// What is asked for.
    #[arg(long, value_enum, default_value = "plain")]
    pub traffic: Traffic,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub connections: u32,
    /// Requests a second, sent on schedule whether or not earlier ones were answered; without it each connection sends
    /// its next request when the last was answered.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Seconds before anything is counted.
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
    /// Seconds that are counted.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// `NAME=PID`, repeatable: processes whose CPU time and memory, with their children's, go into the result.
    #[arg(long, value_parser = watched)]
    pub watch: Vec<Watched>,
}

/// Options of `compare`.
#[derive(ClapArgs, Debug)]
pub struct CompareOptions {
    /// The gateway's release binary.
    #[arg(long)]
    pub gateway: PathBuf,
    /// The nginx binary.
    #[arg(long, default_value = "nginx")]
    pub nginx: PathBuf,
    /// Rounds; each measures every scenario on both, the order swapped every other round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=25))]
    pub rounds: u32,
    /// Seconds counted per measurement.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Seconds of warm-up per measurement.
    #[arg(long, default_value_t = 0.7)]
    pub warm_up: f64,
    /// Under a minute: 3 rounds of 1.1 s. Good for seeing that everything works, too short for a figure to quote.
    #[arg(long)]
    pub quick: bool,
    /// Write the table between the markers of this file.
    #[arg(long)]
    pub document: Option<PathBuf>,
    /// Write every single measurement as JSON to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Date printed with the table; default today's (UTC).
    #[arg(long)]
    pub date: Option<String>,
    /// Leave the temporary folder (configurations, spend database, logs) behind and print its path.
    #[arg(long)]
    pub keep: bool,
}

/// Options of `resilience`.
#[derive(ClapArgs, Debug)]
pub struct ResilienceOptions {
    /// The gateway's binary.
    #[arg(long)]
    pub gateway: PathBuf,
    /// Requests of each scenario.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub requests: u32,
    /// Requests a second, sent on schedule whether or not earlier ones were answered.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Write the table between the markers of this file.
    #[arg(long)]
    pub document: Option<PathBuf>,
}

/// Options of `train`.
#[derive(ClapArgs, Debug)]
pub struct TrainOptions {
    /// The gateway's binary, built with `-Cprofile-generate`.
    #[arg(long)]
    pub gateway: PathBuf,
    /// Seconds of each load.
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
    /// How often each dialect of clients asks each provider.
    #[arg(long, default_value_t = 50)]
    pub requests: u32,
}

impl LoadOptions {
    /// The options as a plan. Errors on times or a rate that make no sense.
    pub fn plan(&self) -> anyhow::Result<Plan> {
        ensure!((0.0..=60.0).contains(&self.warm_up), "--warm-up must be between 0 and 60");
        ensure!((0.1..=600.0).contains(&self.seconds), "--seconds must be between 0.1 and 600");
        ensure!(self.rate.is_none_or(|rate| (1.0..=1e6).contains(&rate)), "--rate must be between 1 and 1000000");
        Ok(Plan {
            target: self.target,
            key: self.key.clone(),
            traffic: self.traffic,
            connections: self.connections,
            rate: self.rate,
            warm_up: Duration::from_secs_f64(self.warm_up),
            measure: Duration::from_secs_f64(self.seconds),
            watch: self.watch.clone(),
        })
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "expected IP:PORT".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("only loopback addresses are served or loaded".to_owned())
    }
}

fn watched(text: &str) -> Result<Watched, String> {
    let (name, pid) = text.split_once('=').ok_or("expected NAME=PID")?;
    let pid = pid.parse().map_err(|_| "expected NAME=PID")?;
    Ok(Watched { name: name.to_owned(), pid })
}
