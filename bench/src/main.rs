//! `turnpike-bench`: the scripted upstream, the load generator and the comparison.

use std::process::ExitCode;

use clap::Parser as _;
use turnpike_bench::{
    args::{Args, Command},
    compare, load, resilience, train, upstream,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = tokio::task::LocalSet::new()
        .run_until(async {
            match Args::parse().command {
                Command::Upstream(options) => upstream::announce_and_serve(options.listen).await,
                Command::Load(options) => load::print(&options.plan()?).await,
                Command::Compare(options) => compare::run(&options).await,
                Command::Resilience(options) => resilience::print(&options).await,
                Command::Train(options) => train::run(&options).await,
            }
        })
        .await;
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("turnpike-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
