//! The whole comparison: start everything, measure in rounds, check that the gateway did its work, write the table.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::Stdio,
};

use anyhow::{Context as _, ensure};

use crate::{
    args::CompareOptions,
    gateway::{self, Gateway, model},
    process::{self, Running},
    script::{MODEL, PACED_MODEL, TOKENS},
};

mod nginx;
mod rounds;
pub(crate) mod spend;

pub mod document;
pub mod summary;

pub use rounds::{Cost, Measurement, Pair, SCENARIOS, Scenario};

use rounds::{Contender, Timing};

/// Runs the comparison and prints its table. Errors if anything does not start, any answer is wrong, or the gateway's
/// spend log does not have a row for each request; a missed target is no error.
pub async fn run(options: &CompareOptions) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("turnpike-bench-").disable_cleanup(options.keep).tempdir()?;
    if options.keep {
        eprintln!("keeping {}", folder.path().display());
    }
    tokio::select! {
        done = measure(options, folder.path()) => done,
        // Returning drops what was started, which ends it.
        signal = tokio::signal::ctrl_c() => { signal?; anyhow::bail!("interrupted") }
    }
}

async fn measure(options: &CompareOptions, folder: &Path) -> anyhow::Result<()> {
    let load_before = fs::read_to_string("/proc/loadavg")?;
    let (upstream, upstream_address) = start_upstream()?;
    let nginx = nginx::start(&options.nginx, folder, upstream_address).await?;
    let models = [MODEL, PACED_MODEL].map(|name| model(name, name, upstream_address, "")).concat();
    let gateway = gateway::start(&options.gateway, folder, &models).await?;
    let contenders = [
        Contender { name: "nginx", address: nginx.address, pid: nginx.process.pid() },
        Contender { name: "gateway", address: gateway.address, pid: gateway.process.pid() },
    ];
    let timing = Timing::of(options);
    let measured = rounds::run(&contenders, upstream.pid(), gateway::KEY, timing).await?;
    let memory =
        summary::Memory { gateway: process::used(gateway.process.pid())?, nginx: process::used(nginx.process.pid())? };
    let Gateway { process, data, .. } = gateway;
    // Its spend log is whole once it has ended.
    process.stop().await?;
    nginx.process.stop().await?;
    let spend = spend::read(&data).await?;
    ensure!(
        spend.rows == i64::from(measured.gateway_requests),
        "the gateway answered {} requests and logged the spend of {}; its figures would not be honest",
        measured.gateway_requests,
        spend.rows
    );
    ensure!(
        spend.tokens == spend.rows * TOKENS,
        "the gateway counted {} tokens in {} requests",
        spend.tokens,
        spend.rows
    );
    ensure!(spend.usd > 0.0, "the gateway priced nothing");
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&measured.pairs)?).context("--json")?;
    }
    let facts = document::Facts {
        machine: document::machine(&load_before)?,
        date: options.date.clone().unwrap_or_else(document::today),
        timing: timing.to_string(),
        nginx: nginx.version,
        spend_rows: spend.rows,
    };
    let table = document::render(&facts, &summary::summarise(&measured.pairs), &memory)?;
    println!("{table}");
    if let Some(path) = &options.document {
        document::write(path, &table)?;
    }
    Ok(())
}

fn start_upstream() -> anyhow::Result<(Running, SocketAddr)> {
    let mut command = Running::command(&std::env::current_exe()?);
    command.args(["upstream", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut running = Running::start("upstream", &mut command)?;
    let stdout = running.child().stdout.take().context("the upstream's stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on ").context("the upstream did not start")?;
    Ok((running, address.parse()?))
}
